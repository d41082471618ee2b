package gateway

import (
	"context"
	"errors"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// ErrMoved says that a stream of changes has ended because its table is no longer the live one; it can be opened again.
var ErrMoved = errors.New("the configuration has changed")

// errOver says that an upstream ended a stream of changes on its own.
var errOver = errors.New("the server ended the subscription")

// metaSubscription tags what is sent on a stream of changes with the id of the request that opened it.
const metaSubscription = mcp.MetaPrefix + "subscriptionId"

// listen keeps a stream of the upstream's changes open until the agent leaves or another table is live; it returns why.
func (f *flight) listen(ctx context.Context, u Upstream, c *mcp.Call) error {
	h, err := u.Hello(ctx, c)
	if err != nil {
		return err
	}
	s, err := newSubscription(f.direct, f.agent)
	if err != nil {
		return err
	}
	s.flight = f
	if from, to, err := mcp.Locate(c.Params, "notifications"); err == nil && from > 0 {
		s.asked = c.Params[from:to] // in the server's words
	}
	if h.Era == mcp.Legacy {
		s.acknowledge()
	} else if c.Params == nil {
		c.Params = wish(mayHear(f.agent, f.direct.Server, f.direct.URIs))
	}
	c.Stream = s
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer f.table.OnRetire(func() { cancel(ErrMoved) })() // others wait for us to let go of it
	if h.Era == mcp.Legacy && s.era == mcp.Modern {
		err = f.subscribeAll(ctx, u, c, s.uris)
	}
	if err == nil {
		err = u.Listen(ctx, c)
	}
	switch cause := context.Cause(ctx); {
	case cause != nil:
		return cause
	case err == nil:
		return errOver
	}
	return err
}

// subscribeAll asks a legacy server to tell of the resources that a modern agent wants to hear of. The server keeps that for
// as long as its session, since others may want the same; which of its news reaches whom is decided here. A refusal leaves
// the rest of the subscription as it is.
func (f *flight) subscribeAll(ctx context.Context, u Upstream, c *mcp.Call, uris map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, f.table.Server(f.direct.Server).CallTimeout)
	defer cancel()
	for uri := range uris {
		params := mcp.AppendString([]byte(`{"uri":`), uri)
		reply, err := u.Call(ctx, &mcp.Call{
			Method: "resources/subscribe", Params: append(params, '}'), Agent: c.Agent, Session: c.Session, Client: c.Client,
		})
		if err != nil {
			return err
		}
		reply.Close()
	}
	return nil
}

// goodbye is the result that ends a stream of changes in good order.
func (f *flight) goodbye() []byte {
	dst := append(*f.memory(), '{')
	if f.call.Era == mcp.Legacy {
		return append(dst, '}')
	}
	dst = append(append(dst, `"_meta":{"`+metaSubscription+`":`...), f.direct.ID...)
	return append(dst, '}', '}')
}

// subscription is an agent's stream of changes: what it asked for, and nothing else.
type subscription struct {
	to  mcp.Stream
	era mcp.Era
	// id is the raw id of the request that opened it; nil in the legacy era.
	id []byte
	// asked is the raw object of what the agent wants to hear; nil in the legacy era, where it hears all.
	asked []byte
	// wanted are the methods of asked, uris the resources.
	wanted map[string]bool
	uris   map[string]bool
	// flight is the request; its parts are read by several, and written by none.
	flight *flight

	mu    sync.Mutex // guards below
	acked bool
}

// newSubscription reads what an agent wants to hear, of which it gets what policy lets it hear.
func newSubscription(d *Direct, agent *policy.Agent) (*subscription, error) {
	s := &subscription{to: d.Stream, era: d.Era, id: append([]byte(nil), d.ID...)}
	if d.Stream == nil {
		return nil, refuseArgument("a subscription needs Accept: text/event-stream")
	}
	if d.Era == mcp.Legacy {
		if len(d.URIs) > 0 { // mostly there are none, and there may be thousands of streams
			s.uris = make(map[string]bool, len(d.URIs))
		}
		for _, uri := range mayHear(agent, d.Server, d.URIs) {
			s.uris[uri] = true
		}
		return s, nil
	}
	var v [1][]byte
	if _, err := mcp.Pick(d.Params, []string{"notifications"}, v[:]); err != nil || v[0] == nil {
		return nil, refuseArgument("params.notifications must be an object")
	}
	s.asked = append([]byte(nil), v[0]...)
	names := []string{"toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions"}
	var w [4][]byte
	if _, err := mcp.Pick(s.asked, names, w[:]); err != nil {
		return nil, refuseArgument("params.notifications: %v", err)
	}
	s.wanted = map[string]bool{
		"notifications/tools/list_changed":     string(w[0]) == "true",
		"notifications/prompts/list_changed":   string(w[1]) == "true",
		"notifications/resources/list_changed": string(w[2]) == "true",
	}
	if w[3] == nil {
		return s, nil
	}
	s.uris = map[string]bool{}
	return s, mcp.Elements(w[3], func(raw []byte) error { // prepare has looked at them
		uri, _ := mcp.Unquote(raw)
		s.uris[uri] = true
		return nil
	})
}

// acknowledge tells the agent that its subscription stands, where the upstream's era has no words for it.
func (s *subscription) acknowledge() {
	if s.era == mcp.Legacy {
		return
	}
	params := append([]byte(`{"notifications":`), s.asked...)
	s.Notify(methodAcknowledged, append(params, '}'))
}

// methodAcknowledged is the first message of a stream in the modern era.
const methodAcknowledged = "notifications/subscriptions/acknowledged"

// Notify implements mcp.Stream.
func (s *subscription) Notify(method string, params []byte) {
	if !s.wants(method, params) {
		return
	}
	if params = s.named(method, params); params == nil && (method == noteTask || method == noteTaskStatus) {
		return
	}
	if s.era == mcp.Modern {
		tagged, err := s.tag(params)
		if err != nil {
			return // the agent could not tell what it belongs to
		}
		params = tagged
	}
	s.to.Notify(method, params)
}

// named calls tasks by the agent's names for them; nil is what has to do with none of the agent's.
func (s *subscription) named(method string, params []byte) []byte {
	switch {
	case params == nil:
		return nil
	case s.era == mcp.Legacy:
		return s.flight.told(method, params)
	case s.flight.direct.listening != nil && (method == noteTask || method == methodAcknowledged):
		return s.flight.heard(method, params)
	}
	return params
}

// wants says whether the agent asked for a notification. Of acknowledgements it gets one.
func (s *subscription) wants(method string, params []byte) bool {
	switch method {
	case "notifications/progress", "notifications/cancelled", "notifications/initialized":
		return false // of calls, or of the hop behind us
	case noteTask:
		return s.era == mcp.Modern && s.flight.direct.listening != nil
	case noteTaskStatus:
		return s.era == mcp.Legacy
	case methodAcknowledged:
		s.mu.Lock()
		defer s.mu.Unlock()
		first := !s.acked
		s.acked = true
		return first && s.era == mcp.Modern
	}
	if method == notifyUpdated { // others may have subscribed to other resources
		return s.uris[uriOf(params)]
	}
	if s.era == mcp.Legacy {
		return true
	}
	wanted, known := s.wanted[method]
	return wanted || !known && method != "notifications/message" // log messages belong to calls
}

// tag replaces the upstream's subscription id by the agent's.
func (s *subscription) tag(params []byte) ([]byte, error) {
	meta := []byte("{}")
	dst := []byte{'{'}
	if params != nil {
		err := mcp.Members(params, func(name, value []byte) error {
			if plain, _ := mcp.Unquote(name); plain == "_meta" {
				meta = value
				return nil
			}
			dst = append(append(append(append(dst, name...), ':'), value...), ',')
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	dst = append(append(dst, `"_meta":{"`+metaSubscription+`":`...), s.id...)
	err := mcp.Members(meta, func(name, value []byte) error {
		if plain, _ := mcp.Unquote(name); plain != metaSubscription {
			dst = append(append(append(append(dst, ','), name...), ':'), value...)
		}
		return nil
	})
	return append(dst, '}', '}'), err
}

// Ask implements mcp.Stream: nobody is asked outside of a call.
func (s *subscription) Ask(context.Context, string, []byte) (*mcp.Reply, error) {
	return &mcp.Reply{Error: &mcp.Error{Code: mcp.CodeMethodNotFound, Message: "this client is asked during its calls only"}}, nil
}
