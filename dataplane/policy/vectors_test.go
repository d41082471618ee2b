package policy_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// vector is one case of testdata/vectors.json.
type vector struct {
	Name         string          `json:"name"`
	Rules        json.RawMessage `json:"rules"`
	AgentID      *string         `json:"agent_id"`
	DefaultAgent *string         `json:"default_agent"`
	Server       string          `json:"server"`
	Tool         *string         `json:"tool"`
	Expect       struct {
		Decision string  `json:"decision"`
		Code     *string `json:"code"`
		Rule     *string `json:"rule"`
	} `json:"expect"`
}

// The 168 cases are the contract between every implementation of decisions: this one, the importer and explain.
func TestDecidesEveryVector(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 168 {
		t.Fatalf("read %d vectors, want 168", len(vectors))
	}
	rejected := 0
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) { v.check(t) })
		if v.Expect.Decision == "reject" {
			rejected++
		}
	}
	if rejected != 2 {
		t.Errorf("%d vectors reject their document, want 2", rejected)
	}
}

// check decides the case and compares everything that it expects.
func (v *vector) check(t *testing.T) {
	c, err := decodeRules(v.Rules, deref(v.DefaultAgent))
	if v.Expect.Decision == "reject" {
		v.checkRejected(t, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	set, err := policy.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Decision{
		Allow: v.Expect.Decision == "allow", Code: mcp.Code(deref(v.Expect.Code)), Rule: deref(v.Expect.Rule),
	}
	if got := v.decide(set); got != want {
		t.Errorf("Decide(%q, %q, %q) = %+v, want %+v", deref(v.AgentID), v.Server, deref(v.Tool), got, want)
	}
}

// checkRejected wants the unknown field to be named.
func (v *vector) checkRejected(t *testing.T, err error) {
	field := map[string]string{
		"shape/unknown-top-level-key-ignored": `"comment"`,
		"shape/typo-deny-section-ignored":     `"dney"`,
	}[v.Name]
	if err == nil || field == "" || !strings.Contains(err.Error(), field) {
		t.Errorf("decoding = %v, want an error that names %s", err, field)
	}
}

// decide asks as a gateway does: the agent, then the server, or the tool where there is one.
func (v *vector) decide(set *policy.Set) policy.Decision {
	agent, d := set.Resolve(deref(v.AgentID))
	switch {
	case agent == nil:
		return d
	case v.Tool == nil:
		return agent.Server(v.Server)
	}
	return agent.Tool(v.Server, *v.Tool)
}

// deref is the string behind p, or the empty one.
func deref(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
