package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
)

// The methods that the gateway treats in a way of their own where an upstream is served as itself.
const (
	methodInitialize    = "initialize"
	methodDiscover      = "server/discover"
	methodToolsCall     = "tools/call"
	methodToolsList     = "tools/list"
	methodResourceList  = "resources/list"
	methodTemplatesList = "resources/templates/list"
	methodResourceRead  = "resources/read"
	methodSubscribe     = "resources/subscribe"
	methodUnsubscribe   = "resources/unsubscribe"
	methodPromptsList   = "prompts/list"
	methodPromptGet     = "prompts/get"
	methodComplete      = "completion/complete"
	methodListen        = "subscriptions/listen"
	methodSetLevel      = "logging/setLevel"
)

// Methods are the MCP methods that records and metrics name where an upstream is served as itself; others are counted
// together.
func Methods() []string {
	return []string{
		methodInitialize, methodDiscover, methodToolsList, methodToolsCall, methodResourceList, methodTemplatesList,
		methodResourceRead, methodSubscribe, methodUnsubscribe, methodPromptsList, methodPromptGet,
		methodComplete, methodSetLevel, methodListen, "tasks/get", "tasks/result", methodTaskList, "tasks/update",
		"tasks/cancel",
	}
}

// Direct is one request to one upstream as itself. Its slices are the agent's bytes, as those of Call are.
type Direct struct {
	// Call says who asks, and whence. Its Name is the method; its Args are what the record keeps the shape of.
	Call
	// Server is the upstream that was asked for.
	Server string
	// Agent is the agent that the caller named; empty where it named none.
	Agent string
	// ID is the raw id of the request.
	ID []byte
	// Params is the raw object of params; nil where there is none.
	Params []byte
	// Notification says that it is no request: nobody waits for a reply.
	Notification bool
	// Subject is what the request is about: the tool's or the prompt's name, or the resource's URI; else empty.
	Subject string
	// LogLevel is the raw level that a legacy agent has set for its session; nil where it has set none.
	LogLevel []byte
	// URIs are the resources that a legacy agent has subscribed to in its session.
	URIs []string
	// Stream takes what the upstream says before its answer; nil drops it.
	Stream mcp.Stream
	// Header are the request's headers, under their canonical names; nil where the transport has none.
	Header map[string][]string
	// Client is what the agent declared of itself. It MUST NOT share memory with the request.
	Client *mcp.Client
	// Lost says that the proxy that ElsewhereError named cannot be reached, so that the agent is told here.
	Lost bool

	// What is found out while it is performed.
	task      task              // that the request names
	listening map[string][]byte // :: the id of a task at the server → the name that the agent has for it, raw
	mirrors   bool              // of tools on their way to the agent, those that mirror parameters wrongly are left out
	taskless  bool              // of tools on their way to the agent, those that need a task are left out
}

// Direct performs a request to one upstream as itself, behind the same identity and policy as CallTool. The steps are its
// own from identify on, the reply too: an upstream's error is a reply, a refused tools/call a result, and any other
// refusal an error with CodeInvalidParams whose data holds ours. Closing and errors are as for CallTool.
func (g *Gateway) Direct(ctx context.Context, d *Direct) (*mcp.Reply, error) {
	f, err := g.begin(&d.Call)
	if err != nil {
		return nil, err
	}
	f.direct = d
	f.entry.Server = d.Server
	if d.Name == methodToolsCall {
		f.entry.Tool = d.Subject
	}
	return f.end(f.guard(ctx, (*flight).passThrough))
}

// passThrough is a request on its way through, in the order that keeps secrets, as for execute.
func (f *flight) passThrough(ctx context.Context) error {
	d := f.direct
	if err := f.identify(d.Agent); err != nil {
		return err
	}
	if err := f.permit(d); err != nil {
		return err
	}
	u, s, err := f.upstream(d.Server)
	if err != nil {
		return err
	}
	within, cancel := ctx, context.CancelFunc(func() {})
	if d.Name != methodListen { // which lasts for as long as the agent stays
		within, cancel = context.WithTimeout(ctx, timeFor(s, 0))
	}
	defer cancel()
	if err := f.headersAgree(within, u); err != nil {
		return fromUpstream(ctx, d.Server, err)
	}
	reply, err := f.ask(within, u)
	if errors.Is(err, ErrMoved) || errors.Is(err, errOver) {
		f.entry.Outcome = record.OK
		f.answer(f.goodbye())
		return nil
	}
	if elsewhere, ok := errors.AsType[*ElsewhereError](err); ok {
		return elsewhere
	}
	if answer, ok := errors.AsType[*mcp.Error](err); ok && !errors.Is(err, mcp.ErrUnavailable) { // of a subscription, or ours
		reply, err = &mcp.Reply{Error: answer}, nil
	}
	if err != nil {
		return f.failed(ctx, err)
	}
	return f.adapt(reply)
}

// failed says what becomes of a request that got no answer. Where the server took it and ended its own answer before it was
// one, that is an error of the server's, as its JSON-RPC errors are: in a tool result the tool would seem to speak, of which
// nobody knows whether it ran. An agent of the server's own would get an error of the protocol from its client, too.
func (f *flight) failed(ctx context.Context, err error) error {
	told := fromUpstream(ctx, f.direct.Server, err)
	if r, ok := errors.AsType[*refusal](told); ok && errors.Is(err, mcp.ErrUnanswered) {
		r.protocol = mcp.CodeInternalError
	}
	return told
}

// ask sends the request. The handshakes are answered from what the upstream said in its own.
func (f *flight) ask(ctx context.Context, u Upstream) (*mcp.Reply, error) {
	d := f.direct
	c := &mcp.Call{Method: d.Name, Agent: f.agent.ID, Session: d.Session, Client: d.Client}
	if c.Client == nil {
		c.Client = new(mcp.Client) // an agent that has declared nothing
	}
	if hasName(d.Name) {
		c.Name, c.Large = d.Subject, true // and these may have large results
	}
	if d.Name == methodInitialize || d.Name == methodDiscover {
		h, err := u.Hello(ctx, c)
		if err != nil {
			return nil, err
		}
		return f.greet(h)
	}
	if isKept(d.Name) {
		// A modern server learns it with each request. Who the server is has been found out before, so asking costs nothing.
		if h, err := u.Hello(ctx, c); err != nil || h.Era == mcp.Modern {
			return &mcp.Reply{Result: []byte("{}")}, err
		}
	}
	return f.exchange(ctx, u, c)
}

// exchange sends what is for the server itself.
func (f *flight) exchange(ctx context.Context, u Upstream, c *mcp.Call) (*mcp.Reply, error) {
	d := f.direct
	if d.Name == methodListen && !d.Notification {
		return nil, f.listen(ctx, u)
	}
	if err := f.prepare(c); err != nil {
		return nil, err
	}
	if d.Notification {
		return f.tell(ctx, u, c)
	}
	if resume := f.resume(u, c); resume != nil {
		return resume(ctx)
	}
	if err := f.unseal(ctx, u, c); err != nil {
		return nil, err
	}
	reply, err := f.send(ctx, u, c)
	if err != nil {
		return nil, err
	}
	f.noteTools(ctx, u, c, reply)
	return f.converse(ctx, u, c, reply)
}

// send sends a request, and reads the answer as the agent's era has it.
func (f *flight) send(ctx context.Context, u Upstream, c *mcp.Call) (*mcp.Reply, error) {
	if f.direct.Era == mcp.Modern {
		return f.bridge(ctx, u, c)
	}
	reply, err := u.Call(ctx, c)
	if err != nil {
		return nil, err
	}
	if reply, err = f.reseal(c, reply); err != nil {
		return nil, err
	}
	return f.older(ctx, u, c, reply), nil
}

// isKept says whether a method changes what a legacy server keeps for a session, and a modern one does not.
func isKept(method string) bool {
	switch method {
	case methodSetLevel, methodSubscribe, methodUnsubscribe:
		return true
	}
	return false
}

// hasName says whether a method has an Mcp-Name header.
func hasName(method string) bool {
	switch method {
	case methodToolsCall, methodPromptGet, methodResourceRead:
		return true
	}
	return false
}

// prepare writes the params, in memory of their own as for execute_tool, and has the stream speak of the agent's token
// where the upstream speaks of ours: two agents may have chosen the same.
func (f *flight) prepare(c *mcp.Call) error {
	d := f.direct
	if d.Params == nil && d.Stream == nil {
		return nil
	}
	r := &relay{to: d.Stream, era: d.Era, flight: f}
	r.own = fmt.Appendf(nil, `"gatehouse-%d"`, f.g.tokens.Add(1))
	if d.Params != nil {
		params, err := f.openCursor(d.Params)
		if err != nil {
			return err
		}
		add := mcp.PassedMeta{ProgressToken: r.own, LogLevel: d.LogLevel}
		params, theirs, err := mcp.AppendPassedParams(make([]byte, 0, len(params)+len(r.own)), params, add)
		if err != nil {
			return refuseArgument("%v", err)
		}
		c.Params, r.theirs = params, theirs
		r.logs = d.Era == mcp.Legacy || asksForLogs(d.Meta)
	}
	if d.Stream != nil || d.Era == mcp.Modern && hasName(d.Name) { // else what a legacy server asks would pass unseen
		c.Stream = r
	}
	c.Header = strangeHeaders(d)
	return nil
}

// adapt makes the reply of what the upstream answered, as the agent's era and policy want it.
func (f *flight) adapt(reply *mcp.Reply) error {
	if reply.Error != nil {
		answer := f.toEra(reply.Error)
		reply.Close()
		if f.call.Era == mcp.Legacy && f.call.Name == methodToolsCall && isModern(answer.Code) {
			return fromAnswer(f.direct.Server, answer)
		}
		f.entry.Outcome = record.Outcome(mcp.UpstreamError)
		f.reply.Error = answer
		return nil
	}
	if !isObject(reply) {
		reply.Close()
		return refuse(mcp.UpstreamError, fmt.Sprintf("server %q sent a result that is no object", f.direct.Server))
	}
	if p, ok := pageOf(f.call.Name); ok {
		defer reply.Close()
		return f.filter(p, reply.Result)
	}
	if reply.Spill != nil && holdsNames(reply.Spill) {
		reply.Close()
		return refuse(mcp.UpstreamError, fmt.Sprintf("server %q sent a question or a task that is too large", f.direct.Server))
	}
	if err := f.hold(reply); err != nil {
		return err
	}
	f.pass(reply)
	f.cacheable()
	return nil
}

// fault is a refusal as a JSON-RPC error, for requests whose results have no place for one.
func (r *refusal) fault(f *flight) *mcp.Error {
	data := r.data
	if data == nil {
		data = r.appendBody(nil, f)
	}
	return &mcp.Error{Code: cmp.Or(r.protocol, mcp.CodeInvalidParams), Message: r.message, Data: data}
}
