package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// crossing is a modern agent's request on its way to a server that may be a legacy one. What such a server asks in the
// middle of a call goes the way that the server's definition names (spec.questions).
type crossing struct {
	*flight
	u         Upstream
	c         *mcp.Call
	relay     *relay // to the agent, for this request
	questions *table.Questions
	// profile is what the agent declared of what can be put to it as a question; nil where that is nothing.
	profile []byte
	// responses and state are what the agent answers, and to which question; raw, nil where they are absent.
	responses, state []byte
	// visits counts how often the user was sent to a URL for this call.
	visits int
}

// crossing returns a modern agent's request on its way.
func (f *flight) crossing(u Upstream, c *mcp.Call) *crossing {
	x := &crossing{flight: f, u: u, c: c, questions: &f.table.Server(f.direct.Server).Questions}
	x.relay, _ = c.Stream.(*relay)
	if x.parks() || x.replays() {
		x.profile = profileOf(c.Client)
	}
	return x
}

// parks and replays say whether the definition has questions carried in that way.
func (x *crossing) parks() bool {
	return x.questions.Tier == gatehousev1.QuestionTier_QUESTION_TIER_PARK
}

func (x *crossing) replays() bool {
	return x.questions.Tier == gatehousev1.QuestionTier_QUESTION_TIER_REPLAY
}

// bridge performs a modern agent's request that is no answer to a question of ours. A modern server answers it with what
// it asks itself, and nothing is bridged.
func (f *flight) bridge(ctx context.Context, u Upstream, c *mcp.Call) (*mcp.Reply, error) {
	return f.crossing(u, c).begin(ctx)
}

// begin performs the request, however the server's questions are carried.
func (x *crossing) begin(ctx context.Context) (*mcp.Reply, error) {
	carry, err := x.carries(ctx)
	switch {
	case err != nil:
		return nil, err
	case carry == nil:
		return x.outcome(x.u.Call(ctx, x.c))
	}
	return carry(ctx)
}

// resume returns what continues the request to which the requestState of a modern agent's request belongs, if that is one
// of ours.
func (f *flight) resume(u Upstream, c *mcp.Call) func(context.Context) (*mcp.Reply, error) {
	if f.direct.Era == mcp.Legacy || !hasName(c.Method) || c.Params == nil {
		return nil
	}
	var v [2][]byte
	if _, err := mcp.Pick(c.Params, []string{"inputResponses", "requestState"}, v[:]); err != nil || v[1] == nil {
		return nil // what is ambiguous is refused where it is read
	}
	x := f.crossing(u, c)
	x.responses, x.state = v[0], v[1]
	return x.ours()
}

// carries says how the request is performed where what the server asks can reach the agent; nil where it cannot: the
// server is a modern one, the agent declared nothing, or the tier is another.
func (x *crossing) carries(ctx context.Context) (func(context.Context) (*mcp.Reply, error), error) {
	if x.profile == nil {
		return nil, nil
	}
	h, err := x.u.Hello(ctx, &mcp.Call{Agent: x.c.Agent, Session: x.c.Session, Client: x.c.Client})
	if err != nil || h.Era == mcp.Modern {
		return nil, err
	}
	switch {
	case x.replays() && x.c.Method == methodToolsCall && !x.questions.MayRepeat(x.direct.Subject):
		return nil, nil
	case !hasName(x.c.Method): // asks nothing, but what it shows may depend on what was declared
		x.c.Profile = x.profile
		return nil, nil
	}
	if x.c.Params != nil { // a state in it is the server's own, or nobody's
		if x.c.Params, err = x.openState(x.c.Params); err != nil {
			return nil, err
		}
	}
	x.c.Profile, x.c.Alone = x.profile, true
	if x.replays() {
		return func(ctx context.Context) (*mcp.Reply, error) { return x.replay(ctx, new(transcript)) }, nil
	}
	return x.park, nil
}

// ours returns what continues the request to which the agent's requestState belongs; nil where it is none of these.
func (x *crossing) ours() func(context.Context) (*mcp.Reply, error) {
	if v, ok := x.openOwn(seal.KindCall); ok {
		return func(ctx context.Context) (*mcp.Reply, error) { return x.unpark(ctx, v) }
	}
	if v, ok := x.openOwn(seal.KindReplay); ok {
		return func(ctx context.Context) (*mcp.Reply, error) { return x.again(ctx, v.Payload) }
	}
	if v, ok := x.openOwn(seal.KindVisit); ok {
		return func(ctx context.Context) (*mcp.Reply, error) { return x.visited(ctx, v.Payload) }
	}
	return nil
}

// openOwn opens the agent's requestState as one of a kind that was made for this very request.
func (x *crossing) openOwn(kind seal.Kind) (seal.Value, bool) {
	text, ok := mcp.Unquote(x.state)
	if !ok {
		return seal.Value{}, false
	}
	v, err := x.g.seals.of(x.table).OpenValue(text, kind, x.callBound(), x.entry.Time)
	return v, err == nil
}

// sealed makes the requestState of a question.
func (x *crossing) sealed(v seal.Value) string {
	v.Bound = x.callBound()
	return x.g.seals.of(x.table).SealValue(v)
}

// callBound is whom and what a requestState is for: it opens for nobody else, and for no other call.
func (x *crossing) callBound() string {
	d := x.direct
	digest := sha256.Sum256(d.Args)
	if d.Name != methodToolsCall {
		var v [1][]byte
		_, _ = mcp.Pick(d.Params, []string{"arguments"}, v[:]) // the front has read it once without an error
		digest = sha256.Sum256(v[0])
	}
	return seal.Bind("question", x.principal.Name, x.agent.ID, d.Server, d.Name, d.Subject, string(digest[:]))
}

// errForeignState refuses a requestState that is not one of ours for this request: changed, of another caller or call, or
// too old.
func errForeignState() error {
	return refuseRequest(mcp.CodeInvalidParams, "params.requestState is not one that was given for this request, or it has expired")
}

// outcome is what a request came to, as far as the two eras differ in it.
func (x *crossing) outcome(reply *mcp.Reply, err error) (*mcp.Reply, error) {
	if method := x.relay.refusedMethod(); method != "" && !errors.Is(err, context.Canceled) {
		reply.Close()
		return nil, x.cannotAsk(method)
	}
	switch {
	case err != nil && upstream.UnknownMethod(err) && !slices.Contains(Methods(), x.c.Method):
		return nil, &mcp.Error{Code: mcp.CodeMethodNotFound, Message: fmt.Sprintf("server %q has no method %.64q", x.direct.Server, x.c.Method)}
	case err != nil:
		return nil, err
	case reply.Error == nil:
		if reply, err = x.reseal(x.c, reply); err != nil {
			return nil, err
		}
		return x.unfinished(reply)
	case reply.Error.Code == codeVisitFirst:
		return x.visitFirst(reply)
	}
	return reply, nil
}

// unfinished makes a question of the result of a legacy server that asks as modern ones do, since it speaks both eras and
// has no other way left. Its state goes to the agent sealed, so that nobody else can go on from it.
func (x *crossing) unfinished(reply *mcp.Reply) (*mcp.Reply, error) {
	if !x.c.Alone || reply.Facts.Plain() || !bytes.Contains(reply.Result, []byte(`"inputRequests"`)) {
		return reply, nil
	}
	var v [3][]byte
	_, err := mcp.Pick(reply.Result, []string{"inputRequests", "requestState", "resultType"}, v[:])
	if err != nil || len(v[0]) == 0 || v[0][0] != '{' || v[2] != nil {
		return reply, nil //nolint:nilerr // the agent gets it as it stands
	}
	dst := append([]byte(`{"resultType":`+inputRequired+`,"inputRequests":`), v[0]...)
	if v[1] != nil {
		dst = append(append(dst, `,"requestState":`...), v[1]...)
	}
	reply.Close()
	return x.sealState(&mcp.Reply{Result: append(dst, '}')})
}

// cannotAsk is why a call fails whose server asked for what it was not offered.
func (x *crossing) cannotAsk(method string) error {
	if !takes(x.c.Client, method) {
		return missingCapability(x.direct.Server, method)
	}
	why := "its definition has such questions refused (spec.questions.tier)"
	if x.replays() {
		why = "the tool is not among those that may be called again (spec.questions.idempotentTools)"
	}
	return refuse(mcp.UpstreamError, fmt.Sprintf(
		"server %q asked %s in the middle of the call, which does not reach agents of MCP %s: %s", x.direct.Server, method, mcp.ModernVersion, why))
}

// missingCapability is the modern era's error for a client that did not declare what a server needs.
func missingCapability(server, method string) error {
	return &mcp.Error{
		Code:    mcp.CodeMissingCapability,
		Message: fmt.Sprintf("server %q asks %s, and this client did not declare that it takes such requests", server, method),
		Data:    fmt.Appendf(nil, `{"requiredCapabilities":{%q:{}}}`, capabilityOf(method)),
	}
}
