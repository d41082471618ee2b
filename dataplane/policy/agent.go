package policy

import "github.com/gatehouse-mcp/gatehouse/dataplane/mcp"

// Agent is the compiled policy of one agent. A nil Agent is denied everything.
type Agent struct {
	// ID is the policy's name.
	ID string

	deny, allow side
}

// Server decides whether the agent may see a server, whether or not that server exists.
func (a *Agent) Server(server string) Decision {
	if a == nil {
		return Decision{Code: mcp.InvalidAgentID}
	}
	if rule, ok := a.deny.servers.match(server); ok {
		return denied(rule)
	}
	if rule, ok := a.allow.servers.match(server); ok {
		return Decision{Allow: true, Rule: rule}
	}
	return denied("")
}

// Tool decides whether the agent may use a tool of a server, whether or not either exists: the server first, then what
// denies the tool, then what allows it. Where nothing narrows the server, the rule that let the server in decides.
func (a *Agent) Tool(server, tool string) Decision {
	d := a.Server(server)
	if !d.Allow {
		return d
	}
	if rule, ok := a.deny.tools.anyKey(server, tool); ok {
		return denied(rule)
	}
	if tool == "" { // no tool has an empty name, and "*" would match it
		return denied("")
	}
	rule, ok, narrowed := a.allow.tools.bestKey(server, tool)
	switch {
	case ok:
		return Decision{Allow: true, Rule: rule}
	case narrowed:
		return denied("")
	}
	return d
}

// denied is a denial by the rule of that path, or by the lack of one.
func denied(rule string) Decision { return Decision{Code: mcp.DeniedByPolicy, Rule: rule} }
