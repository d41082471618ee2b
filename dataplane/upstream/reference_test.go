package upstream_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// environ looks variables up in a map.
func environ(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func TestReferencesAreResolvedWhenConnecting(t *testing.T) {
	vars := map[string]string{"A": "one", "EMPTY": "", "NESTED": "${A}"}
	for written, want := range map[string]string{
		"${A}":              "one",
		"x${A}y${A}z":       "xoneyonez",
		"${EMPTY}":          "",
		"${EMPTY:-d}":       "d",
		"${NOTHING:-d}":     "d",
		"${NOTHING:-}":      "",
		"${NOTHING:-a:-b}":  "a:-b",
		"${A:-d}":           "one",
		"${NESTED}":         "${A}",
		"$A $$ ${} ${A":     "$A $$ ${} ${A",
		"$${A}":             "$one",
		"${NOTHING:-${A}-}": "${A-}", // defaults are text, up to the first brace
	} {
		s := child("legacy")
		s.GetStdio().Env["VALUE"] = written
		u := one(t, upstream.Config{Environ: environ(vars)}, s)
		var env []string
		if err := json.Unmarshal([]byte(mustCall(t, u, tool("env"))), &env); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(env, "VALUE="+want) {
			t.Errorf("%s became %v, want VALUE=%s among it", written, env, want)
		}
	}
}

func TestReferenceWithoutValueHurtsOnlyItsServer(t *testing.T) {
	arg, header := child("legacy"), remote("http://127.0.0.1:1/mcp")
	arg.GetStdio().Args = []string{"${NOT_SET}", "${NOR_THIS}", "${NOT_SET}"}
	header.GetHttp().Headers = map[string]string{"Authorization": "Bearer ${NOT_SET}"}
	p := newPool(t, upstream.Config{Environ: environ(nil)})
	tab := tableOf(t, servers{"arg": arg, "header": header, "good": child("legacy")})
	p.Prepare(tab)
	for name, want := range map[string]string{
		"arg":    "server arg: variables NOT_SET, NOR_THIS are not set",
		"header": "server header: variable NOT_SET is not set",
	} {
		u := p.Upstream(tab.Server(name))
		if _, err := u.Call(soon(t), tool("x")); !errors.Is(err, mcp.ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("Call = %v, want %v and %q", err, mcp.ErrUnavailable, want)
		}
		if _, err := u.Tools(soon(t)); !errors.Is(err, mcp.ErrUnavailable) {
			t.Errorf("Tools = %v, want %v", err, mcp.ErrUnavailable)
		}
		if st := u.Status(); st.State != "unavailable" {
			t.Errorf("%s: State = %s, want unavailable", name, st.State)
		}
	}
	mustCall(t, p.Upstream(tab.Server("good")), tool("empty"))
}
