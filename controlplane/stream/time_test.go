package stream_test

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/gatehouse-mcp/gatehouse/controlplane/publish"
	"github.com/gatehouse-mcp/gatehouse/controlplane/stream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// inBubble runs a test whose time is its own. The wire is in memory there, since a socket would stop the clock.
func inBubble(t *testing.T, c stream.Config, test func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		lis := bufconn.Listen(1 << 20)
		r := startOn(t, lis, func(string, string) (net.Conn, error) { return lis.Dial() }, c)
		test(t, r)
	})
}

// states returns the states of all proxies, by id.
func states(r *rig) map[string]string {
	out := make(map[string]string)
	for _, p := range r.service.Fleet().Proxies() {
		out[p.GetId()] = strings.TrimPrefix(p.GetState().String(), "PROXY_STATE_")
	}
	return out
}

func TestHeartbeatsFillSilence(t *testing.T) {
	inBubble(t, stream.Config{}, func(t *testing.T, r *rig) {
		x := r.connect(hello("p", "b"))
		x.ack(x.snapshot(0))
		for range 3 {
			before := time.Now()
			m := x.hear()
			if m.GetHeartbeat() == nil || time.Since(before) != 5*time.Second {
				t.Errorf("heard %v after %v, want a heartbeat after 5s", m, time.Since(before))
			}
		}
	})
}

func TestAStreamWaitsForTheFirstFrameButNotForever(t *testing.T) {
	never := publish.New(publish.Config{}) // does not run
	inBubble(t, stream.Config{Frames: never}, func(t *testing.T, r *rig) {
		before := time.Now()
		if err := r.connect(hello("p", "b")).end(); status.Code(err) != codes.Unavailable {
			t.Errorf("end = %v, want Unavailable", err)
		}
		if got := time.Since(before); got != 10*time.Second {
			t.Errorf("the stream ended after %v, want 10s", got)
		}
	})
}

func TestAProxyThatStaysBehindIsStale(t *testing.T) {
	inBubble(t, stream.Config{}, func(t *testing.T, r *rig) {
		x := r.connect(hello("p", "b"))
		x.ack(x.snapshot(0))
		synctest.Wait()
		r.commit(1, 100)
		time.Sleep(14 * time.Second)
		if got := states(r)["p"]; got != "PENDING" {
			t.Errorf("state after 14s = %s, want PENDING", got)
		}
		time.Sleep(2 * time.Second)
		if got := states(r)["p"]; got != "STALE" {
			t.Errorf("state after 16s = %s, want STALE", got)
		}
		x.ack(x.snapshot(1))
		synctest.Wait()
		if got := states(r)["p"]; got != "SYNCED" {
			t.Errorf("state after an ack = %s, want SYNCED", got)
		}
	})
}

func TestProxiesThatAreGoneAreForgottenAfterADay(t *testing.T) {
	inBubble(t, stream.Config{}, func(t *testing.T, r *rig) {
		x := r.connect(hello("p", "b"))
		x.ack(x.snapshot(0))
		x.leave()
		synctest.Wait()
		time.Sleep(23 * time.Hour)
		if got := states(r)["p"]; got != "OFFLINE" {
			t.Errorf("state after 23h = %q, want OFFLINE", got)
		}
		time.Sleep(2 * time.Hour)
		if got := states(r); len(got) != 0 {
			t.Errorf("fleet after 25h = %v, want none", got)
		}
	})
}

func TestOnlySoManyProxiesThatAreGoneAreRemembered(t *testing.T) {
	const limit = 1024
	inBubble(t, stream.Config{}, func(t *testing.T, r *rig) {
		for i := range limit + 10 {
			x := r.connect(hello(strings.Repeat("p", 1+i%100)+strings.Repeat("q", 1+i/100), "b"))
			x.snapshot(0)
			x.leave()
		}
		synctest.Wait()
		time.Sleep(2 * time.Minute)
		if got := len(states(r)); got != limit {
			t.Errorf("fleet = %d proxies, want %d", got, limit)
		}
	})
}

func TestDrainLeavesAStreamItsTime(t *testing.T) {
	inBubble(t, stream.Config{}, func(t *testing.T, r *rig) {
		x := r.connect(hello("p", "b"))
		x.ack(x.snapshot(0))
		before := time.Now()
		r.service.Drain()
		if m := x.hear().GetDrain(); m.GetWithin().AsDuration() != 2*time.Second {
			t.Errorf("drain = %v, want within 2s", m)
		}
		_ = x.end()
		if got := time.Since(before); got != 2*time.Second {
			t.Errorf("the stream ended after %v, want 2s", got)
		}
	})
}

func TestProgressComparesWithinOneStoreAlone(t *testing.T) {
	inBubble(t, stream.Config{}, func(t *testing.T, r *rig) {
		r.commit(1, 100)
		h := hello("p", "b")
		h.Serving = &gatehousev1.Position{StoreId: "another", Epoch: 1, Revision: 900, Digest: []byte("d")}
		x := r.connect(h)
		at := x.snapshot(1)
		acked := gatehousev1.WaitCondition_WAIT_CONDITION_ACKED
		if p := r.service.Fleet().Progress(1, acked); p.GetReached() != 0 || p.GetDone() {
			t.Errorf("Progress = %v, want 0 reached by revision 900 of another store", p)
		}
		x.ack(at)
		synctest.Wait()
		if p := r.service.Fleet().Progress(1, acked); p.GetReached() != 1 || !p.GetDone() {
			t.Errorf("Progress = %v, want 1 reached", p)
		}
	})
}
