package policy_test

import (
	"errors"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// compile is the set of a document in the rules format.
func compile(t testing.TB, document []byte) *policy.Set {
	t.Helper()
	c, err := decodeRules(document, "")
	if err != nil {
		t.Fatal(err)
	}
	set, err := policy.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// These are the sentences about several keys that match one server.
func TestToolRulesOfSeveralKeys(t *testing.T) {
	allow := func(rule string) policy.Decision { return policy.Decision{Allow: true, Rule: rule} }
	deny := func(rule string) policy.Decision { return policy.Decision{Code: mcp.DeniedByPolicy, Rule: rule} }
	tests := []struct {
		name, agent, server, tool string
		want                      policy.Decision
	}{
		{"deny is the union of all keys", `{"allow":{"servers":["*"]},"deny":{"tools":{"db":["x"],"d*":["y"],"*":["z"]}}}`,
			"db", "z", deny("agents.a.deny.tools.*[0]")},
		{"deny asks the equal key first", `{"allow":{"servers":["*"]},"deny":{"tools":{"*":["x"],"db":["x"]}}}`,
			"db", "x", deny("agents.a.deny.tools.db[0]")},
		{"deny asks glob keys by bytes", `{"allow":{"servers":["*"]},"deny":{"tools":{"d*":["x"],"*b":["x"],"[d]b":["x"]}}}`,
			"db", "x", deny("agents.a.deny.tools.*b[0]")},
		{"an exact name under a later key comes before a pattern", `{"allow":{"servers":["*"]},"deny":{"tools":{"db":["x*"],"d*":["q","xy"]}}}`,
			"db", "xy", deny("agents.a.deny.tools.d*[1]")},
		{"the first pattern by key order decides otherwise", `{"allow":{"servers":["*"]},"deny":{"tools":{"d*":["*"],"*b":["q","x*"]}}}`,
			"db", "xy", deny("agents.a.deny.tools.*b[1]")},
		{"allow is the equal key alone", `{"allow":{"servers":["*"],"tools":{"db":["x"],"d*":["y"]}}}`, "db", "y", deny("")},
		{"allow is the union of glob keys", `{"allow":{"servers":["*"],"tools":{"d*":["x"],"*b":["y"]}}}`,
			"db", "x", allow("agents.a.allow.tools.d*[0]")},
		{"an exact name under a later glob key comes first", `{"allow":{"servers":["*"],"tools":{"d*":["x"],"*b":["*"]}}}`,
			"db", "x", allow("agents.a.allow.tools.d*[0]")},
		{"an empty list under a glob key grants nothing", `{"allow":{"servers":["*"],"tools":{"d*":[]}}}`, "db", "x", deny("")},
		{"an empty list under a glob key narrows no other server", `{"allow":{"servers":["*"],"tools":{"d*":[]}}}`,
			"api", "x", allow("agents.a.allow.servers[0]")},
		{"an empty equal key hides glob keys", `{"allow":{"servers":["*"],"tools":{"db":[],"*":["*"]}}}`, "db", "x", deny("")},
		{"a glob key equal to the name is asked once, as the equal one", `{"allow":{"servers":["*"],"tools":{"d?":["x"],"*":["y"]}}}`,
			"d?", "y", deny("")},
		{"an empty tool is denied by an implicit grant too", `{"allow":{"servers":["db"]}}`, "db", "", deny("")},
		{"an empty tool is denied though its name is allowed", `{"allow":{"servers":["db"],"tools":{"db":[""]}}}`, "db", "", deny("")},
		{"a rule that denies an empty tool is named", `{"allow":{"servers":["db"]},"deny":{"tools":{"db":["*"]}}}`,
			"db", "", deny("agents.a.deny.tools.db[0]")},
		{"the server is asked before the tool", `{"allow":{"servers":["db"]},"deny":{"servers":["d*"],"tools":{"db":["x"]}}}`,
			"db", "x", deny("agents.a.deny.servers[0]")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := compile(t, strict(tt.agent)).Agent("a")
			if got := a.Tool(tt.server, tt.tool); got != tt.want {
				t.Errorf("Tool(%q, %q) = %+v, want %+v", tt.server, tt.tool, got, tt.want)
			}
		})
	}
}

func TestCompileRefusesWhatReadsTwoWays(t *testing.T) {
	twice := []*gatehousev1.ToolRule{{Server: "db"}, {Server: "db"}}
	tests := []struct {
		name    string
		objects []*gatehousev1.Object
		want    policy.FieldError
	}{
		{"two policies", []*gatehousev1.Object{policyObject("a", &gatehousev1.Policy{}), policyObject("a", &gatehousev1.Policy{})},
			policy.FieldError{Object: "policies/a", Field: "metadata.name"}},
		{"a policy without a name", []*gatehousev1.Object{policyObject("", &gatehousev1.Policy{})},
			policy.FieldError{Object: "policies/", Field: "metadata.name"}},
		{"two settings", []*gatehousev1.Object{settingsObject(&gatehousev1.Settings{}), settingsObject(&gatehousev1.Settings{})},
			policy.FieldError{Object: "settings/default", Field: "metadata.name"}},
		{"two deny rules of one key", []*gatehousev1.Object{policyObject("a", &gatehousev1.Policy{Deny: &gatehousev1.Access{Tools: twice}})},
			policy.FieldError{Object: "policies/a", Field: "spec.deny.tools.db"}},
		{"two allow rules of one key", []*gatehousev1.Object{policyObject("a", &gatehousev1.Policy{Allow: &gatehousev1.Access{Tools: twice}})},
			policy.FieldError{Object: "policies/a", Field: "spec.allow.tools.db"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := policy.Compile(&gatehousev1.Config{Objects: tt.objects})
			var got *policy.FieldError
			if !errors.As(err, &got) || got.Object != tt.want.Object || got.Field != tt.want.Field {
				t.Errorf("Compile = %v, want an error at %s %s", err, tt.want.Object, tt.want.Field)
			}
		})
	}
}

func TestNobodyIsAllowedNothing(t *testing.T) {
	set, err := policy.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Decision{Code: mcp.InvalidAgentID}
	for _, id := range []string{"", "a", "default"} {
		agent, got := set.Resolve(id)
		if agent != nil || got != want {
			t.Errorf("Resolve(%q) = %v, %+v; want nil, %+v", id, agent, got, want)
		}
		if got := agent.Tool("db", "x"); got != want {
			t.Errorf("Tool of nobody = %+v, want %+v", got, want)
		}
	}
}

func TestAgentsAreSorted(t *testing.T) {
	set := compile(t, []byte(`{"agents":{"c":{},"a":{},"b":{}}}`))
	var got string
	for _, a := range set.Agents() {
		got += a.ID
	}
	if got != "abc" {
		t.Errorf("Agents() = %s, want abc", got)
	}
}
