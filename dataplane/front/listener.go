package front

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// maxUnsent bounds what may wait, in bytes, for an agent that does not read its stream; a single event may be larger.
	maxUnsent = 256 << 10
	// goodbyeTime is how long a stream that ends may take to send what is left.
	goodbyeTime = time.Second
)

var (
	// errGone is why a stream ends whose agent went away, or takes nothing.
	errGone = errors.New("the agent is gone")
	// errSlow is why a stream ends whose agent reads more slowly than its server speaks.
	errSlow = errors.New("the agent does not read its stream")
)

// stream is the open event stream of a legacy session, outside of any request. It implements mcp.Stream. Whoever says
// something on it never waits: what is said waits in the stream, and a goroutine writes it that is there only while
// something waits.
type stream struct {
	h *Handler
	// call says who listens, direct to which server, nil where to none, and client what the agent declared.
	call   gateway.Call
	direct *gateway.Direct
	client *mcp.Client
	out    outlet
	slot   int // of the wheel; never changes once it is there

	// ctx ends with the stream; its cause is why.
	ctx    context.Context
	cancel context.CancelCauseFunc
	tasks  sync.WaitGroup // what runs for it, but for what waits for its agent to leave

	mu sync.Mutex // guards below
	// unsent are whole events.
	unsent  []byte
	writing bool // a goroutine writes
	ended   bool
	// again ends the listening of now, so that it begins anew; nil while there is none.
	again context.CancelFunc
}

// newStream makes a stream of an exchange, of which it keeps no memory.
func newStream(ctx context.Context, h *Handler, x *exchange) *stream {
	s := &stream{h: h, call: x.call, direct: x.direct}
	if s.direct != nil {
		s.client = h.sessionClient(x)
	}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx)) // it outlives its request
	return s
}

// begin sends the first comment, by which an agent sees that the stream stands, and listens to the server.
func (s *stream) begin() {
	s.send([]byte(ping))
	if s.direct == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.tasks.Go(s.changes)
	}
}

// Notify implements mcp.Stream.
func (s *stream) Notify(method string, params []byte) {
	s.send(appendEvent(nil, mcp.AppendNotification(nil, method, params)))
}

// Ask implements mcp.Stream: agents are asked on the streams of their calls.
func (s *stream) Ask(context.Context, string, []byte) (*mcp.Reply, error) {
	return &mcp.Reply{Error: &mcp.Error{Code: mcp.CodeMethodNotFound, Message: "this client is asked during its calls only"}}, nil
}

// send has whole events sent, which are copied. It never waits; where too much is unsent already, the stream ends.
func (s *stream) send(events []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
	case len(s.unsent) > 0 && len(s.unsent)+len(events) > maxUnsent:
		s.h.log.Debug("stream cut off", "error", errSlow, "remote", s.call.Remote)
		s.endLocked(errSlow)
	default:
		s.unsent = append(s.unsent, events...)
		s.writeLocked()
	}
}

// end ends the stream, once. What is unsent is sent first, unless the agent is gone.
func (s *stream) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(why)
}

func (s *stream) endLocked(why error) {
	if s.ended {
		return
	}
	s.ended = true
	s.cancel(why)
	if errors.Is(why, errGone) || errors.Is(why, errSlow) {
		s.unsent = nil
		s.out.cut()
		return
	}
	s.out.within(goodbyeTime)
	s.writeLocked() // which says goodbye
}

// writeLocked sees to it that a goroutine writes.
func (s *stream) writeLocked() {
	if !s.writing {
		s.writing = true
		s.tasks.Go(s.write)
	}
}

// write writes what is unsent until nothing is.
func (s *stream) write() {
	for {
		text, more := s.next()
		if !more {
			return
		}
		if !s.out.write(text) {
			s.end(errGone)
		}
	}
}

// next returns what is to be written next, a piece at most, and begins the time that the agent may take to read it.
func (s *stream) next() (text []byte, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unsent) == 0 {
		s.writing = false
		if s.ended {
			s.out.close()
		}
		return nil, false
	}
	n := min(len(s.unsent), piece)
	text, s.unsent = s.unsent[:n:n], s.unsent[n:]
	if len(s.unsent) == 0 {
		s.unsent = nil // quiet streams hold no memory
	}
	if !s.ended {
		s.out.within(2 * s.h.conf.patience())
	}
	return text, true
}

// listening returns a context for listening to the server: it ends with the stream, and with restart.
func (s *stream) listening() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = cancel
	return ctx, cancel
}

// restart has the stream listen anew: what its agent wants to hear has changed.
func (s *stream) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.again != nil {
		s.again()
	}
}

// check sends a comment, so that nothing on the way cuts a quiet stream, unless it must end.
func (s *stream) check() {
	if !s.h.mayListen(s.call.Session, s.call.Authorization) {
		s.end(context.Canceled)
		return
	}
	s.send([]byte(ping))
}

// leave waits for what runs for a stream whose agent is gone, or that has ended.
func (s *stream) leave() {
	s.end(errGone)
	s.tasks.Wait()
	s.h.streams.remove(s)
	s.h.closeStream(s.call.Principal)
}
