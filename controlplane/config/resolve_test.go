package config_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// identity converts from the store's, as the control plane does.
func identity() config.Identity {
	return config.Identity(store.Identity{ID: "store", Epoch: 3, SealKey: bytes.Repeat([]byte{7}, 32)})
}

func record(n int64) *gatehousev1.Revision {
	return &gatehousev1.Revision{Revision: n, Time: &timestamppb.Timestamp{Seconds: 1_800_000_000}}
}

func TestResolveMakesWhatProxiesTake(t *testing.T) {
	s, err := config.Resolve(record(7), all(), identity())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(s.GetContent())
	want := &gatehousev1.Position{StoreId: "store", Epoch: 3, Revision: 7, Digest: sum[:]}
	if !proto.Equal(s.GetPosition(), want) || len(s.GetRequiredFeatures()) != 0 {
		t.Errorf("Resolve = %v requiring %v, want %v requiring nothing", s.GetPosition(), s.GetRequiredFeatures(), want)
	}
	built, err := table.Build(s)
	if err != nil || built.Server("b") == nil || built.Policies.Agent("p") == nil {
		t.Errorf("Build = %v, %v; want a table with server b and policy p", built, err)
	}
}

func TestResolveIsDeterministic(t *testing.T) {
	env := map[string]string{"A": "1", "B": "2", "C": "3", "D": "4", "E": "5"}
	fresh := func() *gatehousev1.Config {
		s := stdio("true")
		s.GetStdio().Env = env
		o := serverOf("s", s)
		o.Labels = env
		return configOf(o)
	}
	first, err := config.Resolve(record(1), fresh(), identity())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := config.Resolve(record(1), fresh(), identity())
		if err != nil || !proto.Equal(first, again) {
			t.Fatalf("Resolve again = %v, %v; want equal bytes", again, err)
		}
	}
}

func TestResolveRefusesWhatProxiesRefuse(t *testing.T) {
	if _, err := config.Resolve(record(1), configOf(serverOf("s", &gatehousev1.Server{})), identity()); err == nil {
		t.Error("Resolve of a server without a transport = nil, want an error")
	}
	if _, err := config.Resolve(record(1), all(), config.Identity{ID: "store"}); err == nil {
		t.Error("Resolve without a seal key = nil, want an error")
	}
}

func TestRulesForResourcesNeedAProxyThatKnowsThem(t *testing.T) {
	for rule, want := range map[string]bool{
		"allow *": false, "deny *: x": false, "allow resources *: x": true, "deny resources *: x": true, "allow prompts *: x": true,
		"deny prompts *: x": true, "deny resources s: ": true,
	} {
		s, err := config.Resolve(record(1), configOf(policy("a", "allow *", rule)), identity())
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Equal(s.GetRequiredFeatures(), []string{table.FeatureResourceRules}); got != want {
			t.Errorf("with %q, required features = %v", rule, s.GetRequiredFeatures())
		}
		if _, err := table.BuildWith(s, []string{table.FeatureSessionModes}); errors.Is(err, table.ErrFeature) != want {
			t.Errorf("with %q, an older proxy says %v", rule, err)
		}
	}
}

func TestExplainDecidesAsProxiesDo(t *testing.T) {
	no := false
	tool := func(s string) *string { return &s }
	c := configOf(server("db"), policy("a", "allow db", "allow db: query, list_*", "deny resources d*: file:///x/*"), policy("guest"),
		settings(&gatehousev1.Settings{DenyOnMissingAgent: &no, DefaultAgent: "guest"}))
	tests := []struct {
		req  *gatehousev1.ExplainRequest
		want *gatehousev1.ExplainResponse
	}{
		{&gatehousev1.ExplainRequest{Agent: "a", Server: "db", Tool: tool("query"), Revision: 7},
			&gatehousev1.ExplainResponse{Allow: true, Rule: "agents.a.allow.tools.db[0]", Agent: "a", Revision: 7}},
		{&gatehousev1.ExplainRequest{Agent: "a", Server: "db"},
			&gatehousev1.ExplainResponse{Allow: true, Rule: "agents.a.allow.servers[0]", Agent: "a"}},
		{&gatehousev1.ExplainRequest{Agent: "a", Server: "db", Tool: tool("")},
			&gatehousev1.ExplainResponse{Code: "DENIED_BY_POLICY", Agent: "a"}},
		{&gatehousev1.ExplainRequest{Agent: "a", Server: "db", Resource: tool("file:///x/y/z")},
			&gatehousev1.ExplainResponse{Code: "DENIED_BY_POLICY", Rule: "agents.a.deny.resources.d*[0]", Agent: "a"}},
		{&gatehousev1.ExplainRequest{Agent: "a", Server: "db", Resource: tool("file:///y")},
			&gatehousev1.ExplainResponse{Allow: true, Rule: "agents.a.allow.servers[0]", Agent: "a"}},
		{&gatehousev1.ExplainRequest{Agent: "a", Server: "db", Prompt: tool("query")},
			&gatehousev1.ExplainResponse{Allow: true, Rule: "agents.a.allow.servers[0]", Agent: "a"}},
		{&gatehousev1.ExplainRequest{Agent: "a", Server: "db", Prompt: tool("")},
			&gatehousev1.ExplainResponse{Code: "DENIED_BY_POLICY", Agent: "a"}},
		{&gatehousev1.ExplainRequest{Server: "db"}, &gatehousev1.ExplainResponse{Code: "DENIED_BY_POLICY", Agent: "guest"}},
		{&gatehousev1.ExplainRequest{Agent: "ghost", Server: "db"}, &gatehousev1.ExplainResponse{Code: "INVALID_AGENT_ID"}},
	}
	for _, tt := range tests {
		if got := config.Explain(c, tt.req); !proto.Equal(got, tt.want) {
			t.Errorf("Explain(%v) = %v, want %v", tt.req, got, tt.want)
		}
	}
}

func TestExplainDeniesWhatDoesNotCompile(t *testing.T) {
	c := &gatehousev1.Config{Objects: []*gatehousev1.Object{policy("a", "allow *"), policy("a", "allow *")}}
	if got := config.Explain(c, &gatehousev1.ExplainRequest{Agent: "a", Server: "db"}); got.GetAllow() || got.GetCode() != "INTERNAL" {
		t.Errorf("Explain = %v, want INTERNAL", got)
	}
}
