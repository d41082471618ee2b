package upstream

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// overhear deals with what a server says on the stream of a call: it is for that call's agent.
func (c *httpConn) overhear(t *talk, msg mcp.Message) {
	if msg.Kind == mcp.Notification && ofServer(msg.Method) { // some servers say on any stream what concerns all
		share(c.talks.attending(), msg)
	}
	if t == nil {
		c.answerOrNotice(msg)
		return
	}
	if to := []*talk{t}; msg.Kind == mcp.Request && !mayAsk(to, msg) {
		c.answerOrNotice(msg, to...)
		return
	}
	if msg.Kind == mcp.Notification {
		noticed(msg.Method, c.hooks)
	}
	t.await(remark{msg: ownCopy(msg)})
}

// hear deals with what a server says on its own: it is for those who listen, and what it asks for the agent whose session
// it is.
func (c *httpConn) hear(msg mcp.Message) {
	to := c.talks.pick(msg, func() bool { return false })
	if msg.Kind == mcp.Request && mayAsk(to, msg) {
		share(to, msg)
		return
	}
	c.answerOrNotice(msg)
	if msg.Kind == mcp.Notification {
		share(to, msg)
	}
}

// answerOrNotice deals with what concerns us alone; to is the call, if any, on whose stream it was said.
func (c *httpConn) answerOrNotice(msg mcp.Message, to ...*talk) {
	switch msg.Kind {
	case mcp.Request:
		answer, no := c.offers.append(nil, msg)
		if no {
			refused(to, msg.Method)
		}
		c.postBeside(answer)
	case mcp.Notification:
		noticed(msg.Method, c.hooks)
	}
}

// attend takes a listener in; end takes it out.
func (c *httpConn) attend(ctx context.Context, call *mcp.Call) (end func()) {
	return c.talks.attend(c.converse(ctx, 0, call))
}

// listen keeps the stream open on which a legacy server says what belongs to no request, until ctx ends. Servers need not
// offer it.
func (c *httpConn) listen(ctx context.Context) {
	pause, lastID := newPause(), ""
	for ctx.Err() == nil {
		body, err := c.open(ctx, lastID)
		if status, ok := errors.AsType[*statusError](err); ok && status.status < 500 {
			return // it is not offered: 405, mostly
		}
		if began := time.Now(); err == nil {
			lastID = c.hearAll(body)
			if time.Since(began) > steadyTime { // a server that ends streams at once is not asked again at once
				pause.Reset()
			}
		}
		sleep(ctx, pause.NextBackOff())
	}
}

// hearAll reads a stream to its end and returns its last event's id.
func (c *httpConn) hearAll(body io.ReadCloser) string {
	defer body.Close()
	in := c.events(c.ctx, body, c.cfg.MaxMemoryBytes)
	defer in.close()
	for heard := 1; ; heard++ {
		ev, err := in.next()
		if err != nil {
			return in.from.lastID
		}
		if msg, err := mcp.ScanMessage(ev.data.b); err == nil {
			c.hear(msg)
		}
		ev.data.free()
		letOthers(heard)
	}
}
