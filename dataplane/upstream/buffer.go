package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

const (
	// smallBytes divides the buffers of most messages from those of large ones, so that a small message does not take up a
	// large buffer.
	smallBytes = 64 << 10
	// largeSizes is how many sizes of large buffers are used again, each of nearly twice the one before; see largeBytes. The
	// largest has room for what does not go to a file yet; larger ones are left to the garbage collector.
	largeSizes = 6
	// roomBytes is left free behind a message whose length is known, for what the gateway may append to a result in place.
	roomBytes = 64
)

// buffer is memory for one message. Whoever holds it calls free once.
type buffer struct {
	// b is the message; a slice of it may be a reply's result.
	b []byte
	// large is the message where it is too large for memory, and b is empty.
	large *large
	mem   *memory
	free  func() // made once for each buffer, so that handing it out in a reply costs no closure
}

// add appends a part of a message whose length is not known.
func (b *buffer) add(part []byte) {
	b.grow(len(part))
	b.b = append(b.b, part...)
}

// grow makes room for n more bytes. It doubles the memory where there is too little: append grows big slices by a quarter
// at a time, which for a message of megabytes allocates several times its size. What has become too small is used again.
func (b *buffer) grow(n int) {
	if cap(b.b)-len(b.b) >= n {
		return
	}
	if want := max(len(b.b)+n, 2*cap(b.b)); want <= smallBytes {
		b.b = slices.Grow(b.b, want-len(b.b))
		return
	}
	if n += len(b.b); n > largeBytes(largeSizes-1) {
		n = max(n, 2*cap(b.b))
	}
	next := b.mem.takeLarge(n)
	next.b = append(next.b, b.b...)
	b.swap(next)
}

// shed lets go of what is in the buffer, for others to use its memory.
func (b *buffer) shed() { b.swap(b.mem.take()) }

// swap takes another buffer's memory and gives that one back with ours.
func (b *buffer) swap(other *buffer) {
	b.b, other.b = other.b, b.b
	other.free()
}

// memory recycles what a call needs: buffers and channels for one answer.
type memory struct {
	// buffers and large hold *buffer, of up to smallBytes and of at least largeBytes of their place.
	buffers sync.Pool
	large   [largeSizes]sync.Pool
	// answers hold chan answer, all of them empty.
	answers sync.Pool
	// readers hold *bufio.Reader of eventBytes.
	readers sync.Pool
	// pace is that of large messages.
	pace pace
}

// take returns an empty buffer, which the caller owns.
func (m *memory) take() *buffer {
	if b, ok := m.buffers.Get().(*buffer); ok {
		return b
	}
	return m.buffer(512)
}

// buffer makes one with room for n bytes.
func (m *memory) buffer(n int) *buffer {
	b := &buffer{b: make([]byte, 0, n), mem: m}
	b.free = func() { m.give(b) }
	return b
}

// largeBytes is the room of the i-th size of large buffers: 128 KiB, 192 KiB and so on up to 2 MiB and 64 KiB. The sizes leave
// 64 KiB to what is around a result, which itself is mostly of a round size.
func largeBytes(i int) int { return smallBytes + smallBytes<<i }

// takeLarge returns an empty buffer with room for n bytes, which are more than smallBytes.
func (m *memory) takeLarge(n int) *buffer {
	for i := range m.large {
		if size := largeBytes(i); n <= size {
			if b, ok := m.large[i].Get().(*buffer); ok {
				return b
			}
			return m.buffer(size)
		}
	}
	return m.buffer(n)
}

// takeFor returns an empty buffer with room for a message of n bytes and a little more.
func (m *memory) takeFor(n int) *buffer {
	if n += roomBytes; n > smallBytes {
		return m.takeLarge(n)
	}
	b := m.take()
	b.b = slices.Grow(b.b, n)
	return b
}

// give takes a buffer back. Nobody may hold a part of it any more.
func (m *memory) give(b *buffer) {
	if b.large != nil {
		b.large.close()
		b.large = nil
	}
	b.b = b.b[:0]
	size := cap(b.b)
	if size <= smallBytes {
		m.buffers.Put(b)
		return
	}
	for i := range m.large {
		if size == largeBytes(i) {
			m.large[i].Put(b)
		}
	}
}

// takeAnswer returns a channel with room for one answer, so that whoever sends it never waits.
func (m *memory) takeAnswer() chan answer {
	if c, ok := m.answers.Get().(chan answer); ok {
		return c
	}
	return make(chan answer, 1)
}

// giveAnswer takes back a channel that is empty and that nobody else holds.
func (m *memory) giveAnswer(c chan answer) { m.answers.Put(c) }

// eventBytes is the size of the reader of an event stream; longer lines take several reads.
const eventBytes = 8 << 10

// takeReader returns a reader for one event stream.
func (m *memory) takeReader(in io.Reader) *bufio.Reader {
	if r, ok := m.readers.Get().(*bufio.Reader); ok {
		r.Reset(in)
		return r
	}
	return bufio.NewReaderSize(in, eventBytes)
}

// giveReader takes it back, without the stream.
func (m *memory) giveReader(r *bufio.Reader) {
	r.Reset(nil)
	m.readers.Put(r)
}

// longLineError says that a line was over the limit and has been skipped.
type longLineError struct {
	limit      int
	head, tail []byte // how the line begins and ends: somewhere there is an id
}

// Error names the limit.
func (e *longLineError) Error() string { return fmt.Sprintf("message of more than %d bytes", e.limit) }

const (
	// How much is read at a time, and how much is remembered of a line that is thrown away.
	readBytes = 64 << 10 // one read of a pipe
	edgeBytes = 512      // kept of both ends of a line that is too long
)

// lineReader takes lines off a stream, each in a buffer of its own.
type lineReader struct {
	in    *bufio.Reader
	mem   *memory
	limit int
	// spills take lines that are large; nil keeps all in memory.
	spills *spills
	turn   turn
	ended  bool // the line that was returned last had no end: the stream is over
}

// newLineReader reads from in, which it does not close. A limit is in bytes, the end of the line included.
func newLineReader(in io.Reader, mem *memory, limit int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, readBytes), mem: mem, limit: limit}
}

// next returns the next line without its end. A *longLineError leaves the reader at the next line; any other error is the
// end. What stands before the end of the stream counts as a line.
func (r *lineReader) next() (*buffer, error) {
	buf := r.mem.take()
	r.turn = turn{}
	// A line longer than one read comes in parts, and is put together in memory that doubles.
	for {
		part, err := r.in.ReadSlice('\n')
		if buf.length()+len(part) > r.limit {
			head := buf.head(part)
			buf.free()
			return nil, r.skip(head, part, err)
		}
		r.spills.add(buf, part)
		r.turn.took(len(part), &r.mem.pace)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil || buf.length() > 0:
			r.ended = err != nil
			buf.b = bytes.TrimRight(buf.b, "\r\n") // behind a large message it is white space
			return buf, nil
		}
		buf.free()
		return nil, err
	}
}

// head returns a copy of how a message begins of which part is the next.
func (b *buffer) head(part []byte) []byte {
	if b.large != nil {
		return b.large.head
	}
	b.b = append(b.b, part[:min(len(part), edgeBytes)]...)
	return bytes.Clone(b.b[:min(len(b.b), edgeBytes)])
}

// skip reads on to the end of a line that is too long, of which part was read last.
func (r *lineReader) skip(head, part []byte, err error) error {
	// Nothing of the line is kept but its ends, whatever its length.
	tail := keepTail(nil, part)
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = r.in.ReadSlice('\n')
		tail = keepTail(tail, part)
		r.turn.took(len(part), &r.mem.pace)
	}
	return &longLineError{limit: r.limit, head: head, tail: bytes.TrimRight(tail, "\r\n")}
}

// keepTail returns the last bytes of tail followed by part.
func keepTail(tail, part []byte) []byte {
	tail = append(tail, part[max(0, len(part)-edgeBytes):]...)
	return bytes.Clone(tail[max(0, len(tail)-edgeBytes):])
}
