package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// follower takes a stream that listens from each table to the next, since others wait for the old one to be let go. Where
// nothing changes for the agent, it hears nothing of it; where only what it may see changes, it is told so. There is a
// goroutine only while a table is being changed for another: thousands of streams may be open.
type follower struct {
	f    *flight
	s    *subscription
	at   **place
	stop context.CancelCauseFunc // ends the listening
	next *place                  // where the stream has to be begun anew; nil where it has to end, or goes on
	done sync.WaitGroup

	arming sync.Mutex // held while forget is made
	forget func()

	mu   sync.Mutex // guards below
	over bool
}

// await has the follower take its step when the table is retired.
func (w *follower) await() {
	w.arming.Lock()
	defer w.arming.Unlock()
	w.forget = w.f.table.OnRetire(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.over {
			w.done.Go(w.step)
		}
	})
}

// end ends the follower, and waits for the step that it may be taking.
func (w *follower) end() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.done.Wait()
	w.forget()
}

// step goes to the table that is live now.
func (w *follower) step() {
	at := *w.at
	next := w.f.decideAnew()
	switch {
	case next == nil:
		w.s.mute(true) // what the server says until it has noticed
		w.stop(ErrMoved)
	case next.key != at.key || !w.s.hearsTheSame(at.agent, next.agent):
		w.next = next
		w.stop(ErrMoved)
	default:
		*w.at = w.f.retell(w.s.ctx, w.s, at, next)
		w.s.settle(*w.at)
		w.await()
	}
}

// pause waits for a table on which a stream may go on, and tells the agent that it sees everything anew. It returns nowhere
// where the agent leaves first.
func (f *flight) pause(ctx context.Context, s *subscription, at *place) (*place, error) {
	f.g.leave(at)
	for {
		// The table that refuses is pinned in the place of the one before, which others wait for.
		t := f.g.config.Live.Acquire()
		if t == nil {
			return nil, ErrMoved
		}
		f.table.Release()
		f.table = t
		if next := f.decideAnew(); next != nil {
			f.adopt(next)
			s.mute(false)
			for _, kind := range policy.Kinds() {
				s.tell(notifyList(kind), nil)
			}
			return next, nil
		}
		retired := make(chan struct{})
		forget := t.OnRetire(func() { close(retired) })
		select {
		case <-ctx.Done():
			forget()
			return nil, ctx.Err()
		case <-retired:
		}
	}
}

// adopt makes a place the one that the flight is at, and lets its table go.
func (f *flight) adopt(next *place) {
	f.table.Release()
	f.table, f.principal, f.agent = next.table, next.principal, next.agent
}

// decideAnew asks the table that is live now whether a stream may go on, in the order of passThrough, and pins that table;
// nil says that it may not, and pins nothing.
func (f *flight) decideAnew() *place {
	t := f.g.config.Live.Acquire()
	if t == nil {
		return nil
	}
	// A flight of its own, which is never recorded: what ends is this stream, whose record was made when it began.
	n := &flight{g: f.g, call: f.call, direct: f.direct, table: t, principal: f.principal}
	if f.call.Authorization != "" {
		p, err := f.g.config.Auth.Identify(t, f.call.Authorization)
		if err != nil {
			t.Release()
			return nil
		}
		n.principal = p
	}
	if n.identify(f.direct.Agent) != nil || n.permit(f.direct) != nil {
		t.Release()
		return nil
	}
	u, _, err := n.upstream(f.direct.Server)
	if err != nil {
		t.Release()
		return nil
	}
	n.entry.Time = time.Now()
	return n.place(u)
}

// retell moves a stream to its next place, and tells the agent which of its lists differ there. The old table is let go
// only afterwards: until then its upstreams can be asked what the agent saw.
func (f *flight) retell(ctx context.Context, s *subscription, at, next *place) *place {
	if at.upstream != next.upstream || !at.agent.Same(next.agent) {
		ctx, cancel := context.WithTimeout(ctx, next.table.Server(f.direct.Server).CallTimeout)
		for _, kind := range policy.Kinds() {
			if s.wants(notifyList(kind)) && f.differs(ctx, kind, at, next) {
				s.tell(notifyList(kind), nil)
			}
		}
		cancel()
	}
	f.g.leave(at)
	f.adopt(next)
	return next
}

// differs says whether the agent sees another list of a kind at the next place. What cannot be found out may differ.
func (f *flight) differs(ctx context.Context, kind policy.Kind, at, next *place) bool {
	server := f.direct.Server
	narrow := at.agent.Narrows(kind, server) || next.agent.Narrows(kind, server)
	if at.upstream == next.upstream && !narrow {
		return false
	}
	before, err := at.glance(ctx, f.direct, kind)
	if err != nil {
		return true
	}
	after, err := next.glance(ctx, f.direct, kind)
	return err != nil || before.seen != after.seen
}

// glance is a list as the agent sees it at a place.
func (p *place) glance(ctx context.Context, d *Direct, kind policy.Kind) (glance, error) {
	r, err := p.lists.kinds[kind].read(ctx, func(ctx context.Context) ([]listed, error) {
		return fetch(ctx, p.upstream, d, p.agent.ID, kind)
	})
	if err != nil {
		return glance{}, err
	}
	return r.glance(p.agent, kind, d.Server), nil
}

// hearsTheSame says whether an agent hears of the same resources by both policies.
func (s *subscription) hearsTheSame(a, b *policy.Agent) bool {
	return a.Same(b) || slices.Equal(mayHear(a, s.server, s.asks), mayHear(b, s.server, s.asks))
}
