// Package policy decides whether an agent may use a server, or a tool, a resource or a prompt of it. It is pure: compiled
// once for each snapshot, it does no I/O, takes no lock, reads no clock, and a decision allocates nothing.
//
// It refuses what it cannot read one way only: two policies of one name, two rules of one kind and key, a second Settings.
// Everything that no rule allows is denied.
package policy

import (
	"crypto/sha256"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// fallbackAgent is the policy of a caller that names no agent, where the settings name no other.
const fallbackAgent = "default"

// Decision is allow or deny, and the rule that said so.
type Decision struct {
	// Allow is the decision.
	Allow bool
	// Code says why not; empty where Allow is true.
	Code mcp.Code
	// Rule is the path of the rule that decided, such as "agents.backend.deny.tools.postgres[0]"; empty where none did.
	Rule string
}

// Undecided is the decision where deciding itself went wrong: an error denies.
func Undecided() Decision { return Decision{Code: mcp.Internal} }

// FieldError says which field of which object cannot be compiled, so that a refusal points into the manifest.
type FieldError struct {
	// Object is the reference, such as "policies/backend".
	Object string
	// Field is the path in the manifest, such as "spec.deny.tools.postgres".
	Field string
	// Message is for the operator.
	Message string
}

// Error joins the three.
func (e *FieldError) Error() string { return e.Object + ": " + e.Field + ": " + e.Message }

// Set is all policies of one snapshot, compiled. It MUST NOT be changed after Compile.
type Set struct {
	agents      []*Agent // :: sorted by id
	byID        map[string]*Agent
	refuse      bool     // :: a caller that names no agent
	fallback    string   // :: else it has this policy
	missingCode mcp.Code // :: else it is refused with this
}

// Compile makes a set of the policies and settings of c. An error is a *FieldError: it names the object and the field.
func Compile(c *gatehousev1.Config) (*Set, error) {
	s := &Set{byID: map[string]*Agent{}}
	s.set(nil)
	settings := false
	for _, o := range c.GetObjects() {
		switch spec := o.GetSpec().(type) {
		case *gatehousev1.Object_Policy:
			if err := s.add(o.GetName(), spec.Policy); err != nil {
				return nil, err
			}
		case *gatehousev1.Object_Settings:
			if settings {
				return nil, twice("settings/"+o.GetName(), "Settings objects")
			}
			settings = true
			s.set(spec.Settings)
		}
	}
	slices.SortFunc(s.agents, func(a, b *Agent) int { return strings.Compare(a.ID, b.ID) })
	return s, nil
}

// add compiles one policy. A policy without an allow side is complete: it allows nothing.
func (s *Set) add(id string, p *gatehousev1.Policy) error {
	ref := "policies/" + id
	switch {
	case id == "":
		return &FieldError{Object: ref, Field: "metadata.name", Message: "a policy needs a name"}
	case s.byID[id] != nil:
		return twice(ref, "policies of this name")
	}
	deny, err := compileSide(ref, id, "deny", p.GetDeny())
	if err != nil {
		return err
	}
	allow, err := compileSide(ref, id, "allow", p.GetAllow())
	if err != nil {
		return err
	}
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return &FieldError{Object: ref, Field: "spec", Message: err.Error()}
	}
	a := &Agent{ID: id, deny: deny, allow: allow, print: sha256.Sum256(text)}
	s.agents, s.byID[id] = append(s.agents, a), a
	return nil
}

// twice refuses the second of what there can be only one of: which of the two counts would depend on their order.
func twice(ref, what string) error {
	return &FieldError{Object: ref, Field: "metadata.name", Message: "there are two " + what}
}

// set applies the settings; nil means that there are none, which is the strict case.
func (s *Set) set(g *gatehousev1.Settings) {
	s.refuse = g == nil || g.DenyOnMissingAgent == nil || g.GetDenyOnMissingAgent()
	s.fallback, s.missingCode = g.GetDefaultAgent(), mcp.FallbackAgentNotInRules
	if s.fallback == "" {
		s.fallback, s.missingCode = fallbackAgent, mcp.NoFallbackConfigured
	}
}

// Resolve finds the policy of a caller that asked to be agent; empty means that it named none. The second result is the
// denial where there is no such policy. An unknown name never falls back: it would make every typing error the default.
func (s *Set) Resolve(agent string) (*Agent, Decision) {
	id, code := agent, mcp.InvalidAgentID
	if agent == "" {
		if s.refuse {
			return nil, Decision{Code: mcp.InvalidAgentID}
		}
		id, code = s.fallback, s.missingCode
	}
	if a := s.byID[id]; a != nil {
		return a, Decision{Allow: true}
	}
	return nil, Decision{Code: code}
}

// Agent returns the policy of that name, or nil.
func (s *Set) Agent(id string) *Agent { return s.byID[id] }

// Agents returns all policies, sorted by id. The slice MUST NOT be changed.
func (s *Set) Agents() []*Agent { return s.agents }
