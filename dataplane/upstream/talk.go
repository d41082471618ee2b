package upstream

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// The bounds of what a server may say during one call.
	maxUnheard = 256         // messages that may wait for the agent to take them
	maxAsks    = 16          // requests of the server's at the same time
	listenTime = time.Second // that the agent may take to listen while others wait
)

// errWithdrawn says that the server no longer wants an answer to its request.
var errWithdrawn = errors.New("the server withdrew its request")

// remark is one message of a server's on its way to an agent. Its parts are in the buffer, if there is one.
type remark struct {
	msg mcp.Message
	buf *buffer
}

// talk carries what a server says during one call to the agent that made it. One goroutine tells the agent, in the order
// that things were said, so that an agent that is slow to listen does not hold up the connection.
type talk struct {
	// stream, token and id never change.
	stream mcp.Stream
	token  []byte // the progress token of the call, raw; nil where it has none
	id     int64  // of the request
	log    *slog.Logger
	// respond sends our answer to a request of the server's. Once ctx has ended it MUST NOT block.
	respond func(ctx context.Context, message []byte)
	// asks says that the server may ask: the agent's own capabilities were declared to it.
	asks bool

	// ctx ends with the call.
	ctx    context.Context
	cancel context.CancelFunc
	said   chan remark
	over   chan struct{} // closed when nothing more is to be told
	told   chan struct{} // closed when all has been told
	tasks  sync.WaitGroup
	deaf   atomic.Bool // the agent did not listen for too long

	mu sync.Mutex // guards below
	// asked :: raw id of a request of the server's → ends it
	asked map[string]context.CancelCauseFunc
}

// newTalk begins to tell; finish ends it.
func newTalk(ctx context.Context, c *mcp.Call, id int64, log *slog.Logger) *talk {
	t := &talk{
		stream: c.Stream, token: progressToken(c.Params), id: id, log: log, said: make(chan remark, maxUnheard),
		over: make(chan struct{}), told: make(chan struct{}), asked: make(map[string]context.CancelCauseFunc),
	}
	t.ctx, t.cancel = context.WithCancel(ctx)
	go t.tell()
	return t
}

// progressToken returns the raw token in the _meta of params, or nil.
func progressToken(params []byte) []byte {
	return inMeta(params, "progressToken")
}

// inMeta returns a raw member of the _meta of params, or nil.
func inMeta(params []byte, name string) []byte {
	var v [1][]byte
	if params == nil {
		return nil
	}
	if _, err := mcp.Pick(params, []string{"_meta"}, v[:]); err != nil || len(v[0]) == 0 || v[0][0] != '{' {
		return nil
	}
	meta := v[0]
	v[0] = nil
	if _, err := mcp.Pick(meta, []string{name}, v[:]); err != nil {
		return nil
	}
	return v[0]
}

// take takes a message, whose buffer it owns. It waits a little where the agent is slow, but only once.
func (t *talk) take(r remark) {
	select {
	case t.said <- r:
		return
	default:
	}
	if t.deaf.Load() {
		r.free()
		return
	}
	timer := time.NewTimer(listenTime)
	defer timer.Stop()
	select {
	case t.said <- r:
		return
	case <-t.over:
	case <-t.ctx.Done():
	case <-timer.C:
		t.deaf.Store(true)
		t.log.Warn("agent does not listen; what the server says during its call is dropped")
	}
	r.free()
}

// await is take for a stream that is the call's alone: a slow agent slows the server down, and nothing is lost.
func (t *talk) await(r remark) {
	select {
	case t.said <- r:
	case <-t.ctx.Done():
		r.free()
	}
}

// free gives the memory of a remark back.
func (r remark) free() {
	if r.buf != nil {
		r.buf.free()
	}
}

// finish tells what was said so far, ends the requests of the server's that are still open, and waits for both.
func (t *talk) finish() {
	close(t.over)
	<-t.told
	t.cancel()
	t.tasks.Wait()
}

// tell tells the agent what the server says until the call is over.
func (t *talk) tell() {
	defer close(t.told)
	for {
		select {
		case r := <-t.said:
			t.pass(r)
		case <-t.over:
			t.tellRest()
			return
		}
	}
}

// tellRest tells what was said before the end.
func (t *talk) tellRest() {
	for {
		select {
		case r := <-t.said:
			t.pass(r)
		default:
			return
		}
	}
}

// pass tells the agent one thing. An agent that has gone is told nothing.
func (t *talk) pass(r remark) {
	switch {
	case r.msg.Kind == mcp.Request:
		t.ask(r) // which owns the buffer
		return
	case r.msg.Method == "notifications/cancelled":
		t.withdraw(r.msg.Params)
	case t.ctx.Err() == nil:
		t.stream.Notify(r.msg.Method, r.msg.Params)
	}
	r.free()
}

// ask puts a request of the server's to the agent, beside what else it is told.
func (t *talk) ask(r remark) {
	id := string(r.msg.ID)
	ctx, end := context.WithCancelCause(t.ctx)
	t.mu.Lock()
	full := len(t.asked) >= maxAsks || t.asked[id] != nil
	if !full {
		t.asked[id] = end
	}
	t.mu.Unlock()
	if full {
		end(nil)
		t.respond(t.ctx, mcp.AppendError(nil, r.msg.ID, &mcp.Error{
			Code: mcp.CodeInternalError, Message: "too many requests are open",
		}))
		r.free()
		return
	}
	t.tasks.Go(func() {
		defer r.free()
		reply, err := t.stream.Ask(ctx, r.msg.Method, r.msg.Params)
		t.mu.Lock()
		delete(t.asked, id)
		t.mu.Unlock()
		if !errors.Is(context.Cause(ctx), errWithdrawn) {
			t.respond(t.ctx, appendAnswer(nil, r.msg.ID, reply, err))
		}
		reply.Close()
		end(nil)
	})
}

// withdraw ends a request that the server no longer wants to be answered.
func (t *talk) withdraw(params []byte) {
	var v [1][]byte
	if params == nil {
		return
	}
	if _, err := mcp.Pick(params, []string{"requestId"}, v[:]); err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if end := t.asked[string(v[0])]; end != nil {
		end(errWithdrawn)
	}
}

// appendAnswer appends the response to a request of the server's, as the agent gave it.
func appendAnswer(dst, id []byte, reply *mcp.Reply, err error) []byte {
	switch {
	case err != nil:
		return mcp.AppendError(dst, id, &mcp.Error{Code: mcp.CodeInternalError, Message: "the client gave no answer"})
	case reply.Error != nil:
		return mcp.AppendError(dst, id, reply.Error)
	}
	return mcp.AppendResponse(dst, id, reply.Result)
}

// talks are the calls under way on a connection whose agents listen, and the agents that listen without a call.
type talks struct {
	mu sync.Mutex // guards below
	// calls are in the order that they began in.
	calls []*talk
	// listeners hear what belongs to no call.
	listeners []*talk
}

// add takes a call in.
func (s *talks) add(t *talk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, t)
}

// attend takes a listener in; end takes it out.
func (s *talks) attend(t *talk) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, t)
	return func() { s.end(t) }
}

// end takes a talk out and finishes it.
func (s *talks) end(t *talk) {
	s.mu.Lock()
	is := func(other *talk) bool { return other == t }
	s.calls, s.listeners = slices.DeleteFunc(s.calls, is), slices.DeleteFunc(s.listeners, is)
	s.mu.Unlock()
	t.finish()
}

// pick returns the calls that a message is for, and those that listen to it. Lone says that no other call is under way, so
// that what belongs to none in particular belongs to it.
func (s *talks) pick(msg mcp.Message, lone func() bool) []*talk {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.calls) == 0 && len(s.listeners) == 0:
		return nil
	case msg.Method == "notifications/progress":
		return s.reportedLocked(msg.Params)
	case msg.Method == "notifications/cancelled":
		return slices.Clone(s.calls) // each knows what it has asked
	}
	if id, ok := parseID(inMeta(msg.Params, mcp.MetaPrefix+"subscriptionId")); ok {
		return matching(s.calls, func(t *talk) bool { return t.id == id })
	}
	if ofServer(msg.Method) {
		return slices.Clone(s.listeners)
	}
	// On a session of the agent's own, all calls are its.
	if n := len(s.calls); n > 0 && (s.calls[n-1].asks || n == 1 && lone()) {
		return []*talk{s.calls[n-1]}
	} else if n == 0 && s.listeners[0].asks {
		return []*talk{s.listeners[0]}
	}
	return nil
}

// reportedLocked returns the call that a report of progress is about.
func (s *talks) reportedLocked(params []byte) []*talk {
	var v [1][]byte
	if params == nil {
		return nil
	}
	if _, err := mcp.Pick(params, []string{"progressToken"}, v[:]); err != nil || v[0] == nil {
		return nil
	}
	return matching(s.calls, func(t *talk) bool { return bytes.Equal(t.token, v[0]) })
}

// matching returns the first talk of a kind, alone.
func matching(all []*talk, is func(*talk) bool) []*talk {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return []*talk{all[i]}
	}
	return nil
}

// ofServer says whether a notification is about the server, and not about a call.
func ofServer(method string) bool {
	return strings.HasSuffix(method, "/list_changed") || method == "notifications/resources/updated"
}

// share hands a message, whose buffer stays the caller's, to all that it is for.
func share(to []*talk, msg mcp.Message) {
	for _, t := range to {
		t.take(remark{msg: ownCopy(msg)})
	}
}

// ownCopy returns a message that shares no memory with what it was read from.
func ownCopy(msg mcp.Message) mcp.Message {
	msg.ID, msg.Params = bytes.Clone(msg.ID), bytes.Clone(msg.Params)
	return msg
}
