package table_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

func TestPrincipalHoldsTheWholeKey(t *testing.T) {
	got := build(t, content())
	if p := got.Principal([]byte(key)); p == nil || p.Name != "laptop" {
		t.Errorf("Principal(the key) = %v, want laptop", p)
	}
	for _, other := range []string{"", key[:len(key)-1], key + "0", "GWK_" + key[4:], keyDigest(key), " " + key} {
		if p := got.Principal([]byte(other)); p != nil {
			t.Errorf("Principal(%q) = %v, want nobody", other, p.Name)
		}
	}
}

func TestPrincipalActsAsItsAgentsOnly(t *testing.T) {
	two := build(t, content()).Principal([]byte(key))
	solo, err := one(credential("ci", keyDigest(key), "backend", "backend"))
	if err != nil {
		t.Fatal(err)
	}
	single := solo.Principal([]byte(key))
	tests := []struct {
		p    *table.Principal
		can  []string
		not  []string
		only string
	}{
		{two, []string{"backend", "researcher"}, []string{"", "Backend", "backen", "admin"}, ""},
		{single, []string{"backend"}, []string{"", "researcher"}, "backend"}, // the same agent twice is one
		{table.Everyone("anonymous"), []string{"backend", "anything"}, []string{""}, ""},
	}
	for _, tt := range tests {
		for _, agent := range tt.can {
			if !tt.p.MayActAs(agent) {
				t.Errorf("MayActAs(%q) of %s = false, want true", agent, tt.p.Name)
			}
		}
		for _, agent := range tt.not {
			if tt.p.MayActAs(agent) {
				t.Errorf("MayActAs(%q) of %s = true, want false", agent, tt.p.Name)
			}
		}
		if only, ok := tt.p.Only(); only != tt.only || ok != (tt.only != "") {
			t.Errorf("Only() of %s = %q, %t; want %q", tt.p.Name, only, ok, tt.only)
		}
	}
}

func TestPrincipalExpiresAtItsTime(t *testing.T) {
	end := time.Date(2027, 2, 20, 0, 0, 0, 0, time.UTC)
	o := credential("laptop", keyDigest(key), "a")
	o.GetCredential().Expires = timestamppb.New(end)
	got, err := one(o)
	if err != nil {
		t.Fatal(err)
	}
	p := got.Principal([]byte(key))
	for now, want := range map[time.Time]bool{end.Add(-time.Nanosecond): false, end: true, end.Add(time.Hour): true} {
		if p.Expired(now) != want {
			t.Errorf("Expired(%v) = %t, want %t", now, !want, want)
		}
	}
	if table.Everyone("stdio").Expired(end) {
		t.Error("Expired of a principal without an end = true, want false")
	}
}
