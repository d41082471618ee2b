package table

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// Principal is who calls, proven by a credential.
type Principal struct {
	// Name is the credential's name; "anonymous" with --auth none, "stdio" on a pipe.
	Name string
	// Expires is when the credential stops working; the zero time means never.
	Expires time.Time
	// Use is what the principal has under way. It is one and the same in all tables that hold the principal, one after
	// another: see Live.Swap.
	Use *limit.Use

	all    bool
	agents []string // :: sorted
}

// Everyone returns a principal that may act as any agent and never expires: --auth none, or the owner of a pipe.
func Everyone(name string) *Principal { return &Principal{Name: name, Use: new(limit.Use), all: true} }

// Principal returns who holds the key, or nil. It takes no lock and allocates nothing. The caller asks Expired.
func (t *Table) Principal(key []byte) *Principal { return t.credentials[sha256.Sum256(key)] }

// Expired says whether the credential no longer works at that time.
func (p *Principal) Expired(now time.Time) bool { return !p.Expires.IsZero() && !now.Before(p.Expires) }

// MayActAs says whether the principal may act as the agent. Nobody may act as the agent without a name.
func (p *Principal) MayActAs(agent string) bool {
	if p.all {
		return agent != ""
	}
	_, ok := slices.BinarySearch(p.agents, agent)
	return ok
}

// Only returns the agent of a principal that may act as exactly one.
func (p *Principal) Only() (agent string, ok bool) {
	if p.all || len(p.agents) != 1 {
		return "", false
	}
	return p.agents[0], true
}

// takeOver counts on, for principals of the same names, where prev stands. It is for a table that nobody uses yet.
func (t *Table) takeOver(prev *Table) {
	use := make(map[string]*limit.Use, len(prev.credentials))
	for _, p := range prev.credentials {
		use[p.Name] = p.Use
	}
	for _, p := range t.credentials {
		if u := use[p.Name]; u != nil {
			p.Use = u
		}
	}
}

// addCredential indexes one credential by the digest of its key.
func (t *Table) addCredential(name string, c *gatehousev1.Credential) error {
	refuse := func(field, message string) error {
		return &policy.FieldError{Object: "credentials/" + name, Field: field, Message: message}
	}
	digest, ok := parseDigest(c.GetApiKey().GetSha256())
	agents := slices.Sorted(slices.Values(c.GetAgents()))
	switch {
	case name == "":
		return refuse("metadata.name", "a credential needs a name")
	case !ok:
		return refuse("spec.apiKey.sha256", "64 lower-case hexadecimal digits are needed")
	case t.credentials[digest] != nil:
		return refuse("spec.apiKey.sha256", "credentials/"+t.credentials[digest].Name+" has the same key")
	case len(agents) == 0:
		return refuse("spec.agents", "a credential needs at least one agent")
	case agents[0] == "":
		return refuse("spec.agents", "an agent has no name")
	case c.GetExpires() != nil && !c.GetExpires().IsValid():
		return refuse("spec.expires", "this is not a time")
	}
	p := &Principal{Name: name, Use: new(limit.Use), agents: slices.Compact(agents)}
	if c.GetExpires() != nil {
		p.Expires = c.GetExpires().AsTime()
	}
	t.credentials[digest] = p
	return nil
}

// parseDigest reads a lower-case hex SHA-256. Upper case is refused, so that one key has one spelling.
func parseDigest(s string) (d [sha256.Size]byte, ok bool) {
	if len(s) != hex.EncodedLen(len(d)) || s != strings.ToLower(s) {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err == nil
}
