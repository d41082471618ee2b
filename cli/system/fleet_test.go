package system_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// status is what `gwctl status -o json` prints, as far as tests look at it.
type status struct {
	Revision int64
	Proxies  []struct {
		ID       string
		Revision int64
		State    string
		Error    *string
	}
}

// applied is what `gwctl apply -o json` prints.
type applied struct {
	Revision int64
	Outcome  string
	Changes  []struct{ Object, Action string }
}

func startFleet(t *testing.T, c *controlPlane, n int) []*proxy {
	t.Helper()
	proxies := make([]*proxy, n)
	for i := range proxies {
		proxies[i] = startProxy(t, c, fmt.Sprintf("p%d", i))
	}
	eventually(t, "all proxies are known", func() bool {
		var s status
		mustGwctl(t, c, &s, "status")
		return len(s.Proxies) == n
	})
	return proxies
}

// TestFiveProxiesMoveTogether: apply --wait returns when all five acked, a refused configuration never becomes a
// revision, and rollback gives back what the last revision took.
func TestFiveProxiesMoveTogether(t *testing.T) {
	c := startControlPlane(t)
	c.waitReady(t)
	proxies := startFleet(t, c, 5)

	var first applied
	mustGwctl(t, c, &first, "apply", "-f", manifest(t, demo("demo")+policy("a", "{allow: {servers: [demo]}}")), "--wait", "--timeout", "60s")
	expectSynced(t, c, first.Revision, 5)
	expectEverywhere(t, proxies, "")

	bad := manifest(t, "apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: broken}\nspec: {stdio: {command: x}, http: {url: \"http://x\"}}\n")
	if out, code := gwctl(t, c, "apply", "-f", bad, "-o", "json"); code != 7 || out != "" {
		t.Errorf("a server with two transports: exit %d and %q, want 7 and nothing on standard output", code, out)
	}
	expectSynced(t, c, first.Revision, 5)

	var second applied
	mustGwctl(t, c, &second, "apply", "-f", manifest(t, policy("a", "{allow: {servers: [demo]}, deny: {tools: {demo: [echo]}}}")), "--wait", "--timeout", "60s")
	expectEverywhere(t, proxies, "DENIED_BY_POLICY")

	var third applied
	mustGwctl(t, c, &third, "rollback", fmt.Sprint(first.Revision), "--wait", "--timeout", "60s")
	if third.Revision <= second.Revision {
		t.Errorf("rollback made revision %d, want one above %d", third.Revision, second.Revision)
	}
	expectSynced(t, c, third.Revision, 5)
	expectEverywhere(t, proxies, "")
}

func expectSynced(t *testing.T, c *controlPlane, revision int64, n int) {
	t.Helper()
	var s status
	mustGwctl(t, c, &s, "status")
	if s.Revision != revision || len(s.Proxies) != n {
		t.Fatalf("status shows revision %d and %d proxies, want %d and %d", s.Revision, len(s.Proxies), revision, n)
	}
	for _, p := range s.Proxies {
		if p.State != "synced" || p.Revision != revision {
			t.Errorf("%s is %s at revision %d, want synced at %d", p.ID, p.State, p.Revision, revision)
		}
	}
}

func expectEverywhere(t *testing.T, proxies []*proxy, code string) {
	t.Helper()
	for _, p := range proxies {
		if a := p.execute("a", "demo", "echo", map[string]any{"message": "hi"}); a.err != nil || a.code != code {
			t.Errorf("%s: echo gave %+v, want code %q", p.id, a, code)
		}
	}
}

// TestConflictingBaseIsRefused: an apply on a base that is no longer the newest exits with 6 and changes nothing.
func TestConflictingBaseIsRefused(t *testing.T) {
	c := startControlPlane(t)
	c.waitReady(t)
	file := manifest(t, policy("a", "{allow: {servers: [x]}}"))
	var first applied
	mustGwctl(t, c, &first, "apply", "-f", file, "--base", "0")
	out, code := gwctl(t, c, "apply", "-f", manifest(t, policy("b", "{allow: {servers: [x]}}")), "--base", "0", "-o", "json")
	if code != 6 || out != "" {
		t.Errorf("apply on an old base: exit %d and %q, want 6 and nothing", code, out)
	}
	var got struct{ Items []json.RawMessage }
	mustGwctl(t, c, &got, "get", "policies")
	if len(got.Items) != 1 {
		t.Errorf("%d policies after the refused apply, want 1", len(got.Items))
	}
}
