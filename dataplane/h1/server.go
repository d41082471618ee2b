package h1

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ServerConfig says how a Server serves. Handler is needed.
type ServerConfig struct {
	// Handler answers the requests. What it gets belongs to the connection: neither the request nor its header may be changed,
	// and neither may be used once the handler has returned. The request's context ends when the agent goes away, and not when
	// the handler returns.
	Handler http.Handler
	// MaxHeadBytes bounds a request's head; 0 means 64 KiB. Beyond it the answer is 431.
	MaxHeadBytes int
	// HeaderTimeout is how long a head may take, from its first byte, and the first one of a connection from its beginning;
	// 0 means 10 s. IdleTimeout is how long a connection may be quiet between two requests; 0 means two minutes.
	HeaderTimeout, IdleTimeout time.Duration
	// Logger gets what breaks off; nil discards it.
	Logger *slog.Logger
}

// Server serves HTTP/1.1 over plain TCP, one goroutine a connection. To a handler it is what net/http's server is, but
// starts no goroutine and no timer for a request that is answered soon; see the package's documentation. NewServer makes one.
type Server struct {
	conf ServerConfig
	log  *slog.Logger

	closing atomic.Bool
	date    atomic.Pointer[string] // of answers, to the second
	told    int64                  // which second that is; only the watch looks
	// resting says that the watch looks rarely, since no request is under way; kick wakes it.
	resting atomic.Bool
	kick    chan struct{}
	done    chan struct{} // ends the watch
	stop    sync.Once
	memory  sync.Pool // of *memory
	wide    wide
	tasks   sync.WaitGroup // the watch, and what it started

	mu       sync.Mutex // guards below
	listener net.Listener
	conns    map[*inbound]struct{}
	empty    chan struct{} // closed when the last connection goes while the server closes; nil while nobody waits
}

// NewServer returns a server that serves nothing yet.
func NewServer(c ServerConfig) *Server {
	c.MaxHeadBytes = cmp.Or(c.MaxHeadBytes, 64<<10)
	c.HeaderTimeout, c.IdleTimeout = cmp.Or(c.HeaderTimeout, 10*time.Second), cmp.Or(c.IdleTimeout, 2*time.Minute)
	return &Server{
		conf: c, log: cmp.Or(c.Logger, slog.New(slog.DiscardHandler)), kick: make(chan struct{}, 1), done: make(chan struct{}),
		conns: make(map[*inbound]struct{}), wide: wide{size: c.MaxHeadBytes + bufferBytes},
	}
}

// Serve serves a listener, which it closes, until Shutdown or Close; it is called once. Its error is http.ErrServerClosed
// then, or the listener's.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	defer l.Close()
	if s.closing.Load() {
		return http.ErrServerClosed
	}
	s.tell(time.Now())
	s.tasks.Go(s.watch)
	for rest := time.Duration(0); ; {
		n, err := l.Accept()
		switch {
		case s.closing.Load():
			if err == nil {
				n.Close()
			}
			return http.ErrServerClosed
		case err == nil:
			rest = 0
			s.admit(n)
			continue
		case !passes(err):
			return err
		}
		rest = min(max(2*rest, 5*time.Millisecond), time.Second)
		s.log.Warn("connection not accepted", "error", err, "again_after", rest)
		time.Sleep(rest)
	}
}

// passes says whether a listener that failed so may work again: there is too little of something, or an agent went away.
func passes(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit serves a connection.
func (s *Server) admit(n net.Conn) {
	c := newInbound(s, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		n.Close()
		return
	}
	s.conns[c] = struct{}{}
	go c.serve() // until it forgets itself, which Shutdown waits for
}

// forget takes a connection out: it is closed, or somebody else's.
func (s *Server) forget(c *inbound) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.empty != nil && len(s.conns) == 0 {
		close(s.empty)
		s.empty = nil
	}
}

// Shutdown accepts nothing more, closes connections on which no request is under way, and waits until the rest are done, or
// ctx ends, whose error it returns then. Connections that a handler has taken over are not waited for.
func (s *Server) Shutdown(ctx context.Context) error {
	empty := s.close(func(c *inbound) { c.closeIdle() })
	select {
	case <-empty:
		s.stop.Do(func() { close(s.done) })
		s.tasks.Wait()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes the listener and all connections at once; what their handlers do ends by its context. It does not wait for
// them. It always returns nil.
func (s *Server) Close() error {
	s.close(func(c *inbound) { c.cut() })
	s.stop.Do(func() { close(s.done) })
	return nil
}

// close accepts nothing more, and does something with each connection. What it returns is closed once there is none.
func (s *Server) close(each func(*inbound)) (empty <-chan struct{}) {
	s.closing.Store(true)
	gone := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close() // it is closed either way
	}
	for c := range s.conns {
		each(c)
	}
	switch {
	case len(s.conns) == 0:
		close(gone)
	case s.empty == nil:
		s.empty = gone
	default: // another one waits already
		return s.empty
	}
	return gone
}

// tell sets the date of answers, in each second once.
func (s *Server) tell(now time.Time) {
	if s.told == now.Unix() {
		return
	}
	s.told = now.Unix()
	text := now.UTC().Format(http.TimeFormat)
	s.date.Store(&text)
}
