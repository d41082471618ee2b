package upstream

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Whoever reads what a server sends lets other calls run in between. Go's scheduler looks at the network only where a
// processor has nothing else to do, and every 10 ms: a few servers that send without end, so that there is always more to
// read, would have every other call wait that long for each of its messages.
const (
	pacedFrom  = 1<<20 + 128<<10 // bytes of one message that are read at full speed, a result of 1 MiB and what is around it
	pacedBytes = 256 << 10       // of what is beyond, for which one pays at a time
	pacedHeard = 64              // messages before an answer
	// endless is how many bytes have been read of a message that is taken for one without end once it is given up.
	endless = 2 << 20
	// suspected is what counts as read of the ones after it, so that they are paced from the start.
	suspected = pacedFrom
	// pacedRate is how much of all large messages together is read in a second, for each processor but one.
	pacedRate = 200 << 20
	// suspectRate is how much of all suspected messages of one server is, and suspectBytes how much is paid for at a time.
	suspectRate  = pacedRate / 8
	suspectBytes = 64 << 10
	// mostOwed bounds what a server has to make good before it is trusted again.
	mostOwed = 16 << 20
	// pauseGrows is by how much a pause between messages is longer than the one before it.
	pauseGrows   = time.Millisecond / 16
	longestPause = 8 * time.Millisecond
)

// pace is what readers of large messages pay to, in time. Its zero value is ready.
type pace struct {
	mu   sync.Mutex // guards below
	paid time.Time  // up to when
}

// pay waits until it is the turn of n more bytes, of which so many are read in a second, or until nobody waits for them. It
// always waits: time in which a reader was busy with slower bytes is no credit, for others waited meanwhile.
func (p *pace) pay(n, rate int, done <-chan struct{}) {
	price := time.Duration(n) * time.Second / time.Duration(rate)
	p.mu.Lock()
	now := time.Now()
	if p.paid.Before(now) {
		p.paid = now
	}
	p.paid = p.paid.Add(price)
	wait := p.paid.Sub(now)
	p.mu.Unlock()
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-done:
	}
}

// trust is what one server has earned with messages whose length it did not announce. Its zero value trusts.
type trust struct {
	// owed is how many bytes of messages that end have to come before the server is trusted again.
	owed atomic.Int64
	pace pace // of messages of a server that is not trusted
}

// lost says whether the server is not trusted.
func (t *trust) lost() bool { return t.owed.Load() > 0 }

// lose takes note of a message without an end, of which so many bytes were read.
func (t *trust) lose(read int) {
	if t.owed.Add(int64(read)) > mostOwed {
		t.owed.Store(mostOwed)
	}
}

// earn takes note of a message of so many bytes that has ended. What is sent in advance earns nothing.
func (t *trust) earn(read int) {
	if t.lost() && t.owed.Add(-int64(read)) < 0 {
		t.owed.Store(0)
	}
}

// turn counts the bytes that were read of one message. Its zero value has read none.
type turn struct {
	read int
	// done is closed when nobody waits for the message any more; nil never is.
	done <-chan struct{}
	// of is what learns from a message that was not announced; else nil.
	of        *trust
	suspected bool
}

// turnOf is the turn of a message of that length, for which somebody waits until ctx ends; negative means that the length was
// not announced.
func turnOf(ctx context.Context, length int64, of *trust) turn {
	switch {
	case length >= 0:
		return turn{done: ctx.Done()}
	case of.lost():
		return turn{read: suspected, done: ctx.Done(), of: of, suspected: true}
	}
	return turn{done: ctx.Done(), of: of}
}

// ended takes note of a message that has an end, of so many bytes.
func (t *turn) ended(read int) {
	if t.of != nil {
		t.of.earn(read)
	}
}

// cut takes note of a message of which nothing more is read after so many bytes.
func (t *turn) cut(read int) {
	if t.of != nil && read > endless {
		t.of.lose(read)
	}
}

// took counts n more, and pays for them where the message is large.
func (t *turn) took(n int, p *pace) {
	t.read += n
	for t.read > pacedFrom+t.portion() {
		t.read -= t.portion()
		if t.suspected {
			t.of.pace.pay(suspectBytes, suspectRate, t.done)
		}
		p.pay(t.portion(), pacedRate*max(1, runtime.GOMAXPROCS(0)-1), t.done)
	}
}

// portion is how many bytes are paid for at a time. A pause mostly takes a millisecond even where less is owed, so that it takes
// some to read as fast as one may.
func (t *turn) portion() int {
	if t.suspected {
		return suspectBytes
	}
	return pacedBytes
}

// letOthers pauses once in so many messages of one stream, which may be tiny and still keep many parts of the gateway busy.
// The more there were, the longer, up to longestPause: who reports on a call says hundreds of things, not tens of thousands.
func letOthers(heard int) {
	if heard%pacedHeard == 0 {
		time.Sleep(min(time.Millisecond+time.Duration(heard/pacedHeard)*pauseGrows, longestPause))
	}
}
