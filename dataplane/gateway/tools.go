package gateway

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// maxPattern bounds a pattern of an agent's in bytes: matching takes time in proportion to it.
const maxPattern = 1024

// listing is what get_server_tools was asked.
type listing struct {
	agent   string
	server  string
	names   map[string]bool // nil: all
	pattern *policy.Pattern // nil: all
	budget  int64           // tokens
}

// serverTools is get_server_tools: the definitions of the tools that the agent may use on one server, each as the upstream
// sent it. What policy hides leaves no trace, neither in the list nor in the numbers.
func (f *flight) serverTools(ctx context.Context) error {
	l, err := f.readListing()
	if err != nil {
		return err
	}
	if err := f.identify(l.agent); err != nil {
		return err
	}
	if d := f.agent.Server(l.server); !f.decide(d) {
		return refuse(d.Code, fmt.Sprintf("agent %q may not use server %.128q", f.agent.ID, l.server))
	}
	u, s, err := f.upstream(l.server)
	if err != nil {
		return err
	}
	// The catalogue is kept, so this waits only where it was never read or has changed.
	within, cancel := context.WithTimeout(ctx, timeFor(s, 0))
	defer cancel()
	catalogue, err := u.Tools(within)
	if err != nil {
		return fromUpstream(ctx, l.server, err)
	}
	key, made := f.shelfKey(l.server, ""), shelved{catalogue: catalogue}
	if l.isWhole() && f.fetch(key, made) {
		return nil
	}
	document := f.g.buffers.take()
	*document = l.append(*document, f.agent, catalogue)
	f.answerJSON(*document)
	f.g.buffers.give(document)
	if l.isWhole() {
		f.keep(key, made)
	}
	return nil
}

// readListing reads the arguments, and records them as far as they can be read.
func (f *flight) readListing() (l listing, err error) {
	v, err := f.pick(getServerToolsArguments)
	if err != nil {
		return l, err
	}
	if l.agent, err = text("agent_id", v[0]); err != nil {
		return l, err
	}
	f.entry.AgentAsked = l.agent
	if l.server, err = required("server", v[1]); err != nil {
		return l, err
	}
	f.entry.Server = l.server
	if l.names, err = list("names", v[2]); err != nil {
		return l, err
	}
	if l.pattern, err = pattern(v[3]); err != nil {
		return l, err
	}
	l.budget, err = budget(v[4])
	return l, err
}

// pattern reads a glob; nil is none, which differs from the empty one, which matches nothing.
func pattern(raw []byte) (*policy.Pattern, error) {
	if raw == nil {
		return nil, nil
	}
	s, err := text("pattern", raw)
	if err != nil {
		return nil, err
	}
	if len(s) > maxPattern {
		return nil, refuseArgument("pattern must be at most %d bytes long", maxPattern)
	}
	return policy.NewPattern(s), nil
}

// budget reads max_schema_tokens; no budget is one that nothing exceeds.
func budget(raw []byte) (int64, error) {
	if raw == nil {
		return math.MaxInt64, nil
	}
	n, err := whole("max_schema_tokens", raw)
	if err == nil && n < 0 {
		err = refuseArgument("max_schema_tokens must not be negative")
	}
	return n, err
}

// append appends the result. Filters come in the order of the contract: names, pattern, policy, budget. A tool that does
// not fit into what is left of the budget is passed over, and later ones that fit still come.
func (l *listing) append(dst []byte, agent *policy.Agent, catalogue *upstream.Catalogue) []byte {
	dst = append(dst, `{"tools":[`...)
	var total, returned, used int64
	truncated := false
	for i := range catalogue.Tools {
		tool := &catalogue.Tools[i]
		if !agent.Tool(l.server, tool.Name).Allow {
			continue // not even counted: how much is hidden is hidden too
		}
		total++
		if !l.wants(tool.Name) {
			continue
		}
		if int64(tool.Tokens) > l.budget-used { // a difference, since a sum could overflow
			truncated = true
			continue
		}
		if returned > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, tool.Raw...)
		returned, used = returned+1, used+int64(tool.Tokens)
	}
	dst = mcp.AppendString(append(dst, `],"server":`...), l.server)
	dst = strconv.AppendInt(append(dst, `,"total_available":`...), total, 10)
	dst = strconv.AppendInt(append(dst, `,"returned":`...), returned, 10)
	dst = strconv.AppendInt(append(dst, `,"tokens_used":`...), used, 10)
	dst = strconv.AppendBool(append(dst, `,"truncated":`...), truncated)
	return append(dst, '}')
}

// wants says whether a tool passes names and pattern.
func (l *listing) wants(name string) bool {
	if l.names != nil && !l.names[name] {
		return false
	}
	return l.pattern == nil || l.pattern.Match(name)
}
