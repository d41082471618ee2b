package upstream

import (
	"bytes"
	"context"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// conn is one connection to a server, over whatever transport.
type conn interface {
	// call sends one request and waits for its answer.
	call(ctx context.Context, c *mcp.Call) (*mcp.Reply, error)
	// notify sends a notification.
	notify(ctx context.Context, method string, params []byte) error
	// speak sets how requests are written from now on: what the handshake found out so far.
	speak(h *hello)
	// listen keeps the transport's own stream of notifications open until ctx ends; it returns at once where there is none.
	listen(ctx context.Context)
	// lost is closed once the connection is of no more use.
	lost() <-chan struct{}
	// close ends the connection, politely if it still works, and waits until nothing of it is left.
	close()
}

// hooks are what a connection tells its upstream. They MUST NOT block.
type hooks struct {
	// changed says that the server's tools are no longer what they were.
	changed func()
	// down says that the connection was lost, and why.
	down func(error)
}

// answer is what a waiting call gets: a message in its buffer, or an error.
type answer struct {
	msg mcp.Message
	buf *buffer
	err error
}

// reply makes the reply of an answer; it gives the buffer back where the reply does not need it.
func (a answer) reply(server string) (*mcp.Reply, error) {
	switch {
	case a.err != nil:
		return nil, a.err
	case a.msg.Error == nil:
		return &mcp.Reply{Result: a.msg.Result, Free: a.buf.free}, nil
	}
	e, err := mcp.ParseError(a.msg.Error)
	a.buf.free()
	if err != nil {
		return nil, invalid(server, "sent an error that is none: %w", err)
	}
	return &mcp.Reply{Error: e}, nil
}

// waiters are the calls under way on a connection where all answers arrive on one stream. Ids are never used twice.
type waiters struct {
	mu   sync.Mutex // guards below
	next int64
	byID map[int64]chan answer
	err  error // set once, when the connection was lost
}

// add registers a call and names it; c, with room for one answer, gets exactly one unless drop comes first.
func (w *waiters) add(c chan answer) (id int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if w.byID == nil {
		w.byID = make(map[int64]chan answer)
	}
	w.next++
	w.byID[w.next] = c
	return w.next, nil
}

// take removes a call; nil says that there is none of that id.
func (w *waiters) take(id int64) chan answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.byID[id]
	delete(w.byID, id)
	return c
}

// drop gives a call up; an answer that came meanwhile is thrown away. The caller may use c again afterwards.
func (w *waiters) drop(id int64, c chan answer) {
	if w.take(id) != nil {
		return
	}
	if a := <-c; a.buf != nil { // whoever took it out has sent, or is about to
		a.buf.free()
	}
}

// fail ends all calls under way with err, and those to come with after.
func (w *waiters) fail(err, after error) {
	w.mu.Lock()
	all := w.byID
	w.byID, w.err = nil, after
	w.mu.Unlock()
	for _, c := range all {
		c <- answer{err: err}
	}
}

// parseID reads a request id of ours as it comes back.
func parseID(raw []byte) (int64, bool) {
	if len(raw) == 0 || len(raw) > 18 {
		return 0, false
	}
	id := int64(0)
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, false
		}
		id = id*10 + int64(c-'0')
	}
	return id, true
}

// guessID finds an id of ours near one end of a message that cannot be read as a whole. SDKs write the id first or last.
func guessID(text []byte) (int64, bool) {
	i := bytes.LastIndex(text, []byte(`"id":`))
	if i < 0 {
		return 0, false
	}
	digits := bytes.TrimLeft(text[i+len(`"id":`):], " ")
	n := 0
	for n < len(digits) && digits[n] >= '0' && digits[n] <= '9' {
		n++
	}
	return parseID(digits[:n])
}
