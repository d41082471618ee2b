package gateway

import "sync"

// keep is the size above which a buffer is left to the garbage collector: one huge catalogue should not stay in memory
// for as long as small results come and go.
const keep = 1 << 20

// buffers are the memory of results that the gateway makes itself, used again from call to call. The zero value is ready.
type buffers struct {
	pool sync.Pool // :: *[]byte
}

// take returns an empty buffer.
func (p *buffers) take() *[]byte {
	b, ok := p.pool.Get().(*[]byte)
	if !ok {
		return new([]byte)
	}
	*b = (*b)[:0]
	return b
}

// give takes a buffer back, which MUST NOT be used afterwards; nil is none.
func (p *buffers) give(b *[]byte) {
	if b != nil && cap(*b) <= keep {
		p.pool.Put(b)
	}
}
