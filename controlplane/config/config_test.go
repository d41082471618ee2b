package config_test

import (
	"errors"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
)

// all is one object of each kind and two servers, in order.
func all() *gatehousev1.Config {
	return configOf(server("a"), server("b"), policy("p", "allow a"), settings(&gatehousev1.Settings{}), credential("k", digest, "p"))
}

func TestEqualConfigsHaveEqualBytes(t *testing.T) {
	one := configOf(
		credential("k", digest, "p"), server("b"), server("B"), server("a"), settings(&gatehousev1.Settings{}),
		policy("p", "allow a", "allow b: x", "allow *: y", "allow a: z"),
	)
	other := configOf(
		policy("p", "allow a", "allow *: y", "allow a: z", "allow b: x"),
		server("a"), settings(&gatehousev1.Settings{}), server("B"), credential("k", digest, "p"), server("b"),
	)
	other.GetObjects()[3].GetPolicy().Deny = nil // :: as good as the empty one
	if encoded(t, one) != encoded(t, other) {
		t.Errorf("%v and %v have different bytes, want equal ones", one, other)
	}
	if got, want := refs(one), "servers/B, servers/a, servers/b, policies/p, settings/default, credentials/k"; got != want {
		t.Errorf("Sort = %s, want %s", got, want)
	}
}

func TestReferencesRoundTrip(t *testing.T) {
	for _, o := range all().GetObjects() {
		kind, name, err := config.ParseRef(config.Ref(o))
		if err != nil || kind != config.Kind(o) || name != o.GetName() {
			t.Errorf("ParseRef(%s) = %s, %s, %v", config.Ref(o), kind, name, err)
		}
	}
	for _, ref := range []string{"", "servers", "servers/", "/a", "server/a", "Servers/a"} {
		if _, _, err := config.ParseRef(ref); err == nil {
			t.Errorf("ParseRef(%q) = nil, want an error", ref)
		}
	}
}

func TestSelectNarrowsByKindAndName(t *testing.T) {
	tests := []struct{ kind, name, want string }{
		{"", "", "servers/a, servers/b, policies/p, settings/default, credentials/k"},
		{"servers", "", "servers/a, servers/b"},
		{"servers", "b", "servers/b"},
		{"", "p", "policies/p"},
		{"proxies", "", "error"},
		{"policies", "a", "missing policies/a"},
	}
	for _, tt := range tests {
		objects, err := config.Select(all(), tt.kind, tt.name)
		got := refs(&gatehousev1.Config{Objects: objects})
		var missing *config.NotFoundError
		switch {
		case errors.As(err, &missing):
			got = "missing " + missing.Object
		case err != nil:
			got = "error"
		}
		if got != tt.want {
			t.Errorf("Select(%q, %q) = %s, want %s", tt.kind, tt.name, got, tt.want)
		}
	}
}

func TestFindIsExact(t *testing.T) {
	c := all()
	if got := config.Find(c, "servers/b"); got != c.GetObjects()[1] {
		t.Errorf("Find(servers/b) = %v, want the object", got)
	}
	if got := config.Find(c, "servers/p"); got != nil {
		t.Errorf("Find(servers/p) = %v, want nil", got)
	}
}
