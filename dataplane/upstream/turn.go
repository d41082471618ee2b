package upstream

import (
	"runtime"
	"sync"
	"time"
)

// Whoever reads what a server sends lets other calls run in between. Go's scheduler looks at the network only where a
// processor has nothing else to do, and every 10 ms: a few servers that send without end, so that there is always more to
// read, would have every other call wait that long for each of its messages.
const (
	pacedFrom  = 1<<20 + 128<<10 // bytes of one message that are read at full speed, a result of 1 MiB and what is around it
	pacedBytes = 256 << 10       // of what is beyond, for which one pays at a time
	pacedHeard = 64              // messages before an answer
	// unannounced is what counts as read already where nobody said how long it will be: it may never end.
	unannounced = turn(pacedFrom - pacedBytes)
	// pacedRate is how much of all large messages together is read in a second, for each processor but one.
	pacedRate = 200 << 20
	// pacedBurst is how long nothing has to have been paid for so that as much as is paid for in that time is free.
	pacedBurst = 10 * time.Millisecond
)

// pace is what all readers of large messages pay to, in time. Its zero value is ready.
type pace struct {
	mu   sync.Mutex // guards below
	paid time.Time  // up to when
}

// pay waits until it is the turn of n more bytes.
func (p *pace) pay(n int) {
	price := time.Duration(n) * time.Second / time.Duration(pacedRate*max(1, runtime.GOMAXPROCS(0)-1))
	p.mu.Lock()
	now := time.Now()
	if from := now.Add(-pacedBurst); p.paid.Before(from) {
		p.paid = from
	}
	p.paid = p.paid.Add(price)
	wait := p.paid.Sub(now)
	p.mu.Unlock()
	time.Sleep(wait)
}

// turn counts the bytes that were read of one message. Its zero value has read none.
type turn int

// turnOf is the turn of a message of that length; negative means that it was not announced.
func turnOf(length int64) turn {
	if length < 0 {
		return unannounced
	}
	return 0
}

// took counts n more, and pays for them where the message is large.
func (t *turn) took(n int, p *pace) {
	if *t += turn(n); *t > pacedFrom+pacedBytes {
		*t -= pacedBytes
		p.pay(pacedBytes)
	}
}

// letOthers pauses once in so many messages of one stream, which may be tiny and still keep many parts of the gateway busy.
func letOthers(heard int) {
	if heard%pacedHeard == 0 {
		time.Sleep(time.Millisecond)
	}
}
