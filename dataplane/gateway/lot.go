package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// partingTime is what a server gets to end a call in good order once it has been told that nobody answers.
const partingTime = 2 * time.Second

// lot holds the calls of modern agents at legacy servers that are parked until their agents answer, and those that were.
// What it holds is bounded, in all and for each principal.
type lot struct {
	most, mostEach int

	mu sync.Mutex // guards below, and the fields of parked calls
	// calls :: id → call; all that may still be asked for
	calls map[string]*parked
	// running are all calls that have not ended, those that nobody will ask for included.
	running map[*parked]struct{}
	// waiting :: principal → how many of its calls are parked
	waiting map[string]int
	total   int
	closed  bool
	tasks   sync.WaitGroup // the calls themselves
}

// parked is a call that is kept from one request of its agent's to the next.
type parked struct {
	*interview
	id        string
	principal string
	timeout   time.Duration

	// Guarded by the lot's mutex.
	round int
	// attended says that a request of the agent's is waiting for it: it is not parked.
	attended bool
	// gone says that nobody will ask for it any more: whoever comes last closes the reply.
	gone  bool
	ended bool
	timer *time.Timer
}

// newLot makes a lot with room for so many parked calls.
func newLot(most, mostEach int) *lot {
	return &lot{most: most, mostEach: mostEach, calls: make(map[string]*parked), running: make(map[*parked]struct{}), waiting: make(map[string]int)}
}

// begin takes a call in and runs it, attended by the request that it came with; false says that the lot has closed. done is
// called when the call has ended.
func (l *lot) begin(p *parked, run, done func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	p.id, p.attended = rand.Text(), true
	l.calls[p.id], l.running[p] = p, struct{}{}
	l.tasks.Go(func() {
		defer done()
		run()
		l.mu.Lock()
		p.ended = true
		delete(l.running, p)
		gone := p.gone
		l.mu.Unlock()
		if gone {
			p.reply.Close()
		}
	})
	return true
}

// errClosed says that no call waits any more.
var errClosed = errors.New("the proxy is going down")

// fullError says which bound it is.
type fullError limit.Name

// Error words it.
func (r fullError) Error() string { return "too many calls wait for answers: the limit " + string(r) }

// park has a call wait for its agent, and returns what names it until then.
func (l *lot) park(p *parked) (name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return "", errClosed
	case l.waiting[p.principal] >= l.mostEach:
		return "", fullError(limit.Parked)
	case l.total >= l.most:
		return "", fullError(limit.ParkedCalls)
	}
	p.round++
	p.attended = false
	l.waiting[p.principal]++
	l.total++
	round := p.round
	p.timer = time.AfterFunc(p.timeout, func() { l.expire(p, round) })
	return p.id + "." + strconv.Itoa(round), nil
}

// leaveLocked takes a call out of those that wait.
func (l *lot) leaveLocked(p *parked) {
	if p.attended {
		return
	}
	p.attended = true
	p.timer.Stop()
	l.total--
	if l.waiting[p.principal]--; l.waiting[p.principal] == 0 {
		delete(l.waiting, p.principal)
	}
}

// take gives a parked call to the request that answers it; nil where it is gone, or was named in an earlier round.
func (l *lot) take(name string) *parked {
	id, text, _ := strings.Cut(name, ".")
	round, err := strconv.Atoi(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.calls[id]
	if err != nil || p == nil || p.attended || p.round != round || l.closed {
		return nil
	}
	l.leaveLocked(p)
	return p
}

// forget drops a call that its request has the end of.
func (l *lot) forget(p *parked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.calls, p.id)
}

// abandon drops a call that nobody will ask for any more. It is cancelled, at once or when it had a moment to end by itself.
func (l *lot) abandon(p *parked, within time.Duration) {
	l.mu.Lock()
	ended := l.dropLocked(p)
	l.mu.Unlock()
	p.part(ended, within)
}

// expire ends a call whose agent did not come back in time. An agent that comes at this very moment has it, or finds it gone.
func (l *lot) expire(p *parked, round int) {
	l.mu.Lock()
	if p.attended || p.round != round || l.closed {
		l.mu.Unlock()
		return
	}
	ended := l.dropLocked(p)
	l.mu.Unlock()
	p.part(ended, partingTime)
}

// dropLocked takes a call out for good, and says whether it has ended already.
func (l *lot) dropLocked(p *parked) (ended bool) {
	delete(l.calls, p.id)
	l.leaveLocked(p)
	p.gone = true
	return p.ended
}

// part ends a call that was dropped. Its reply is closed here where it had ended by then, else when it does.
func (p *parked) part(ended bool, within time.Duration) {
	switch {
	case ended:
		p.reply.Close()
	case within == 0:
		p.cancel()
	default:
		p.giveUp()
		time.AfterFunc(within, p.cancel)
	}
}

// close cancels all calls and waits for them; none is taken in any more.
func (l *lot) close() {
	l.mu.Lock()
	l.closed = true
	all := make([]*parked, 0, len(l.calls))
	for _, p := range l.calls {
		all = append(all, p)
		if p.timer != nil {
			p.timer.Stop()
		}
	}
	for p := range l.running {
		p.cancel()
	}
	l.mu.Unlock()
	l.tasks.Wait()
	for _, p := range all {
		l.mu.Lock()
		orphan := !p.attended && !p.gone
		l.mu.Unlock()
		if orphan {
			p.reply.Close()
		}
	}
}

// parkedFor is how long a call of a server may last in all: what it may take itself, and what its agent may take for each
// answer.
func parkedFor(most, park time.Duration) time.Duration { return most + (maxRounds+1)*park }

// newParked makes the call of a request.
func newParked(x *crossing, cancel context.CancelFunc) *parked {
	return &parked{interview: newInterview(x, cancel), principal: x.principal.Name, timeout: x.questions.ParkTimeout}
}

// full is why a call that has to wait cannot, as the agent sees it.
func (x *crossing) full(err error) error {
	if room, ok := errors.AsType[fullError](err); ok {
		x.g.config.Refused(limit.Name(room))
		return refuse(mcp.RateLimited, fmt.Sprintf("server %q asked something, and %v", x.direct.Server, err))
	}
	return refuse(mcp.ServerUnavailable, unavailable(x.direct.Server, err.Error()))
}
