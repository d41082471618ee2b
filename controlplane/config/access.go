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
// For each policy that differs and each server that is defined, named by a rule, or in catalogues, it asks for the tools
// that the policy's rules name, for those in the server's catalogue, and for "*", any other tool. A server without a
// catalogue also has the globs of its rules as they are written, which stand for the tools they were meant for;
// otherwise a rule such as "list_*" would change nothing that can be shown. catalogues is by server and may be nil.
//
// Callers that name no agent, whom only the settings concern, are not in it. A configuration that does not compile
// allows nothing.
func Access(a, b *gatehousev1.Config, catalogues map[string][]string) []*gatehousev1.AccessChange {
	c := comparison{before: compileOrDeny(a), after: compileOrDeny(b), catalogues: catalogues}
	c.servers = serversOf(a, b, catalogues)
	before, after := policiesOf(a), policiesOf(b)
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
	changes       []*gatehousev1.AccessChange
}

// agent compares all that one agent may use. rules are those of both policies.
func (c *comparison) agent(id string, rules []*gatehousev1.Access) {
	before, after := c.before.Agent(id), c.after.Agent(id)
	for _, server := range c.withNamed(rules) {
		for _, tool := range c.tools(server, rules) {
			name := tool
			if tool == anyOther {
				name = otherTool
			}
			was, is := before.Tool(server, name).Allow, after.Tool(server, name).Allow
			if was != is {
				c.changes = append(c.changes, &gatehousev1.AccessChange{
					Agent: id, Server: server, Tool: tool, Before: word(was), After: word(is),
				})
			}
		}
	}
}

// withNamed returns all servers, and those that the rules name besides, sorted. A glob names no server, unless one is
// really called that.
func (c *comparison) withNamed(rules []*gatehousev1.Access) []string {
	out := slices.Clone(c.servers)
	for _, a := range rules {
		out = append(out, a.GetServers()...)
		for _, r := range a.GetTools() {
			out = append(out, r.GetServer())
		}
	}
	noName := func(s string) bool { return s == "" || policy.IsGlob(s) && !slices.Contains(c.servers, s) }
	return sortedSet(slices.DeleteFunc(out, noName))
}

// tools returns what to ask for on one server, sorted.
func (c *comparison) tools(server string, rules []*gatehousev1.Access) []string {
	catalogue := c.catalogues[server]
	out := append([]string{anyOther}, catalogue...)
	for _, a := range rules {
		for _, r := range a.GetTools() {
			if r.GetServer() == server || policy.Match(r.GetServer(), server) {
				out = append(out, named(r.GetTools(), len(catalogue) == 0)...)
			}
		}
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
