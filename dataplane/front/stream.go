package front

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// legacyOnly serves GET and DELETE, which need a session.
func (h *Handler) legacyOnly(w http.ResponseWriter, r *http.Request, server string) {
	x := h.memory.take()
	defer h.memory.free(x)
	if !h.identify(w, r, x) || !h.aim(w, r, x, server) {
		return
	}
	token := r.Header.Get(mcp.HeaderSession)
	// Mostly a person with a browser, who should read what this is.
	if r.Method == http.MethodGet && !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		w.Header().Set("Allow", http.MethodPost)
		h.refuse(w, http.StatusMethodNotAllowed, "this is an MCP endpoint: add its URL to an MCP client, or send MCP messages with POST")
		return
	}
	if token == "" {
		h.refuse(w, http.StatusBadRequest, "the header "+mcp.HeaderSession+" is missing")
		return
	}
	if err := h.sessions.open(&x.session, token, x.call.Principal); err != nil {
		h.refuse(w, http.StatusNotFound, err.Error())
		return
	}
	x.call.Session = x.session.ID
	if r.Method == http.MethodDelete {
		h.end(w, r, x)
		return
	}
	if !h.goHome(w, r, x) {
		h.stream(w, r, x)
	}
}

// end ends a session, here at once. Its home hears of it before the agent does, if it is one of a single server, and all
// other proxies soon: where one does not, the id works until it is too old, for its own principal alone.
func (h *Handler) end(w http.ResponseWriter, r *http.Request, x *exchange) {
	session := x.call.Session
	h.sessions.end(session)
	h.clients.forget(session)
	h.conf.endSession(session)
	if x.direct == nil {
		h.broadcast(r, x, "")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.broadcast(r, x, string(x.session.Home))
	if !h.goHome(w, r, x) {
		w.WriteHeader(http.StatusNoContent)
	}
}

// stream keeps the event stream of a legacy session open. The gateway's own tools never change, so nothing is sent on it
// but comments; many clients want it all the same. On that of a single server comes what changes there. It ends with the
// agent, its key, the session, or the process.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, x *exchange) {
	e := &events{h: h, w: w}
	defer e.close()
	if !e.begin() {
		return
	}
	ctx, done := h.keepAlive(r.Context(), e, x)
	defer done()
	if x.direct != nil {
		h.changes(ctx, x, e)
	}
	<-ctx.Done()
}

// changes sends what changes at a server, until ctx ends or the server has nothing to say. Another configuration decides
// anew whether the agent may hear it, and another subscription what.
func (h *Handler) changes(ctx context.Context, x *exchange, e *events) {
	for ctx.Err() == nil {
		known := h.clients.watch(x.call.Session)
		d := *x.direct // the gateway gets a new one each time
		d.Call, d.Stream, d.Client, d.URIs = x.call, e, h.sessionClient(x), known.uris
		d.Name = "subscriptions/listen"
		within, done := until(ctx, known.changed)
		reply, err := h.conf.Gateway.Direct(within, &d)
		again := within.Err() != nil || err == nil && reply.Error == nil
		reply.Close()
		done()
		if !again {
			h.log.Debug("stream has nothing to say", "server", d.Server, "error", err)
			return
		}
	}
}

// until returns a context that ends with ctx, or when a channel is closed; done ends it.
func until(ctx context.Context, closed <-chan struct{}) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-closed:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { cancel(); waiting.Wait() }
}

// mayListen says whether a stream may go on: its session has not ended, and its key is still good.
func (h *Handler) mayListen(x *exchange) bool {
	if h.sessions.hasEnded(x.call.Session) {
		return false
	}
	_, err := h.conf.Auth.Authenticate(x.call.Authorization)
	return err == nil
}

// errDrained is why streams end when the process does.
var errDrained = errors.New("the gateway is going down")

// keepAlive writes comments on a stream that has begun, so that nothing on the way cuts it, and cancels the context that
// it returns when the gateway drains, or the agent, its key or its session is gone. done ends it.
func (h *Handler) keepAlive(ctx context.Context, e *events, x *exchange) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var pinging sync.WaitGroup
	pinging.Go(func() {
		tick := time.NewTicker(h.conf.pingEvery())
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if !e.ping() || !h.mayListen(x) {
					cancel(context.Canceled)
					return
				}
			case <-ctx.Done():
				return
			case <-h.drained:
				cancel(errDrained)
				return
			}
		}
	})
	return ctx, func() { cancel(nil); pinging.Wait() }
}
