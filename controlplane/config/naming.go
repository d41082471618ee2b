package config

import (
	"slices"
	"strings"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// naming is what can be asked for of one kind: the names that rules and catalogues hold.
type naming struct {
	kind       policy.Kind
	catalogues map[string][]string // :: names by server, as proxies reported them
	known      map[string][]string // :: names by server: its catalogue's, and those of rules for it
	everywhere []string            // :: all names, sorted
}

// newNaming gathers and sorts the names of one kind by server.
func newNaming(kind policy.Kind, servers []string, policies []*gatehousev1.Policy, catalogues map[string][]string) *naming {
	n := &naming{kind: kind, catalogues: catalogues, known: make(map[string][]string, len(servers))}
	// Names of rules by the rules' keys, which may be globs. What many policies say in the same words is looked at once.
	literal := map[string][]string{}
	for _, p := range policies {
		for _, r := range append(slices.Clone(kind.Rules(p.GetAllow())), kind.Rules(p.GetDeny())...) {
			literal[r.GetServer()] = append(literal[r.GetServer()], named(r.GetTools(), false)...)
		}
	}
	for key := range literal {
		literal[key] = sortedSet(literal[key])
		n.everywhere = append(n.everywhere, literal[key]...)
	}
	for _, server := range servers {
		names := slices.Clone(catalogues[server])
		for key, entries := range literal {
			if key == server || policy.Match(key, server) {
				names = append(names, entries...)
			}
		}
		n.known[server] = sortedSet(names)
		n.everywhere = append(n.everywhere, catalogues[server]...)
	}
	n.everywhere = sortedSet(n.everywhere)
	return n
}

// place is the field of a change that a name of the kind goes into.
func (n *naming) place(c *gatehousev1.AccessChange) *string {
	switch n.kind {
	case policy.Resources:
		return &c.Resource
	case policy.Prompts:
		return &c.Prompt
	}
	return &c.Tool
}

// foreign says that nothing but another server's rules or catalogue holds this name. A glob is of the agent's own rules.
func (n *naming) foreign(server, name string) bool {
	_, here := slices.BinarySearch(n.known[server], name)
	_, elsewhere := slices.BinarySearch(n.everywhere, name)
	return !here && elsewhere
}

// reached says whether any of an agent's own rules of the kind is for the server.
func (n *naming) reached(server string, own []*gatehousev1.Access) bool {
	return slices.ContainsFunc(own, func(a *gatehousev1.Access) bool {
		return slices.ContainsFunc(n.kind.Rules(a), func(r *gatehousev1.ToolRule) bool { return isFor(r, server) })
	})
}

// names returns what to ask for on one server, sorted.
func (n *naming) names(server string, own []*gatehousev1.Access) []string {
	out := append([]string{anyOther}, n.known[server]...)
	patterns := false
	for _, a := range own {
		for _, r := range n.kind.Rules(a) {
			if !isFor(r, server) {
				continue
			}
			globs := slices.ContainsFunc(named(r.GetTools(), true), policy.IsGlob)
			if patterns = patterns || globs; globs && len(n.catalogues[server]) == 0 {
				out = append(out, named(r.GetTools(), true)...)
			}
		}
	}
	if patterns { // without one, a name from elsewhere is decided as any other is
		out = append(out, n.everywhere...)
	}
	return sortedSet(out)
}

// isFor says whether a rule is for a server.
func isFor(r *gatehousev1.ToolRule, server string) bool {
	return r.GetServer() == server || policy.Match(r.GetServer(), server)
}

// named returns the entries that can be asked for: names, and globs where asked for.
func named(entries []string, globs bool) []string {
	return slices.DeleteFunc(slices.Clone(entries), func(e string) bool {
		return strings.Trim(e, "*") == "" || !globs && policy.IsGlob(e)
	})
}
