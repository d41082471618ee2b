package config_test

import (
	"fmt"
	"strings"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
)

// accessed writes changes as "a db/query +", + for what is gained.
func accessed(changes []*gatehousev1.AccessChange) string {
	var out []string
	for _, c := range changes {
		sign := map[string]string{"denyallow": "+", "allowdeny": "-"}[c.GetBefore()+c.GetAfter()]
		name := c.GetTool()
		switch {
		case c.GetResource() != "":
			name = "resource:" + c.GetResource()
		case c.GetPrompt() != "":
			name = "prompt:" + c.GetPrompt()
		}
		out = append(out, fmt.Sprintf("%s %s/%s %s", c.GetAgent(), c.GetServer(), name, sign))
	}
	return strings.Join(out, ", ")
}

func TestAccessSaysWhoGainsAndLoses(t *testing.T) {
	db := []*gatehousev1.Object{server("db"), server("web")}
	with := func(objects ...*gatehousev1.Object) *gatehousev1.Config { return configOf(append(objects, db...)...) }
	known := map[string][]string{"db": {"query", "list_a", "list_b", "drop_a"}}
	tests := []struct {
		name          string
		before, after *gatehousev1.Config
		catalogues    map[string][]string
		want          string
	}{
		{"the same", with(policy("a", "allow *")), with(policy("a", "allow *")), known, ""},
		{"only an equal meaning", with(policy("a", "allow db")), with(policy("a", "allow d*")), known, ""},
		{"a new agent, with an implicit grant", with(), with(policy("a", "allow db")), nil, "a db/* +"},
		{"a deleted agent", with(policy("a", "allow db", "allow db: query")), with(), nil, "a db/query -"},
		{"one more name", with(policy("a", "allow db", "allow db: query")), with(policy("a", "allow db", "allow db: query, add")), nil, "a db/add +"},
		{"a catalogue spells an implicit grant out", with(), with(policy("a", "allow db")), known,
			"a db/* +, a db/drop_a +, a db/list_a +, a db/list_b +, a db/query +"},
		{"a catalogue spells a glob out", with(policy("a", "allow db", "allow db: query")), with(policy("a", "allow db", "allow db: query, list_*")), known,
			"a db/list_a +, a db/list_b +"},
		{"without a catalogue the glob stands for itself", with(policy("a", "allow db", "allow db: query")), with(policy("a", "allow db", "allow db: query, list_*")), nil,
			"a db/list_* +"},
		{"a deny of a glob", with(policy("a", "allow db")), with(policy("a", "allow db", "deny db: drop_*")), nil, "a db/drop_* -"},
		{"narrowing an implicit grant takes the rest", with(policy("a", "allow db")), with(policy("a", "allow db", "allow db: query")), nil, "a db/* -"},
		{"a star is the rest", with(policy("a", "allow db", "allow db: query")), with(policy("a", "allow db", "allow db: *")), nil, "a db/* +"},
		{"a denied server", with(policy("a", "allow *")), with(policy("a", "allow *", "deny web")), nil, "a web/* -"},
		{"a server that is only named", with(), with(policy("a", "allow mail: send", "allow mail")), nil, "a mail/send +"},
		{"a server by glob, only if it is there", with(), with(policy("a", "allow w*", "allow x*")), nil, "a web/* +"},
		{"a rule under a glob key", with(policy("a", "allow *")), with(policy("a", "allow *", "deny *: drop")), nil, "a db/drop -, a web/drop -"},
		{"by agent, server, tool", with(policy("b", "allow db")), with(policy("b"), policy("a", "allow *")), nil, "a db/* +, a web/* +, b db/* -"},
		{"another policy's name under a glob of this one", with(policy("a"), policy("b", "allow db: query")),
			with(policy("a", "allow db", "allow db: q*"), policy("b", "allow db: query")), nil, "a db/q* +, a db/query +"},
		{"a name that only the other side's policy has", with(policy("a", "allow db", "allow db: q*"), policy("b", "allow db: query")),
			with(policy("a", "allow db", "allow db: r*")), known, "a db/query -"},
		{"a name from elsewhere, where a glob takes it", with(policy("a"), policy("b", "allow web: list_c")),
			with(policy("a", "allow db", "allow db: list_*"), policy("b", "allow web: list_c")), known, "a db/list_a +, a db/list_b +, a db/list_c +"},
		{"a name from elsewhere is one of the rest", with(policy("b", "allow web: list_c")),
			with(policy("a", "allow db"), policy("b", "allow web: list_c")), nil, "a db/* +"},
		{"a server that only another policy names", with(policy("b", "allow mail")), with(policy("a", "allow m*"), policy("b", "allow mail")), nil, "a mail/* +"},
		{"a denied resource", with(policy("a", "allow db")), with(policy("a", "allow db", "deny resources db: file:///secret")), known,
			"a db/resource:file:///secret -"},
		{"a glob of resources stands for itself", with(policy("a", "allow db")), with(policy("a", "allow db", "deny resources db: file:///s/*")), known,
			"a db/resource:file:///s/* -"},
		{"narrowing resources takes the rest", with(policy("a", "allow db")), with(policy("a", "allow db", "allow resources db: file:///a")), nil,
			"a db/resource:* -"},
		{"a new agent with rules for prompts", with(), with(policy("a", "allow db", "allow db: query", "allow prompts *: plan, write_*")), nil,
			"a db/query +, a db/prompt:plan +, a db/prompt:write_* +"},
		{"rules for prompts of a server that goes", with(policy("a", "allow *", "deny prompts web: x")), with(policy("a", "allow db", "deny prompts web: x")), nil,
			"a web/* -, a web/prompt:* -"},
		{"a catalogue holds no prompts", with(policy("a", "allow db", "allow prompts db: q*")), with(policy("a", "allow db", "allow prompts db: r*")), known,
			"a db/prompt:q* -, a db/prompt:r* +"},
		{"without any configuration before", nil, with(policy("a", "allow db")), nil, "a db/* +"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := accessed(config.Access(tt.before, tt.after, tt.catalogues)); got != tt.want {
				t.Errorf("Access = %q, want %q", got, tt.want)
			}
			back := strings.NewReplacer("+", "-", "-", "+").Replace(tt.want)
			if got := accessed(config.Access(tt.after, tt.before, tt.catalogues)); got != back {
				t.Errorf("Access backwards = %q, want %q", got, back)
			}
		})
	}
}

func TestDiffPairsBothSides(t *testing.T) {
	before := configOf(server("a"), server("gone"), policy("p", "allow a"))
	after := configOf(server("a"), policy("p", "deny a"), server("new"))
	changes, details := config.Diff(before, after)
	if got, want := changed(changes), "updated policies/p, deleted servers/gone, created servers/new"; got != want {
		t.Fatalf("Diff = %s, want %s", got, want)
	}
	for i, d := range details {
		ref := changes[i].GetObject()
		if d.GetBefore() != config.Find(before, ref) || d.GetAfter() != config.Find(after, ref) {
			t.Errorf("details of %s = %v, want both sides", ref, d)
		}
	}
}
