package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// sseConn is a connection over the older HTTP+SSE (MCP 2024-11-05, basic/transports): one event stream brings all
// answers, requests go by POST to a place that the stream names first.
type sseConn struct {
	*endpoint
	inbox inbox
	named bool // the stream has named the place; only its reader looks
	tasks sync.WaitGroup
}

// dialSSE opens the stream and waits for the place to post to.
func dialSSE(ctx context.Context, e *endpoint) (*sseConn, error) {
	c := &sseConn{endpoint: e}
	c.inbox = inbox{name: e.name, mem: e.mem, most: e.cfg.MaxMemoryBytes, log: e.log, hooks: e.hooks, offers: e.offers, respond: func(buf *buffer) {
		e.postBeside(append([]byte(nil), buf.b...))
		buf.free()
	}}
	// The stream lives as long as the connection, so ctx can bound only the wait for its first event.
	named := make(chan error, 1)
	c.tasks.Go(func() { c.read(named) })
	var err error
	select {
	case err = <-named:
	case <-ctx.Done():
		err = ended(ctx, e.name)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// read opens the stream and reads it to its end; named gets the outcome of the first event.
func (c *sseConn) read(named chan<- error) {
	err := c.stream(named)
	if err == nil {
		err = conduct("ended the event stream")
	}
	err = c.broken(c.ctx, err)
	// Lost first, so that a call which fails now finds a new stream when it comes again, and no tools of this one.
	c.lose()
	if c.named && c.ctx.Err() == nil {
		c.hooks.down(err)
	}
	c.inbox.waiters.fail(err, notExecuted(c.name, "ended the event stream"))
	if !c.named {
		named <- err // the stream never came about
	}
}

// stream opens the stream and reads it. Its first event of interest names the place, everything else is messages.
func (c *sseConn) stream(named chan<- error) error {
	resp, err := c.do(c.ctx, http.MethodGet, c.said.Load().get, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !isType(resp, "text/event-stream") {
		return &statusError{resp.StatusCode}
	}
	in := c.events(c.ctx, resp.Body, c.cfg.MaxMessageBytes)
	in.spills = c.spills
	defer in.close()
	for {
		ev, err := in.next()
		if err != nil {
			return err
		}
		if ev.name != "endpoint" {
			c.inbox.receive(ev.data)
			continue
		}
		err = c.place(string(ev.data.b))
		ev.data.free()
		if err != nil {
			return err
		}
		if !c.named { // a server may name it again
			c.named = true
			named <- nil
		}
	}
}

// place takes the URL to post to, which must have the origin of the stream.
func (c *sseConn) place(text string) error {
	from := c.url.Load()
	to, err := from.Parse(text)
	if err != nil || to.Scheme != from.Scheme || to.Host != from.Host {
		return conduct("names a place to post to that is of another origin")
	}
	c.url.Store(to)
	return nil
}

// call performs a request: the POST brings it there, the stream brings the answer, in whichever order.
func (c *sseConn) call(ctx context.Context, call *mcp.Call) (*mcp.Reply, error) {
	wait := c.mem.takeAnswer()
	defer c.mem.giveAnswer(wait)
	id, err := c.inbox.waiters.add(wait, call)
	if err != nil {
		return nil, err
	}
	if call.Stream != nil {
		t := c.converse(ctx, id, call)
		c.inbox.talks.add(t)
		defer c.inbox.talks.end(t)
	}
	body, err := c.said.Load().appendRequest(nil, id, call)
	if err == nil {
		err = c.submit(ctx, body)
	}
	if err != nil {
		c.inbox.waiters.drop(id, wait)
		return nil, err
	}
	select {
	case a := <-wait:
		return a.reply(c.name, call, c.cfg.MaxMemoryBytes)
	case <-ctx.Done():
		c.inbox.waiters.drop(id, wait)
		if cancellable(call.Method) {
			c.postBeside(mcp.AppendNotification(nil, "notifications/cancelled", cancelParams(id)))
		}
		return nil, ended(ctx, c.name)
	}
}

// submit posts a request. A server that does not know the place any more has forgotten the session.
func (c *sseConn) submit(ctx context.Context, body []byte) error {
	err := c.post(ctx, body)
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusNotFound {
		c.lose()
		return notExecuted(c.name, "no longer knows the session")
	}
	return err
}

// attend takes a listener in; end takes it out.
func (c *sseConn) attend(ctx context.Context, call *mcp.Call) (end func()) {
	return c.inbox.talks.attend(c.converse(ctx, 0, call))
}

// listen returns at once: notifications arrive on the stream with everything else.
func (c *sseConn) listen(context.Context) {}

// close ends the stream and waits; calls under way end as unavailable.
func (c *sseConn) close() {
	c.cancel()
	c.tasks.Wait()
	c.beside.wait()
}
