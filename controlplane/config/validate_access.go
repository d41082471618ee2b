package config

import (
	"encoding/hex"
	"slices"
	"strings"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// digestSize is the length of a lower-case hex SHA-256.
const digestSize = 64

// maxEntrySize is the longest name or glob of a rule, in bytes. The work of a decision grows with it.
const maxEntrySize = 1024

// policy checks the rules of one agent. What allows less than it seems to is a warning, never refused: a policy that is
// too narrow does no harm, and one that waits for its servers is useful.
func (k *checker) policy(p *gatehousev1.Policy) {
	k.access("spec.allow", p.GetAllow())
	k.access("spec.deny", p.GetDeny())
	for _, kind := range policy.Kinds() {
		for _, r := range kind.Rules(p.GetAllow()) {
			field := "spec.allow." + kind.String() + "." + r.GetServer()
			idle := !reaches(p.GetAllow().GetServers(), r.GetServer())
			k.warnIf(len(r.GetTools()) == 0, field, "an empty list allows no "+kind.Noun())
			k.warnIf(idle, field, "this has no effect: allow.servers does not let the server in")
		}
	}
}

// access checks one side of a policy.
func (k *checker) access(field string, a *gatehousev1.Access) {
	for i, s := range a.GetServers() {
		k.entry(at(field+".servers", i), s)
		k.serverNamed(at(field+".servers", i), s)
	}
	for _, kind := range policy.Kinds() {
		k.rules(field+"."+kind.String()+".", kind.Rules(a))
	}
}

// rules checks the rules of one kind. Two for one server cannot come from a file, where keys are unique, but from another
// client of the API; which of them counts would depend on their order.
func (k *checker) rules(prefix string, rules []*gatehousev1.ToolRule) {
	seen := map[string]bool{}
	for _, r := range rules {
		path := prefix + r.GetServer()
		k.refuseIf(seen[r.GetServer()], path, "there are two rules for this server")
		seen[r.GetServer()] = true
		k.entry(path, r.GetServer())
		k.serverNamed(path, r.GetServer())
		for i, t := range r.GetTools() {
			k.entry(at(path, i), t)
		}
	}
}

// entry looks at one name or glob. Every text is a valid glob; only the empty one is certainly a mistake.
func (k *checker) entry(field, text string) {
	k.refuseIf(len(text) > maxEntrySize, field, "a name or glob has at most 1024 bytes")
	k.warnIf(text == "", field, "an empty name matches nothing")
}

// serverNamed warns of a name that no server has; a glob may match servers to come.
func (k *checker) serverNamed(field, name string) {
	missing := name != "" && !policy.IsGlob(name) && !k.hasServer(name)
	k.warnIf(missing, field, "there is no server "+name)
}

// reaches says whether any of the entries lets the server in. A glob may, as far as can be told.
func reaches(entries []string, server string) bool {
	return policy.IsGlob(server) || slices.ContainsFunc(entries, func(e string) bool {
		return e == server || policy.Match(e, server)
	})
}

// credential checks a key's digest and what it is bound to. Whether it has expired is not asked: that is no reason to
// refuse a configuration that was accepted yesterday.
func (k *checker) credential(c *gatehousev1.Credential) {
	const field = "spec.apiKey.sha256"
	digest := c.GetApiKey().GetSha256()
	_, err := hex.DecodeString(digest)
	odd := err != nil || len(digest) != digestSize || digest != strings.ToLower(digest)
	k.refuseIf(odd, field, "64 lower-case hexadecimal digits are needed")
	if other := k.digests[digest]; other != "" {
		k.refuse(field, other+" has the same key")
	}
	k.digests[digest] = k.ref
	k.refuseIf(len(c.GetAgents()) == 0, "spec.agents", "a credential needs at least one agent")
	k.refuseIf(c.GetExpires() != nil && !c.GetExpires().IsValid(), "spec.expires", "this is not a time")
	for i, agent := range c.GetAgents() {
		k.id(at("spec.agents", i), agent)
		k.warnIf(!k.hasPolicy(agent), at("spec.agents", i), "there is no policy "+agent)
	}
}
