package dataplane_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// fleet returns the state of each proxy, as gwctl status shows it.
func (p *plane) fleet() map[string]*gatehousev1.Proxy {
	p.t.Helper()
	res, err := p.admin.Fleet(p.t.Context(), &gatehousev1.FleetRequest{})
	if err != nil {
		p.t.Fatalf("Fleet = %v", err)
	}
	proxies := map[string]*gatehousev1.Proxy{}
	for _, x := range res.GetProxies() {
		proxies[x.GetId()] = x
	}
	return proxies
}

// at waits until the proxies are in that state at that revision.
func (p *plane) at(state gatehousev1.ProxyState, revision int64, ids ...string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%v are %v at revision %d", ids, state, revision), func() bool {
		fleet := p.fleet()
		for _, id := range ids {
			if x := fleet[id]; x.GetState() != state || x.GetServing().GetRevision() != revision {
				return false
			}
		}
		return true
	})
}

// TestProxyThatLacksAFeatureStaysBehindAlone runs four proxies of this build and one that does not know session modes. A
// revision that uses one leaves that proxy where it was, with the reason, and serving; the others move on. The next
// revision that it can take clears the refusal.
func TestProxyThatLacksAFeatureStaysBehindAlone(t *testing.T) {
	control := startControlPlane(t)
	others := []string{"p1", "p2", "p3", "p4"}
	for _, id := range others {
		startProxy(t, dataplane.Config{ControlPlane: control.addr, ID: id, Auth: auth.None})
	}
	old := startProxy(t, dataplane.Config{ControlPlane: control.addr, ID: "old", Auth: auth.None, Features: []string{}})
	first := control.apply(child("everything"), policy("researcher", "everything"))
	control.at(gatehousev1.ProxyState_PROXY_STATE_SYNCED, first, append(others, "old")...)

	apart := child("everything")
	apart.GetServer().Session = gatehousev1.SessionMode_SESSION_MODE_AGENT
	second := control.apply(apart)
	control.at(gatehousev1.ProxyState_PROXY_STATE_SYNCED, second, others...)
	control.at(gatehousev1.ProxyState_PROXY_STATE_REJECTED, first, "old")
	if reason := control.fleet()["old"].GetError(); !strings.Contains(reason, "session-modes") {
		t.Errorf("the refusal says %q, want the feature that is lacking", reason)
	}
	if got := old.call("", "list_servers", `{"agent_id":"researcher"}`); !strings.Contains(got.body, "everything") {
		t.Errorf("list_servers on the proxy that stayed behind = %s, want what its revision says", got.body)
	}

	third := control.apply(child("everything"))
	control.at(gatehousev1.ProxyState_PROXY_STATE_SYNCED, third, append(others, "old")...)
}

func TestOnlyAnAddressIsAdvertised(t *testing.T) {
	for _, address := range []string{"edge-1", ":8080", "edge-1:http", "edge-1:0", "edge-1/x:80", "http://edge-1:80", strings.Repeat("x", 255) + ":80"} {
		s, err := dataplane.New(dataplane.Config{
			Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", StateDir: t.TempDir(), Advertise: address,
		})
		if err == nil {
			_ = s.Close()
			t.Errorf("New(Advertise: %q) = nil, want an error", address)
		}
	}
}
