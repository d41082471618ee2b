// Package gateway is the path of a call: whose it is, what policy says, where it goes, and what is recorded of it. It is
// the one place where an agent's wish becomes an upstream's work: by the gateway's own tools (CallTool), or by a request
// to one upstream as itself (Direct).
//
// It refuses before it looks: a name that policy denies gets the same answer whether it exists or not. It decodes neither
// the arguments nor the result of an upstream's tool; both pass as the bytes they came as.
//
// What it promises of each call:
//
//   - One table decides it, from the proof of the key to the last byte of the answer, whatever is swapped in meanwhile.
//   - It is answered with a result, refused or not; protocol errors are for requests that are no call of a tool.
//   - It has one record, kept before the agent has the answer, with the rule that decided.
//   - It is sent to the upstream at most once.
//   - It ends in time: by the agent's timeout, by the server's, or with the agent.
package gateway

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// Upstream is one server as the gateway uses it: *upstream.Upstream.
type Upstream interface {
	mcp.Caller
	// Tools returns the catalogue, kept until it changes.
	Tools(ctx context.Context) (*upstream.Catalogue, error)
	// Refresh reads the catalogue again, unless that has just been done.
	Refresh(ctx context.Context) (*upstream.Catalogue, error)
	// Hello returns what the server said in its handshake on the session that c selects.
	Hello(ctx context.Context, c *mcp.Call) (*upstream.Hello, error)
	// Notify tells the server what the agent says, if the session that c selects is the agent's own.
	Notify(ctx context.Context, c *mcp.Call) error
	// Listen tells c's stream what changes at the server, until ctx ends.
	Listen(ctx context.Context, c *mcp.Call) error
	// Status says how the upstream is doing.
	Status() upstream.Status
}

// Records takes what is to be kept of a call: *record.Log. Append may wait, and the call waits with it. It MUST NOT keep
// the entry, whose arguments are the agent's bytes.
type Records interface {
	Append(e *record.Entry)
}

// Config holds the parts that a gateway works with.
type Config struct {
	// Live is the table that calls pin.
	Live *table.Live
	// Auth proves principals in the table that a call pinned.
	Auth *auth.Verifier
	// Upstream returns the upstream of a server of a pinned table, without waiting; nil where there is none.
	Upstream func(s *table.Server) Upstream
	// Records takes one entry for each decision; nil keeps none.
	Records Records
	// Metrics counts calls; nil counts none.
	Metrics *record.Metrics
	// Debug adds the tool get_gateway_status, and the rule to refusals.
	Debug bool
	// MaxCalls bounds the calls that one principal has under way, MaxHeld the bytes of large answers that it has not taken; 0
	// means 2048 and 256 MiB.
	MaxCalls int
	MaxHeld  int64
	// Refused is told of each refusal for one of these bounds; nil means that nobody counts.
	Refused func(limit.Name)
	// Status returns what get_gateway_status says of the proxy; nil says nothing.
	Status func() Status
	// Address is where the other proxies of the fleet reach this one; empty where there are none.
	Address string
	// MaxParkedCalls bounds the calls that wait for their agents' answers, MaxParked those of one principal; 0 means 1024
	// and 64.
	MaxParkedCalls, MaxParked int
	// Logger takes what is the gateway's own fault; nil discards it.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.MaxCalls, c.MaxHeld = cmp.Or(c.MaxCalls, 2048), cmp.Or(c.MaxHeld, 256<<20)
	c.MaxParkedCalls, c.MaxParked = cmp.Or(c.MaxParkedCalls, 1024), cmp.Or(c.MaxParked, 64)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Refused == nil {
		c.Refused = func(limit.Name) {}
	}
	return c
}

// Gateway performs the calls of agents. It holds no state of any call but of those that wait for their agents' answers
// (spec.questions, tier park). Close ends them.
type Gateway struct {
	config    Config
	log       *slog.Logger
	tools     map[string]tool // :: name → tool; never changed after New
	toolsList []byte
	buffers   buffers
	seals     seals
	shelf     atomic.Pointer[shelf]
	lists     allLists
	tokens    atomic.Int64 // progress tokens that were given out
	tasks     taskBook
	lot       *lot // the calls that wait for their agents' answers

	view   atomic.Pointer[view]
	viewMu sync.Mutex // held while a view is made, so that one call does it and the others wait
}

// tool is one of the gateway's own tools.
type tool struct {
	definition string
	// run reads the arguments and performs the call. Its error is a *refusal, or the context's where the agent went away.
	run func(f *flight, ctx context.Context) error
}

// New returns a gateway of these parts.
func New(c Config) *Gateway {
	c = c.withDefaults()
	g := &Gateway{config: c, log: c.Logger, lot: newLot(c.MaxParkedCalls, c.MaxParked)}
	g.tools = map[string]tool{
		ListServers:    {definition: listServersDefinition, run: (*flight).listServers},
		GetServerTools: {definition: getServerToolsDefinition, run: (*flight).serverTools},
		ExecuteTool:    {definition: executeToolDefinition, run: (*flight).execute},
	}
	if c.Debug {
		g.tools[GatewayStatus] = tool{definition: gatewayStatusDefinition, run: (*flight).status}
	}
	g.toolsList = renderTools(g.tools)
	return g
}

// ToolsList returns the tools/list result's "tools" array: the definitions of the gateway's own tools, rendered once. It
// MUST NOT be changed.
func (g *Gateway) ToolsList() []byte { return g.toolsList }

// CallTool performs a call of one of the gateway's own tools:
//
//	begin            -- pin the table, prove the principal in it
//	admit            -- has the principal room for one more call
//	* tool.run       -- read the arguments, then, for execute_tool:
//	  * identify     -- whose policy it is
//	  * decide       -- what the policy says, before anything is known of existence
//	  * upstream     -- only now: is there such a server, such a tool
//	  * forward      -- the call itself
//	end              -- make a refusal a result, record, count
//
// The reply's Result is the CallToolResult, for refused calls too. The reply MUST be closed once its bytes are written:
// until then the call counts as under way and its table stays. The error is an *mcp.Error where there is no such tool,
// one of package auth's where the key has been revoked since the front looked or there is no table yet, and the
// context's where the agent went away.
func (g *Gateway) CallTool(ctx context.Context, c *Call) (reply *mcp.Reply, err error) {
	tool, ok := g.tools[c.Name]
	if !ok {
		return nil, &mcp.Error{Code: mcp.CodeInvalidParams, Message: fmt.Sprintf("Unknown tool: %.128q", c.Name)}
	}
	f, err := g.begin(c)
	if err != nil {
		return nil, err
	}
	return f.end(f.guard(ctx, tool.run))
}

// Close cancels the calls that wait for their agents' answers and waits for them; none waits any more after that.
func (g *Gateway) Close() { g.lot.close() }

// Unauthenticated records a request that was refused with HTTP 401, and logs why; c needs Remote and BytesIn alone.
func (g *Gateway) Unauthenticated(c *Call, reason error) {
	f := flight{g: g, call: c}
	f.start(g.config.Live.Load())
	f.entry.Outcome = record.Unauthenticated
	f.record()
	g.log.Debug("caller refused", "remote", c.Remote, "reason", reason)
}

// guard runs the tool; a panic, which would be a defect of ours, becomes a refusal and a stack in the log.
func (f *flight) guard(ctx context.Context, run func(*flight, context.Context) error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			f.g.log.Error("call panicked", "tool", f.call.Name, "panic", fault, "stack", string(debug.Stack()))
			err = refuse(mcp.Internal, "the gateway is at fault; its log says more")
		}
	}()
	if err := f.admit(); err != nil {
		return err
	}
	return run(f, ctx)
}
