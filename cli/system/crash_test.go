package system_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

const kills = 200

// TestKilledControlPlaneLosesNothing: gwcontrol is killed 200 times at random moments while applies run. No revision
// that was acknowledged is lost, none is half there, proxies serve all the while, and one that starts while no control
// plane runs serves from disk.
func TestKilledControlPlaneLosesNothing(t *testing.T) {
	c := startControlPlane(t)
	c.waitReady(t)
	proxies := startFleet(t, c, 2)
	mustGwctl(t, c, nil, "apply", "-f", manifest(t, demo("demo")+policy("a", "{allow: {servers: [demo]}}")), "--wait", "--timeout", "60s")
	expectEverywhere(t, proxies, "")
	load := startLoad(proxies)
	acked := applyWhileKilling(t, c)
	c.waitReady(t)
	expectAllThere(t, c, acked)
	calls := load.stop(t)
	t.Logf("%d kills, %d acknowledged revisions, %d calls", kills, len(acked), calls)

	eventually(t, "all proxies caught up", func() bool {
		var s status
		mustGwctl(t, c, &s, "status")
		synced := 0
		for _, p := range s.Proxies {
			if p.State == "synced" {
				synced++
			}
		}
		return synced == len(proxies)
	})
	c.kill()
	proxies[0].kill()
	proxies[0].start(t)
	proxies[0].waitReady(t)
	expectEverywhere(t, proxies, "")
}

// adminOf is a client of the control plane that soon finds it again after a restart.
func adminOf(t *testing.T, c *controlPlane) gatehousev1.AdminServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(c.addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second, Backoff: quickBackoff}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return gatehousev1.NewAdminServiceClient(conn)
}

// applyWhileKilling commits revisions one after the other, kills and restarts the control plane meanwhile, and returns
// the author's message of each acknowledged revision.
func applyWhileKilling(t *testing.T, c *controlPlane) map[int64]string {
	t.Helper()
	admin := adminOf(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	acked := map[int64]string{}
	var wg sync.WaitGroup
	var count atomic.Int64
	wg.Go(func() { applyUntil(ctx, admin, acked, &count) })
	for i := range kills {
		if i%10 == 0 { // on a busy machine, one that just started may not come to acknowledge anything before it is killed
			c.waitReady(t)
			before := count.Load()
			eventually(t, "an apply is acknowledged", func() bool { return count.Load() > before })
		}
		pause(time.Duration(20+rand.IntN(120)) * time.Millisecond)
		c.kill()
		c.start(t)
	}
	c.waitReady(t)
	cancel()
	wg.Wait()
	if len(acked) == 0 {
		t.Fatal("no apply was acknowledged: the test shows nothing")
	}
	return acked
}

// applyUntil applies without pause; what fails was not acknowledged and does not count.
func applyUntil(ctx context.Context, admin gatehousev1.AdminServiceClient, acked map[int64]string, count *atomic.Int64) {
	for i := 0; ctx.Err() == nil; i++ {
		message := fmt.Sprintf("change %d", i)
		r, err := admin.Apply(ctx, &gatehousev1.ApplyRequest{Author: "crash", Message: message, Put: []*gatehousev1.Object{marker(message)}},
			grpc.WaitForReady(true))
		if err == nil {
			acked[r.GetRevision()] = message
			count.Add(1)
		}
	}
}

// marker is a policy that carries a message in its rules.
func marker(message string) *gatehousev1.Object {
	return &gatehousev1.Object{Name: "marker", Spec: &gatehousev1.Object_Policy{Policy: &gatehousev1.Policy{
		Allow: &gatehousev1.Access{Servers: []string{message}}}}}
}

// expectAllThere reads every acknowledged revision back, and every other that the history knows.
func expectAllThere(t *testing.T, c *controlPlane, acked map[int64]string) {
	t.Helper()
	admin := adminOf(t, c)
	messages := map[int64]string{}
	for before := int64(0); before != 1; {
		h, err := admin.History(t.Context(), &gatehousev1.HistoryRequest{Before: before, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range h.GetRevisions() {
			before = r.GetRevision()
			messages[before] = r.GetMessage()
		}
		if len(h.GetRevisions()) == 0 {
			break
		}
	}
	for n, message := range acked {
		if messages[n] != message {
			t.Errorf("revision %d says %q, want %q, which was acknowledged", n, messages[n], message)
		}
	}
	for n, message := range messages {
		expectWhole(t, admin, n, message)
	}
}

// expectWhole checks that a revision's content is the one its message announces.
func expectWhole(t *testing.T, admin gatehousev1.AdminServiceClient, n int64, message string) {
	t.Helper()
	if n == 1 {
		return // the configuration that the test began with
	}
	got, err := admin.Get(t.Context(), &gatehousev1.GetRequest{Revision: n, Kind: "policies", Name: "marker"})
	if err != nil {
		t.Errorf("revision %d: %v", n, err)
		return
	}
	if servers := got.GetObjects()[0].GetPolicy().GetAllow().GetServers(); len(servers) != 1 || servers[0] != message {
		t.Errorf("revision %d holds %v, want %q", n, servers, message)
	}
}

// quickBackoff makes the client look for a control plane that was just restarted.
var quickBackoff = backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.2, MaxDelay: 50 * time.Millisecond}
