package config

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

const (
	// anyOther stands for the tools that nothing names.
	anyOther = "*"
	// otherTool is the name that is decided for them: one that no rule holds, and that no glob matches but those that
	// match nearly everything, such as "*", "?*" and "[!_]*". It is made of private-use code points.
	otherTool = "\U00100001\U0010F0F0\U0010ABCD\U00100001\U0010F0F0\U0010ABCD\U00100001\U0010F0F0"
)

// Access says who gains or loses which tool between two configurations, sorted by agent, server and tool. It compares
// decisions, not availability: a server that is permitted and not defined counts as allowed, as it does for Explain.
//
// For each policy that differs and each server that is defined, named by any rule, or in catalogues, it asks for the
// tools that any policy's rules name there, for those in the server's catalogue, and for "*", any other tool. Names come
// from all policies of both sides, since one agent's glob may take what only another one's rule spells out. A name that is
// known only from elsewhere is in the answer where "*" does not say the same of it. A server without a catalogue also has
// the globs of the policy's own rules as they are written, which stand for the tools they were meant for; otherwise a rule
// such as "list_*" would change nothing that can be shown. catalogues is by server and may be nil.
//
// Callers that name no agent, whom only the settings concern, are not in it. A configuration that does not compile
// allows nothing.
func Access(a, b *gatehousev1.Config, catalogues map[string][]string) []*gatehousev1.AccessChange {
	c := comparison{before: compileOrDeny(a), after: compileOrDeny(b), catalogues: catalogues}
	before, after := policiesOf(a), policiesOf(b)
	c.gather(serversOf(a, b, catalogues), slices.Concat(slices.Collect(maps.Values(before)), slices.Collect(maps.Values(after))))
	ids := maps.Clone(before)
	maps.Copy(ids, after)
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if !proto.Equal(before[id], after[id]) {
			c.agent(id, accesses(before[id], after[id]))
		}
	}
	return c.changes
}

// comparison collects what differs between two sets of policies.
type comparison struct {
	before, after *policy.Set
	catalogues    map[string][]string // :: tools by server, as proxies reported them
	servers       []string            // :: asked about for every agent, sorted
	known         map[string][]string // :: names of tools by server: its catalogue's, and those of rules for it
	everywhere    []string            // :: all names of tools, sorted
	changes       []*gatehousev1.AccessChange
}

// gather finds the servers and tools that anything names. A glob names no server, unless one is really called that.
func (c *comparison) gather(defined []string, policies []*gatehousev1.Policy) {
	var rules []*gatehousev1.ToolRule
	servers := slices.Clone(defined)
	for _, p := range policies {
		for _, side := range []*gatehousev1.Access{p.GetAllow(), p.GetDeny()} {
			servers, rules = append(servers, side.GetServers()...), append(rules, side.GetTools()...)
		}
	}
	// What many policies say in the same words is looked at once.
	literal := map[string][]string{}
	for _, r := range rules {
		servers = append(servers, r.GetServer())
		literal[r.GetServer()] = append(literal[r.GetServer()], named(r.GetTools(), false)...)
	}
	noName := func(s string) bool { return s == "" || policy.IsGlob(s) && !slices.Contains(defined, s) }
	c.servers = sortedSet(slices.DeleteFunc(servers, noName))
	c.know(literal)
}

// know sorts the names of tools by server. literal holds those of rules by the rules' keys, which may be globs.
func (c *comparison) know(literal map[string][]string) {
	c.known = make(map[string][]string, len(c.servers))
	for key := range literal {
		literal[key] = sortedSet(literal[key])
		c.everywhere = append(c.everywhere, literal[key]...)
	}
	for _, server := range c.servers {
		names := slices.Clone(c.catalogues[server])
		for key, tools := range literal {
			if key == server || policy.Match(key, server) {
				names = append(names, tools...)
			}
		}
		c.known[server] = sortedSet(names)
		c.everywhere = append(c.everywhere, c.catalogues[server]...)
	}
	c.everywhere = sortedSet(c.everywhere)
}

// agent compares all that one agent may use. rules are those of both policies.
func (c *comparison) agent(id string, rules []*gatehousev1.Access) {
	before, after := c.before.Agent(id), c.after.Agent(id)
	for _, server := range c.servers {
		changed := func(tool string) (was, is bool) {
			return before.Tool(server, tool).Allow, after.Tool(server, tool).Allow
		}
		restWas, restIs := changed(otherTool)
		for _, tool := range c.tools(server, rules) {
			was, is := restWas, restIs
			if tool != anyOther {
				was, is = changed(tool)
			}
			said := tool != anyOther && was == restWas && is == restIs && c.foreign(server, tool)
			if was != is && !said {
				c.changes = append(c.changes, &gatehousev1.AccessChange{
					Agent: id, Server: server, Tool: tool, Before: word(was), After: word(is),
				})
			}
		}
	}
}

// foreign says that nothing but another server's rules or catalogue holds this name. A glob is of the agent's own rules.
func (c *comparison) foreign(server, tool string) bool {
	_, here := slices.BinarySearch(c.known[server], tool)
	_, elsewhere := slices.BinarySearch(c.everywhere, tool)
	return !here && elsewhere
}

// tools returns what to ask for on one server, sorted.
func (c *comparison) tools(server string, rules []*gatehousev1.Access) []string {
	out := append([]string{anyOther}, c.known[server]...)
	patterns := false
	for _, a := range rules {
		for _, r := range a.GetTools() {
			if r.GetServer() != server && !policy.Match(r.GetServer(), server) {
				continue
			}
			globs := slices.ContainsFunc(named(r.GetTools(), true), policy.IsGlob)
			if patterns = patterns || globs; globs && len(c.catalogues[server]) == 0 {
				out = append(out, named(r.GetTools(), true)...)
			}
		}
	}
	if patterns { // without one, a name from elsewhere is decided as any other is
		out = append(out, c.everywhere...)
	}
	return sortedSet(out)
}

// named returns the entries that can be asked for: names, and globs where asked for.
func named(entries []string, globs bool) []string {
	return slices.DeleteFunc(slices.Clone(entries), func(e string) bool {
		return strings.Trim(e, "*") == "" || !globs && policy.IsGlob(e)
	})
}

// serversOf returns the servers that either configuration defines, and those that have a catalogue.
func serversOf(a, b *gatehousev1.Config, catalogues map[string][]string) []string {
	out := slices.Collect(maps.Keys(catalogues))
	for _, o := range slices.Concat(a.GetObjects(), b.GetObjects()) {
		if Kind(o) == Servers {
			out = append(out, o.GetName())
		}
	}
	return sortedSet(out)
}

// policiesOf returns the policies by agent.
func policiesOf(c *gatehousev1.Config) map[string]*gatehousev1.Policy {
	out := map[string]*gatehousev1.Policy{}
	for _, o := range c.GetObjects() {
		if p := o.GetPolicy(); p != nil {
			out[o.GetName()] = p
		}
	}
	return out
}

// accesses returns all sides of both policies.
func accesses(before, after *gatehousev1.Policy) []*gatehousev1.Access {
	return []*gatehousev1.Access{before.GetAllow(), before.GetDeny(), after.GetAllow(), after.GetDeny()}
}

// compileOrDeny compiles the policies of c; none where they do not compile. An old revision may be one that this version
// would not accept, and what no proxy serves allows nothing.
func compileOrDeny(c *gatehousev1.Config) *policy.Set {
	if set, err := policy.Compile(c); err == nil {
		return set
	}
	return &policy.Set{}
}

// word is how a decision is written.
func word(allow bool) string {
	if allow {
		return "allow"
	}
	return "deny"
}

// sortedSet sorts and removes what is there twice. It uses s.
func sortedSet(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}
