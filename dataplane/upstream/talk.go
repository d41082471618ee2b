package upstream

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// The bounds of what a server may say during one call.
	maxUnheard      = 256         // messages that may wait for the agent to take them
	maxUnheardBytes = 4 << 20     // of them; one more may come on top
	maxAsks         = 16          // requests of the server's at the same time
	listenTime      = time.Second // that the agent may take to listen while others wait
)

// errWithdrawn says that the server no longer wants an answer to its request.
var errWithdrawn = errors.New("the server withdrew its request")

// remark is one message of a server's on its way to an agent. Its parts are in the buffer, if there is one.
type remark struct {
	msg mcp.Message
	buf *buffer
}

// talk carries what a server says during one call to the agent that made it. One goroutine at a time tells the agent, in
// the order that things were said, so that an agent that is slow to listen does not hold up the connection. There is one
// only while there is something to tell: thousands of agents may listen to a server that says nothing.
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
	ctx     context.Context
	cancel  context.CancelFunc
	tellers sync.WaitGroup
	tasks   sync.WaitGroup // what the server asks
	deaf    atomic.Bool    // the agent did not listen for too long
	heard   atomic.Int64
	most    int64  // of heard; 0 for as many as there are
	full    func() // told once, where there is more
	place   int    // among the listeners, whose mutex guards it

	mu sync.Mutex // guards below
	// said is what waits to be told, from first on; bytes is how large its params are.
	said    []remark
	first   int
	bytes   int
	telling bool          // a goroutine tells
	room    chan struct{} // closed when there is room again; nil where nobody waits for that
	over    bool          // nothing more is to be told
	// asked :: raw id of a request of the server's → ends it
	asked map[string]context.CancelCauseFunc
}

// newTalk begins to tell; finish ends it.
func newTalk(ctx context.Context, c *mcp.Call, id int64, log *slog.Logger) *talk {
	t := &talk{stream: c.Stream, token: progressToken(c.Params), id: id, log: log}
	t.ctx, t.cancel = context.WithCancel(ctx)
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
	if t.hasHeardEnough() {
		r.free()
		return
	}
	taken, room := t.put(r)
	if taken {
		return
	}
	if t.deaf.Load() {
		r.free()
		return
	}
	timer := time.NewTimer(listenTime)
	defer timer.Stop()
	for !taken {
		select {
		case <-room:
			taken, room = t.put(r)
		case <-t.ctx.Done():
			r.free()
			return
		case <-timer.C:
			t.deaf.Store(true)
			t.log.Warn("agent does not listen; what the server says during its call is dropped")
			r.free()
			return
		}
	}
}

// bound bounds what is told during a call; one who listens without a call may listen for ever.
func (t *talk) bound(cfg *Config) {
	if t.id != 0 {
		t.most, t.full = int64(cfg.MaxNotifications), func() { cfg.Refused(limit.Notifications) }
	}
}

// hasHeardEnough counts a message, and says whether it is to be dropped.
func (t *talk) hasHeardEnough() bool {
	n := t.heard.Add(1)
	if t.most == 0 || n <= t.most {
		return false
	}
	if n == t.most+1 {
		t.full()
		t.log.Warn("server talks without end during a call; the rest is dropped", "messages", t.most)
	}
	return true
}

// await is take for a stream that is the call's alone: a slow agent slows the server down, and nothing is lost.
func (t *talk) await(r remark) {
	for {
		taken, room := t.put(r)
		if taken {
			return
		}
		select {
		case <-room:
		case <-t.ctx.Done():
			r.free()
			return
		}
	}
}

// put has a message told, unless too many wait; then room is closed once it is worth another try.
func (t *talk) put(r remark) (taken bool, room <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
		r.free()
		return true, nil
	case len(t.said)-t.first >= maxUnheard, t.bytes > maxUnheardBytes:
		if t.room == nil {
			t.room = make(chan struct{})
		}
		return false, t.room
	}
	if t.first >= maxUnheard { // told all the time, but never out of words
		t.said, t.first = t.said[:copy(t.said, t.said[t.first:])], 0
	}
	t.said = append(t.said, r)
	t.bytes += len(r.msg.Params)
	if !t.telling {
		t.telling = true
		t.tellers.Go(t.tell)
	}
	return true, nil
}

// free gives the memory of a remark back.
func (r remark) free() {
	if r.buf != nil {
		r.buf.free()
	}
}

// finish tells what was said so far, ends the requests of the server's that are still open, and waits for both.
func (t *talk) finish() {
	t.mu.Lock()
	t.over = true
	if t.room != nil {
		close(t.room)
		t.room = nil
	}
	t.mu.Unlock()
	t.tellers.Wait()
	t.cancel()
	t.tasks.Wait()
}

// tell tells the agent what the server has said.
func (t *talk) tell() {
	for {
		r, ok := t.next()
		if !ok {
			return
		}
		t.pass(r)
	}
}

// keptRemarks is how many places of a talk are kept for what the server says next.
const keptRemarks = 8

// next returns what is to be told next; false ends the telling, until the server says more.
func (t *talk) next() (r remark, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == len(t.said) {
		if t.said, t.first = t.said[:0], 0; cap(t.said) > keptRemarks {
			t.said = nil
		}
		t.telling = false
		return r, false
	}
	r, t.said[t.first] = t.said[t.first], remark{}
	t.first++
	t.bytes -= len(r.msg.Params)
	if t.room != nil {
		close(t.room)
		t.room = nil
	}
	return r, true
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
		if t.asked == nil {
			t.asked = make(map[string]context.CancelCauseFunc)
		}
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
