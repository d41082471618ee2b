package policy

import (
	"crypto/sha256"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// Agent is the compiled policy of one agent. A nil Agent is denied everything.
type Agent struct {
	// ID is the policy's name.
	ID string

	deny, allow side
	print       [sha256.Size]byte // :: of the policy
}

// Same says whether two agents have one name and one policy, be it of two revisions.
func (a *Agent) Same(b *Agent) bool { return a.ID == b.ID && a.print == b.print }

// Narrows says whether any rule of the kind is for the server. Where none is, the agent may use all that there is of the
// kind, or nothing of the server at all.
func (a *Agent) Narrows(kind Kind, server string) bool {
	return a.deny.kinds[kind].reach(server) || a.allow.kinds[kind].reach(server)
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

// Tool decides whether the agent may use a tool of a server, whether or not either exists.
func (a *Agent) Tool(server, tool string) Decision { return a.May(Tools, server, tool) }

// May decides whether the agent may use something of a server, whether or not either exists: the server first, then what
// denies the name, then what allows it. Where nothing narrows the server, the rule that let the server in decides.
func (a *Agent) May(kind Kind, server, name string) Decision {
	d := a.Server(server)
	if !d.Allow {
		return d
	}
	if rule, ok := a.deny.kinds[kind].anyKey(server, name); ok {
		return denied(rule)
	}
	if name == "" { // nothing has an empty name, and "*" would match it
		return denied("")
	}
	rule, ok, narrowed := a.allow.kinds[kind].bestKey(server, name)
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
