package gateway

import (
	"context"
	"errors"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// ErrMoved says that a stream of changes has ended because the live table no longer lets it go on.
var ErrMoved = errors.New("the configuration has changed")

// errOver says that an upstream ended a stream of changes on its own.
var errOver = errors.New("the server ended the subscription")

// metaSubscription tags what is sent on a stream of changes with the id of the request that opened it.
const metaSubscription = mcp.MetaPrefix + "subscriptionId"

// place is where a stream of changes stands: the table that it was decided on, and what that says of it.
type place struct {
	table     *table.Table
	principal *table.Principal
	agent     *policy.Agent
	upstream  Upstream
	lists     *lists
	key       listsKey
	// flight is the request as it stands here, for those who read it beside its own goroutine.
	flight *flight
}

// listen keeps a stream of the upstream's changes open until the agent leaves or may not listen any more; it returns why.
// It moves on from table to table, deciding anew on each, and breaks off what the agent hears only where it must.
func (f *flight) listen(ctx context.Context, u Upstream) error {
	var s *subscription
	var at *place
	var err error
	aside(func() {
		if s, err = newSubscription(f.direct); err == nil {
			at = f.place(u)
		}
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		s.tasks.Wait() // nothing is told once the call has returned
		f.g.leave(at)
	}()
	s.ctx = ctx
	for {
		aside(func() { s.settle(at) })
		next, err := f.attend(ctx, s, &at)
		switch {
		case next != nil:
			at = f.retell(ctx, s, at, next)
		case errors.Is(err, ErrMoved) && s.era == mcp.Legacy: // whose stream is its session's, and may have a use again
			if at, err = f.pause(ctx, s, at); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// aside runs something on a goroutine of its own and waits for it. A stack that has grown is given back with its goroutine,
// while that of a stream would stay large for as long as the stream is open; and there may be thousands.
func aside(do func()) {
	var fault any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { fault = recover() }()
		do()
	}()
	if <-done; fault != nil {
		panic(fault) // as if it had run here
	}
}

// place joins the lists of an upstream for the table that the flight has pinned.
func (f *flight) place(u Upstream) *place {
	p := &place{table: f.table, principal: f.principal, agent: f.agent, upstream: u}
	p.flight = &flight{g: f.g, call: f.call, direct: f.direct, table: f.table, principal: f.principal, agent: f.agent, entry: f.entry}
	p.key = listsKey{u, f.sessionKey()}
	p.lists = f.g.lists.join(p.key)
	for i := range p.lists.kinds {
		p.lists.kinds[i].use(1)
	}
	return p
}

// leave gives a place's lists back; nil is nowhere.
func (g *Gateway) leave(p *place) {
	if p == nil {
		return
	}
	for i := range p.lists.kinds {
		p.lists.kinds[i].use(-1)
	}
	g.lists.leave(p.key)
}

// sessionKey names the session that the agent's calls use; empty where all share one.
func (f *flight) sessionKey() string {
	switch f.table.Server(f.direct.Server).Spec.GetSession() {
	case gatehousev1.SessionMode_SESSION_MODE_UNSPECIFIED, gatehousev1.SessionMode_SESSION_MODE_SHARED:
		if !isAsked(f.direct.Client) {
			return ""
		}
	}
	return f.agent.ID + "\x00" + f.direct.Session
}

// isAsked says whether a client declared that servers may ask it something: it then has a session of its own.
func isAsked(c *mcp.Client) bool {
	return takes(c, "elicitation/create") || takes(c, "sampling/createMessage") || takes(c, "roots/list")
}

// attend listens to the upstream until something ends it. What a new table changes for the agent without ending it is told
// meanwhile, and at is then where the stream stands. It returns the place where the stream has to be begun anew, or else why
// it ended.
func (f *flight) attend(ctx context.Context, s *subscription, at **place) (next *place, err error) {
	u := (*at).upstream
	var c *mcp.Call
	aside(func() { c, err = f.wishes(ctx, s, *at) })
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w := &follower{f: f, s: s, at: at, stop: cancel}
	w.await()
	err = u.Listen(ctx, c)
	cause := context.Cause(ctx)
	cancel(nil)
	w.end()
	switch {
	case cause != nil:
		return w.next, cause
	case err == nil:
		return w.next, errOver
	}
	return w.next, err
}

// wishes makes the request of a stream, with the resources that the agent may hear of. A legacy server is told of each of
// them in a request of its own, and does not acknowledge anything, so that is done here.
func (f *flight) wishes(ctx context.Context, s *subscription, at *place) (*mcp.Call, error) {
	d := f.direct
	c := &mcp.Call{Method: methodListen, Agent: at.agent.ID, Session: d.Session, Client: d.Client, Stream: s}
	if c.Client == nil {
		c.Client = new(mcp.Client) // an agent that has declared nothing
	}
	h, err := at.upstream.Hello(ctx, c)
	if err != nil {
		return nil, err
	}
	if s.era == mcp.Legacy {
		if h.Era == mcp.Modern {
			c.Params = wish(mayHear(at.agent, d.Server, d.URIs))
		}
		return c, nil
	}
	if err := f.aim(ctx, c, at); err != nil {
		return nil, err
	}
	if h.Era == mcp.Legacy {
		s.acknowledge(c.Params)
		return c, f.subscribeAll(ctx, c, at, s.asks)
	}
	return c, nil
}

// aim makes the params of a modern agent's subscription ones for the server: without the resources that the agent may not
// hear of, and with the server's names for tasks. The record keeps a refusal.
func (f *flight) aim(ctx context.Context, c *mcp.Call, at *place) error {
	params, err := narrowed(at.agent, f.direct.Server, f.direct.Params)
	if err != nil {
		return refuseArgument("params: %v", err)
	}
	c.Params, _, err = mcp.AppendPassedParams(nil, params, mcp.PassedMeta{ProgressToken: []byte(`"gatehouse"`)})
	if err != nil {
		return refuseArgument("%v", err)
	}
	if err := at.flight.listenToTasks(ctx, at.upstream, c); err != nil {
		f.entry.Allow, f.entry.Rule = at.flight.entry.Allow, at.flight.entry.Rule
		return err
	}
	return nil
}

// subscribeAll asks a legacy server to tell of the resources that a modern agent wants to hear of. The server keeps that for
// as long as its session, since others may want the same; which of its news reaches whom is decided here. A refusal leaves
// the rest of the subscription as it is.
func (f *flight) subscribeAll(ctx context.Context, c *mcp.Call, at *place, asks []string) error {
	ctx, cancel := context.WithTimeout(ctx, at.table.Server(f.direct.Server).CallTimeout)
	defer cancel()
	for _, uri := range mayHear(at.agent, f.direct.Server, asks) {
		params := mcp.AppendString([]byte(`{"uri":`), uri)
		reply, err := at.upstream.Call(ctx, &mcp.Call{
			Method: methodSubscribe, Params: append(params, '}'), Agent: c.Agent, Session: c.Session, Client: c.Client,
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
