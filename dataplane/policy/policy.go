// Package policy decides whether an agent may use a server or a tool. It is pure: compiled once for each snapshot, it
// does no I/O, takes no lock, reads no clock, and a decision allocates nothing.
package policy

import (
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// Decision is allow or deny, and the rule that said so.
type Decision struct {
	// Allow is the decision.
	Allow bool
	// Code says why not; empty where Allow is true.
	Code mcp.Code
	// Rule is the path of the rule that decided, such as "agents.backend.deny.tools.postgres[0]"; empty where none did.
	Rule string
}

// Set is all policies of one snapshot, compiled. It MUST NOT be changed after Compile.
type Set struct{}

// Agent is the compiled policy of one agent.
type Agent struct {
	// ID is the policy's name.
	ID string
}

// Compile makes a set of the policies and settings of c. An error names the object and the field.
func Compile(c *gatehousev1.Config) (*Set, error) { panic("not built") }

// Resolve finds the policy of a caller that asked to be agent; empty means that it named none. The second result is the
// denial where there is no such policy.
func (s *Set) Resolve(agent string) (*Agent, Decision) { panic("not built") }

// Agent returns the policy of that name, or nil.
func (s *Set) Agent(id string) *Agent { panic("not built") }

// Agents returns all policies, sorted by id.
func (s *Set) Agents() []*Agent { panic("not built") }

// Server decides whether the agent may see a server.
func (a *Agent) Server(server string) Decision { panic("not built") }

// Tool decides whether the agent may use a tool of a server.
func (a *Agent) Tool(server, tool string) Decision { panic("not built") }
