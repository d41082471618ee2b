package upstream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// link is a connection after its handshake.
type link struct {
	conn
	// hello is what the handshake found; it never changes.
	hello *hello
}

// alive says whether the connection is still of use.
func (l *link) alive() bool {
	if l == nil {
		return false
	}
	select {
	case <-l.lost():
		return false
	default:
		return true
	}
}

// mirrorsParams says whether requests have headers that mirror parameters.
func (l *link) mirrorsParams() bool {
	_, http := l.conn.(*httpConn)
	return http && l.hello.era == mcp.Modern
}

// owner is whom a session belongs to: empty for the one that all share.
type owner struct {
	session, agent string
	// capabilities are those that the agent declared, where the session is opened with them; raw.
	capabilities string
	// lane tells those of one agent's sessions apart that are lent to one call each; 0 is no such session.
	lane int
}

// session is one session with a server: a place for one connection, dialled when it is needed and again when it was lost.
type session struct {
	// up and owner never change.
	up    *Upstream
	owner owner
	// client is the agent in whose name the session is opened; nil for the gateway's.
	client *mcp.Client
	// link is the connection used last; nil before the first. It stays when it is lost, so that the next dial can wait for
	// what is left of it.
	link atomic.Pointer[link]
	// tasks are the dialling, and the listening that follows it.
	tasks sync.WaitGroup

	mu     sync.Mutex // guards below
	flight *flight    // the dialling under way
	stop   context.CancelFunc
	closed bool

	// Guarded by the upstream's mutex, for sessions that are not shared.
	// users are the calls that hold the session.
	users int
	// used is when the last of them let go.
	used time.Time
	// alone says that a call has it that wants no other beside it that may be asked.
	alone bool
	// ended says that its owner has lost it: the last user closes it.
	ended bool
}

// flight is one piece of work that many may wait for.
type flight struct {
	// done is closed when the work is over, well or not.
	done chan struct{}
	// Readable once done is closed.
	link *link
	err  error
}

// ready returns the connection, and dials it if there is none.
func (s *session) ready(ctx context.Context) (*link, error) {
	// The usual way: one atomic load, and a look at a channel.
	if l := s.link.Load(); l.alive() {
		return l, nil
	}
	f, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-f.done:
		return f.link, f.err
	case <-ctx.Done():
		return nil, ended(ctx, s.up.name)
	}
}

// dial starts to dial, or joins those who wait for it already. The work outlives the caller's ctx: others may wait for it.
func (s *session) dial(ctx context.Context) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, unavailable(s.up.name, "was shut down")
	case s.flight != nil:
		return s.flight, nil
	}
	f := &flight{done: make(chan struct{})}
	if l := s.link.Load(); l.alive() { // somebody else was faster
		f.link = l
		close(f.done)
		return f, nil
	}
	if err := s.up.mayDial(); err != nil {
		return nil, err
	}
	// The connection lives longer than the call that happens to need it first; close ends it.
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.flight, s.stop = f, stop
	s.tasks.Go(func() {
		defer stop()
		s.run(ctx, f)
	})
	return f, nil
}

// run dials and then, while the connection lasts, listens to what the server has to say on its own. ctx ends when the
// session is closed.
func (s *session) run(ctx context.Context, f *flight) {
	if old := s.link.Load(); old != nil {
		old.close() // it is lost; this waits for what is left of it
	}
	c, h, err := s.up.dialer.as(s.client).dial(ctx)
	if err == nil || ctx.Err() == nil { // a dial that close cut short says nothing about the server
		s.up.dialled(s, err)
	}
	if err == nil {
		s.up.keeps.Store(h.tasks)
	}
	// Those who wait go on before we begin to listen.
	s.land(f, c, h, err)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var listening sync.WaitGroup
	listening.Go(func() { s.up.listen(ctx, f.link) })
	select {
	case <-ctx.Done():
	case <-c.lost():
	}
	cancel()
	listening.Wait()
	s.up.live.Add(-1)
}

// land ends the flight. A connection that comes after the session was closed is left for close to find.
func (s *session) land(f *flight, c conn, h *hello, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		f.link = &link{c, h}
		s.link.Store(f.link)
	}
	s.flight, f.err = nil, err
	close(f.done)
}

// close ends the session and waits until nothing of it is left; calls under way end as unavailable.
func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	stop, dialling := s.stop, s.flight != nil
	s.mu.Unlock()
	// What is being dialled is waited for first, so that there is one link to close and no second one to come.
	if dialling {
		stop()
		s.tasks.Wait()
	}
	if l := s.link.Load(); l != nil {
		l.close()
	}
	if stop != nil {
		stop()
	}
	s.tasks.Wait()
}
