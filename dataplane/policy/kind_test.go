package policy_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// others are the kinds that must be decided as tools are.
func others() []policy.Kind {
	return slices.DeleteFunc(policy.Kinds(), func(k policy.Kind) bool { return k == policy.Tools })
}

// move makes rules for tools rules for another kind.
func move(a *gatehousev1.Access, to policy.Kind) {
	if a == nil {
		return
	}
	switch to {
	case policy.Resources:
		a.Resources = a.GetTools()
	case policy.Prompts:
		a.Prompts = a.GetTools()
	}
	a.Tools = nil
}

// moved is the set of a configuration whose rules for tools are rules for another kind.
func moved(t testing.TB, c *gatehousev1.Config, to policy.Kind) *policy.Set {
	t.Helper()
	for _, o := range c.GetObjects() {
		move(o.GetPolicy().GetAllow(), to)
		move(o.GetPolicy().GetDeny(), to)
	}
	set, err := policy.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// only is the agent "a" of a policy.
func only(t testing.TB, p *gatehousev1.Policy) *policy.Agent {
	t.Helper()
	set, err := policy.Compile(&gatehousev1.Config{Objects: []*gatehousev1.Object{policyObject("a", p)}})
	if err != nil {
		t.Fatal(err)
	}
	return set.Agent("a")
}

// renamed is a decision about a tool, said of another kind.
func renamed(d policy.Decision, to policy.Kind) policy.Decision {
	for _, side := range []string{".allow.", ".deny."} {
		d.Rule = strings.Replace(d.Rule, side+"tools.", side+to.String()+".", 1)
	}
	return d
}

// The vectors are about tools. What they say holds for every kind, word for word but for the path.
func TestEveryKindDecidesEveryVector(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		if v.Expect.Decision == "reject" || v.Tool == nil {
			continue
		}
		for _, kind := range others() {
			c, err := decodeRules(v.Rules, deref(v.DefaultAgent))
			if err != nil {
				t.Fatal(err)
			}
			want := renamed(policy.Decision{
				Allow: v.Expect.Decision == "allow", Code: mcp.Code(deref(v.Expect.Code)), Rule: deref(v.Expect.Rule),
			}, kind)
			agent, got := moved(t, c, kind).Resolve(deref(v.AgentID))
			if agent != nil {
				got = agent.May(kind, v.Server, *v.Tool)
			}
			if got != want {
				t.Errorf("%s: May(%v, %q, %q) = %+v, want %+v", v.Name, kind, v.Server, *v.Tool, got, want)
			}
		}
	}
}

func TestRulesOfOneKindSayNothingOfAnother(t *testing.T) {
	a := &gatehousev1.Access{Servers: []string{"s"}, Tools: []*gatehousev1.ToolRule{{Server: "s", Tools: []string{"x"}}}}
	for _, kind := range policy.Kinds() {
		side := &gatehousev1.Access{Servers: a.GetServers(), Tools: a.GetTools()}
		move(side, kind)
		if kind == policy.Tools {
			side.Tools = a.GetTools()
		}
		agent := only(t, &gatehousev1.Policy{Allow: side})
		for _, asked := range policy.Kinds() {
			if got, want := agent.May(asked, "s", "y").Allow, asked != kind; got != want {
				t.Errorf("with a rule for %v, May(%v, s, y) = %v, want %v", kind, asked, got, want)
			}
			if got, want := agent.Narrows(asked, "s"), asked == kind; got != want {
				t.Errorf("with a rule for %v, Narrows(%v, s) = %v, want %v", kind, asked, got, want)
			}
		}
	}
}

func TestGlobsOfURIsMatchAcrossSlashes(t *testing.T) {
	rules := func(names ...string) *gatehousev1.Access {
		return &gatehousev1.Access{Resources: []*gatehousev1.ToolRule{{Server: "fs", Tools: names}}}
	}
	p := &gatehousev1.Policy{Allow: rules("file:///*"), Deny: rules("file:///secret/*", "*[?]*")}
	p.Allow.Servers = []string{"*"}
	a := only(t, p)
	for uri, want := range map[string]policy.Decision{
		"file:///a":            {Allow: true, Rule: "agents.a.allow.resources.fs[0]"},
		"file:///a/b/c.txt":    {Allow: true, Rule: "agents.a.allow.resources.fs[0]"},
		"file:///{path}":       {Allow: true, Rule: "agents.a.allow.resources.fs[0]"},
		"file:///secret/a/b":   {Code: mcp.DeniedByPolicy, Rule: "agents.a.deny.resources.fs[0]"},
		"file:///a?version=1":  {Code: mcp.DeniedByPolicy, Rule: "agents.a.deny.resources.fs[1]"},
		"http:///a":            {Code: mcp.DeniedByPolicy},
		"FILE:///a":            {Code: mcp.DeniedByPolicy},
		"":                     {Code: mcp.DeniedByPolicy},
		"file://localhost/x/y": {Code: mcp.DeniedByPolicy},
	} {
		if got := a.May(policy.Resources, "fs", uri); got != want {
			t.Errorf("May(resources, fs, %q) = %+v, want %+v", uri, got, want)
		}
	}
}

func TestSameTellsPoliciesApart(t *testing.T) {
	agent := func(rules string) *policy.Agent { return compile(t, strict(rules)).Agent("a") }
	a := agent(`{"allow":{"servers":["s"]}}`)
	if !a.Same(agent(`{"allow":{"servers":["s"]}}`)) {
		t.Error("Same of two equal policies = false")
	}
	if a.Same(agent(`{"deny":{"servers":["s"]}}`)) {
		t.Error("Same of two policies = true")
	}
}

func TestTwoRulesOfOneKeyAreRefusedForEveryKind(t *testing.T) {
	for _, kind := range policy.Kinds() {
		side := &gatehousev1.Access{Tools: []*gatehousev1.ToolRule{{Server: "db"}, {Server: "db"}}}
		if kind != policy.Tools {
			move(side, kind)
		}
		object := policyObject("a", &gatehousev1.Policy{Deny: side})
		_, err := policy.Compile(&gatehousev1.Config{Objects: []*gatehousev1.Object{object}})
		if err == nil || !strings.Contains(err.Error(), "spec.deny."+kind.String()+".db") {
			t.Errorf("Compile = %v, want an error at spec.deny.%v.db", err, kind)
		}
	}
}

// FuzzKindsDecideAlike gives the same patterns to tools, resources and prompts, and wants the same decisions.
func FuzzKindsDecideAlike(f *testing.F) {
	f.Add("s", "s", "query", "drop_*", "s", "query")
	f.Add("*", "d*", "file:///*", "file:///secret/*", "db", "file:///secret/a/b")
	f.Add("s*", "[s]", "[!a]?*", "", "s", "")
	f.Fuzz(func(t *testing.T, servers, key, allow, deny, server, name string) {
		config := func() *gatehousev1.Config {
			side := func(entry string) *gatehousev1.Access {
				a := &gatehousev1.Access{Tools: []*gatehousev1.ToolRule{{Server: key, Tools: []string{entry, entry + "x"}}}}
				if !strings.HasPrefix(key, "*") {
					a.Tools = append(a.Tools, &gatehousev1.ToolRule{Server: "*", Tools: []string{entry}})
				}
				return a
			}
			p := &gatehousev1.Policy{Allow: side(allow), Deny: side(deny)}
			p.Allow.Servers = []string{servers}
			return &gatehousev1.Config{Objects: []*gatehousev1.Object{policyObject("a", p)}}
		}
		set, err := policy.Compile(config())
		if err != nil {
			t.Skip() // text that protobuf does not take
		}
		want := set.Agent("a").Tool(server, name)
		for _, kind := range others() {
			if got := moved(t, config(), kind).Agent("a").May(kind, server, name); got != renamed(want, kind) {
				t.Errorf("May(%v, %q, %q) = %+v, and Tool = %+v", kind, server, name, got, want)
			}
		}
	})
}
