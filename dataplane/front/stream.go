package front

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
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
	if r.Method == http.MethodGet && !strings.Contains(r.Header.Get("Accept"), eventStream) {
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
	if !h.openStream(w, x) {
		return
	}
	if h.goHome(w, r, x) {
		h.closeStream(x.call.Principal)
		return
	}
	h.stream(w, r, x)
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
// agent, its key, the session, or the process. Where the connection can be had from the HTTP server, this returns and the
// stream goes on, as there may be thousands and they should cost little.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, x *exchange) {
	s := newStream(r.Context(), h, x)
	out, err := takeOver(w, r, h.conf.patience())
	if err != nil {
		h.log.Debug("stream did not begin", "error", err)
		s.cancel(err)
		h.closeStream(x.call.Principal)
		return
	}
	if out != nil {
		s.out = out
		h.streams.add(s, func() { out.await(); s.leave() })
	} else {
		beginEvents(w.Header())
		s.out = &answering{w: w, control: http.NewResponseController(w)}
		h.streams.add(s, func() {})
	}
	s.begin()
	if out == nil { // the answer is over when this returns
		select {
		case <-r.Context().Done():
		case <-s.ctx.Done():
		}
		s.leave()
	}
}

// changes sends what changes at a server, until the stream ends or the server has nothing to say. Another configuration
// decides anew whether the agent may hear it, and another subscription what.
func (s *stream) changes() {
	for s.ctx.Err() == nil {
		within, done := s.listening() // first, so that no change of what is known is missed
		d := s.request()
		reply, err := s.h.conf.Gateway.Direct(within, d)
		again := within.Err() != nil || err == nil && reply.Error == nil
		reply.Close()
		done()
		if !again {
			s.h.log.Debug("stream has nothing to say", "server", d.Server, "error", err)
			return
		}
	}
}

// request asks for what changes. The gateway gets a new one each time, which is not made where the stream waits: while
// thousands of streams wait, it is their stacks that count.
//
//go:noinline
func (s *stream) request() *gateway.Direct {
	d := *s.direct
	d.Call, d.Stream, d.Client, d.URIs = s.call, s, s.client, s.h.clients.of(s.call.Session).uris
	d.Name = "subscriptions/listen"
	return &d
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
func (h *Handler) mayListen(session, authorization string) bool {
	if h.sessions.hasEnded(session) {
		return false
	}
	_, err := h.conf.Auth.Authenticate(authorization)
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
				if !e.ping() || !h.mayListen(x.call.Session, x.call.Authorization) {
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
