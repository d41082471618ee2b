package follow_test

import (
	"errors"
	"slices"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// tell names the other proxies.
func (s *stream) tell(addresses ...string) {
	s.t.Helper()
	s.send(&gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Peers{Peers: &gatehousev1.Peers{Addresses: addresses}}})
}

func TestPeersAreThoseNamedLast(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	p := newProxy(t, c.addr, t.TempDir())
	if got := p.Peers(); len(got) != 0 {
		t.Errorf("Peers() at the start = %q, want none", got)
	}
	p.run(t)
	s := c.welcome(t, nil)
	are := func(want ...string) {
		t.Helper()
		eventually(t, "the right peers are known", func() bool { return slices.Equal(p.Peers(), want) })
	}
	s.tell("10.0.0.2:8080", "10.0.0.3:8080")
	are("10.0.0.2:8080", "10.0.0.3:8080")
	s.tell("10.0.0.1:8080", "nowhere", ":80", "10.0.0.4:8080") // itself, and no addresses
	are("10.0.0.4:8080")
	s.done <- errors.New("come back")
	again := c.welcome(t, nil) // an older control plane, say, which names nobody
	again.push(snapshot(t, at{"s", 1, 1}))
	again.ack()
	are("10.0.0.4:8080")
	again.tell()
	are()
}
