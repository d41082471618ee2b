package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// execution is what execute_tool was asked.
type execution struct {
	agent   string
	server  string
	tool    string
	args    []byte        // the object, as it stands
	timeout time.Duration // 0: the server's
}

// execute is execute_tool: one call of one tool of one upstream. Its steps stand in the order that keeps secrets: whose
// call it is, what policy says of the names, and only then whether there is anything of those names.
func (f *flight) execute(ctx context.Context) error {
	x, err := f.readExecution()
	if err != nil {
		return err
	}
	if err := f.identify(x.agent); err != nil {
		return err
	}
	if d := f.agent.Tool(x.server, x.tool); !f.decide(d) {
		return refuse(d.Code, fmt.Sprintf("agent %q may not use tool %.128q of server %.128q", f.agent.ID, x.tool, x.server))
	}
	u, s, err := f.upstream(x.server)
	if err != nil {
		return err
	}
	// The agent's own ctx is kept beside it, to tell a call that took too long from one whose agent went away.
	// The limit holds for all that is left: connecting and reading the catalogue come out of it too.
	within, cancel := context.WithTimeout(ctx, timeFor(s, x.timeout))
	defer cancel()
	if err := findTool(within, u, x.tool); err != nil {
		return fromUpstream(ctx, x.server, err)
	}
	reply, err := f.forward(within, u, &x)
	if err != nil {
		return fromUpstream(ctx, x.server, err)
	}
	if err := f.hold(reply); err != nil {
		return err
	}
	f.pass(reply)
	return nil
}

// readExecution reads the arguments. What is known of them goes into the record even where the rest is refused.
func (f *flight) readExecution() (x execution, err error) {
	v, err := f.pick(executeToolArguments)
	if err != nil {
		return x, err
	}
	if x.agent, err = text("agent_id", v[0]); err != nil {
		return x, err
	}
	f.entry.AgentAsked = x.agent // each is recorded as soon as it is known, whatever comes of the rest
	if x.server, err = required("server", v[1]); err != nil {
		return x, err
	}
	f.entry.Server = x.server
	if x.tool, err = required("tool", v[2]); err != nil {
		return x, err
	}
	f.entry.Tool = x.tool
	if x.args, err = object("args", v[3]); err != nil {
		return x, err
	}
	f.entry.Args = x.args // what the upstream gets, not what wraps it
	x.timeout, err = timeout(v[4])
	return x, err
}

// timeFor is how long a call may take: what the agent asks for, at most what the server allows.
func timeFor(s *table.Server, asked time.Duration) time.Duration {
	if asked == 0 {
		asked = s.CallTimeout
	}
	return min(asked, s.MaxCallTimeout)
}

// findTool refuses a tool that the upstream does not have. The catalogue may be behind, so it is read once more before
// anything is called missing.
func findTool(ctx context.Context, u Upstream, name string) error {
	have := func(c *upstream.Catalogue, err error) (bool, error) {
		return err == nil && c.Tool(name) != nil, err
	}
	if ok, err := have(u.Tools(ctx)); ok || err != nil {
		return err
	}
	if ok, err := have(u.Refresh(ctx)); ok || err != nil {
		return err
	}
	return refuse(mcp.ToolNotFound, fmt.Sprintf("there is no tool %.128q", name))
}

// forward sends the call. The envelope is made anew, so nothing of the agent's but the arguments and what may cross of
// _meta reaches the upstream; the name is written as policy read it.
func (f *flight) forward(ctx context.Context, u Upstream, x *execution) (*mcp.Reply, error) {
	params, err := x.params(f.call.Meta)
	if err != nil {
		return nil, err
	}
	// A call that failed is not tried again here: whether it was executed cannot be known, and it may not be repeatable.
	reply, err := u.Call(ctx, &mcp.Call{
		Method: "tools/call", Params: params, Name: x.tool, Agent: f.agent.ID, Session: f.call.Session, Large: true,
	})
	switch {
	case err != nil:
		return nil, err
	case reply.Error != nil: // the upstream's refusal is an error from here on, so that no caller forgets it
		answer := reply.Error
		reply.Close()
		return nil, answer
	case !isObject(reply):
		reply.Close()
		return nil, fmt.Errorf("%w: server %s sent a result that is no object", mcp.ErrInvalidResponse, x.server)
	}
	return reply, nil
}

// params makes the upstream's params, in memory of their own: an upstream may read them for a moment after the call has
// been given up.
func (x *execution) params(meta []byte) ([]byte, error) {
	const around = `{"name":"","arguments":,"_meta":}`
	dst := make([]byte, 0, len(around)+len(x.tool)+len(x.args)+len(meta)+8)
	dst = mcp.AppendString(append(dst, `{"name":`...), x.tool)
	dst = append(append(dst, `,"arguments":`...), x.args...) // verbatim: numbers, order and duplicates are the upstream's matter
	if meta == nil {
		return append(dst, '}'), nil
	}
	end := len(dst)
	dst = append(dst, `,"_meta":`...)
	start := len(dst)
	dst, err := mcp.AppendForwardMeta(dst, meta)
	if err != nil {
		return nil, refuseArgument("_meta: %v", err)
	}
	if len(dst) == start { // nothing of it may cross
		dst = dst[:end]
	}
	return append(dst, '}'), nil
}
