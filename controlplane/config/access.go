package config

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

const (
	// anyOther stands for the tools, resources or prompts that nothing names.
	anyOther = "*"
	// otherName is the name that is decided for them: one that no rule holds, and that no glob matches but those that
	// match nearly everything, such as "*", "?*" and "[!_]*". It is made of private-use code points.
	otherName = "\U00100001\U0010F0F0\U0010ABCD\U00100001\U0010F0F0\U0010ABCD\U00100001\U0010F0F0"
)

// Access says who gains or loses which tool, resource or prompt between two configurations, sorted by agent, server, kind
// and name. It compares decisions, not availability: a server that is permitted and not defined counts as allowed, as it
// does for Explain.
//
// For each policy that differs and each server that is defined, named by any rule, or in catalogues, it asks for the
// tools that any policy's rules name there, for those in the server's catalogue, and for "*", any other tool. Names come
// from all policies of both sides, since one agent's glob may take what only another one's rule spells out. A name that is
// known only from elsewhere is in the answer where "*" does not say the same of it. A server without a catalogue also has
// the globs of the policy's own rules as they are written, which stand for the tools they were meant for; otherwise a rule
// such as "list_*" would change nothing that can be shown. catalogues is by server, holds tools, and may be nil.
//
// Resources and prompts are asked for in the same way, without catalogues, on those servers that the policy's own rules
// for them reach, before or after: elsewhere they come and go with the server.
//
// Callers that name no agent, whom only the settings concern, are not in it. A configuration that does not compile
// allows nothing.
func Access(a, b *gatehousev1.Config, catalogues map[string][]string) []*gatehousev1.AccessChange {
	c := comparison{before: compileOrDeny(a), after: compileOrDeny(b)}
	before, after := policiesOf(a), policiesOf(b)
	all := slices.Concat(slices.Collect(maps.Values(before)), slices.Collect(maps.Values(after)))
	c.gather(serversOf(a, b, catalogues), all)
	for _, kind := range policy.Kinds() {
		known := catalogues
		if kind != policy.Tools {
			known = nil
		}
		c.kinds = append(c.kinds, newNaming(kind, c.servers, all, known))
	}
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
	servers       []string // :: asked about for every agent, sorted
	kinds         []*naming
	changes       []*gatehousev1.AccessChange
}

// gather finds the servers that anything names. A glob names no server, unless one is really called that.
func (c *comparison) gather(defined []string, policies []*gatehousev1.Policy) {
	servers := slices.Clone(defined)
	for _, p := range policies {
		for _, side := range []*gatehousev1.Access{p.GetAllow(), p.GetDeny()} {
			servers = append(servers, side.GetServers()...)
			for _, kind := range policy.Kinds() {
				for _, r := range kind.Rules(side) {
					servers = append(servers, r.GetServer())
				}
			}
		}
	}
	noName := func(s string) bool { return s == "" || policy.IsGlob(s) && !slices.Contains(defined, s) }
	c.servers = sortedSet(slices.DeleteFunc(servers, noName))
}

// agent compares all that one agent may use. rules are those of both policies.
func (c *comparison) agent(id string, rules []*gatehousev1.Access) {
	for _, server := range c.servers {
		for _, n := range c.kinds {
			if n.kind == policy.Tools || n.reached(server, rules) {
				c.compare(id, server, n, rules)
			}
		}
	}
}

// compare compares what one agent may use of one kind on one server.
func (c *comparison) compare(id, server string, n *naming, rules []*gatehousev1.Access) {
	before, after := c.before.Agent(id), c.after.Agent(id)
	changed := func(name string) (was, is bool) {
		return before.May(n.kind, server, name).Allow, after.May(n.kind, server, name).Allow
	}
	restWas, restIs := changed(otherName)
	for _, name := range n.names(server, rules) {
		was, is := restWas, restIs
		if name != anyOther {
			was, is = changed(name)
		}
		said := name != anyOther && was == restWas && is == restIs && n.foreign(server, name)
		if was != is && !said {
			change := &gatehousev1.AccessChange{Agent: id, Server: server, Before: word(was), After: word(is)}
			*n.place(change) = name
			c.changes = append(c.changes, change)
		}
	}
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
