package front

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// HeaderAgent names the agent of a request to a single server, as agent_id does in calls of the gateway's own tools.
const HeaderAgent = "Gatehouse-Agent"

// pathServer returns the server that a path under the endpoint names; false says that it names none.
func pathServer(path string) (string, bool) {
	name, ok := strings.CutPrefix(path, endpoint+"/")
	return name, ok && name != "" && !strings.Contains(name, "/")
}

// direct answers a request to a single server. What the upstream says before its answer turns the answer into a stream of
// events; without it, the answer is as plain as any.
func (h *Handler) direct(ctx context.Context, w http.ResponseWriter, r *http.Request, x *exchange) {
	e := &events{h: h, w: w, principal: x.call.Principal.Name, session: x.call.Session, silent: !accepts(r.Header, eventStream)}
	defer e.close()
	if x.msg.Method == "subscriptions/listen" {
		if !h.openStream(w, x) {
			return
		}
		defer h.closeStream(x.call.Principal)
		var done func()
		ctx, done = h.keepAlive(ctx, e, x)
		defer done()
	}
	reply, err := h.serveDirect(ctx, x, e)
	if parked, ok := errors.AsType[*gateway.ElsewhereError](err); ok {
		if h.forward(w, r, x, parked.Address) {
			return
		}
		x.direct.Lost = true
		reply, err = h.serveDirect(ctx, x, e)
	}
	defer reply.Close()
	if err == nil && reply.Error == nil && x.era == mcp.Legacy {
		h.remember(x)
	}
	begun := e.close() // from here on nothing of the upstream's mixes with the answer
	switch {
	case begun:
		h.endEvents(ctx, e, x, reply, err)
	case err == nil && reply.Error != nil && x.era == mcp.Legacy && prefersEvents(r.Header):
		h.writeErrorEvent(w, x, reply.Error)
	default:
		h.answer(ctx, w, r, x, reply, err)
	}
}

// endEvents ends a stream with the answer. A request that its agent cancelled gets none.
func (h *Handler) endEvents(ctx context.Context, e *events, x *exchange, reply *mcp.Reply, err error) {
	switch {
	case errors.Is(context.Cause(ctx), errCancelled), err != nil && errors.Is(context.Cause(ctx), context.Canceled):
	case err != nil:
		e.send(mcp.AppendError(nil, x.msg.ID, h.asFault(ctx, x, err)))
	case reply.Error != nil:
		e.send(mcp.AppendError(nil, x.msg.ID, reply.Error))
	case reply.Spill != nil:
		e.sendSpill(x.msg.ID, reply.Spill)
	default:
		e.send(mcp.AppendResponse(x.out[:0], x.msg.ID, reply.Result))
	}
}

// serveDirect performs the request, but for what the gateway says of itself in any server's name.
func (h *Handler) serveDirect(ctx context.Context, x *exchange, e *events) (*mcp.Reply, error) {
	switch x.msg.Method {
	case "ping":
		if x.era == mcp.Legacy {
			return &mcp.Reply{Result: []byte("{}")}, nil
		}
	case "server/discover", "subscriptions/listen":
		if x.era == mcp.Modern {
			return h.conf.Gateway.Direct(ctx, h.directCall(x, e))
		}
	case "initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
		if x.era == mcp.Legacy {
			return h.conf.Gateway.Direct(ctx, h.directCall(x, e))
		}
	default:
		return h.conf.Gateway.Direct(ctx, h.directCall(x, e))
	}
	return nil, &mcp.Error{Code: mcp.CodeMethodNotFound, Message: "the " + x.era.String() + " era has no method " + x.msg.Method}
}

// remember keeps what a server has taken from a legacy agent for the rest of its session. A modern server has to be told
// with each request.
func (h *Handler) remember(x *exchange) {
	switch x.msg.Method {
	case "logging/setLevel":
		var v [1][]byte
		if _, err := mcp.Pick(x.msg.Params, []string{"level"}, v[:]); err == nil && v[0] != nil && v[0][0] == '"' {
			h.clients.setLevel(x.call.Session, v[0])
		}
	case "resources/subscribe", "resources/unsubscribe":
		h.clients.subscribe(x.call.Session, x.direct.Subject, x.msg.Method == "resources/subscribe")
		h.streams.changed(x.call.Session)
	}
}

// directCall is what the gateway is to do for the message of an exchange.
func (h *Handler) directCall(x *exchange, e *events) *gateway.Direct {
	d := x.direct
	d.Call = x.call
	d.Era, d.Name, d.Meta, d.Params = x.era, x.msg.Method, x.params.meta, x.msg.Params
	d.Args, d.ID = x.msg.Params, x.msg.ID
	switch x.msg.Method {
	case "tools/call":
		d.Args = x.params.arguments
		d.Subject, _ = mcp.Unquote(x.params.name)
	case "prompts/get":
		d.Subject, _ = mcp.Unquote(x.params.name)
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		d.Subject, _ = mcp.Unquote(x.params.uri)
	}
	if !e.silent {
		d.Stream = e
	}
	d.Client = h.client(x)
	if x.era == mcp.Legacy {
		d.LogLevel = h.clients.of(x.call.Session).level
	}
	return d
}

// passOn tells a server what its agent notifies it of, in a session: that one is over, or that a list has changed. What
// concerns the gateway alone goes no further. Nobody waits for what comes of it.
func (h *Handler) passOn(ctx context.Context, x *exchange) {
	switch x.msg.Method {
	case "notifications/cancelled", "notifications/initialized":
		return
	}
	if x.direct == nil || x.era == mcp.Modern || x.call.Session == "" {
		return
	}
	d := h.directCall(x, &events{silent: true})
	d.Notification = true
	reply, err := h.conf.Gateway.Direct(ctx, d)
	reply.Close()
	if err != nil {
		h.log.Debug("notification was not passed on", "server", d.Server, "method", d.Name, "error", err)
	}
}

// accepts says whether a client takes a type of content.
func accepts(header http.Header, kind string) bool {
	for _, value := range header["Accept"] {
		if strings.Contains(value, kind) {
			return true
		}
	}
	return false
}
