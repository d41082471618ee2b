package follow_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatehouse-mcp/gatehouse/dataplane/follow"
	"github.com/gatehouse-mcp/gatehouse/dataplane/loopback"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestNewSaysWhatIsMissing(t *testing.T) {
	_, err := follow.New(follow.Config{ControlPlane: "127.0.0.1:1", Live: new(table.Live), Pool: new(pool)})
	if err == nil || !strings.Contains(err.Error(), "StateDir") || !strings.Contains(err.Error(), "ID") || strings.Contains(err.Error(), "Live") {
		t.Errorf("New() = %v, want it to miss StateDir and ID and nothing else", err)
	}
}

func TestSnapshotIsServedKeptAndAcked(t *testing.T) {
	c, dir := listen(t, "127.0.0.1:0"), filepath.Join(t.TempDir(), "state")
	p := newProxy(t, c.addr, dir)
	p.run(t)
	first, second := snapshot(t, at{"s", 1, 1}), snapshot(t, at{"s", 1, 2})
	s := c.welcome(t, first.Position)
	for _, next := range []*gatehousev1.Snapshot{first, second} {
		s.push(next)
		if got := s.ack(); !proto.Equal(got.Position, next.Position) || got.Took.AsDuration() <= 0 {
			t.Errorf("ack = %v, want one of %v", got, next.Position)
		}
		if got := revision(p.live.Load()); got != next.Position.Revision {
			t.Errorf("after the ack revision %d serves, want %d", got, next.Position.Revision)
		}
	}
	want := []string{"prepare 1 while 0 serves", "prepare 2 while 1 serves", "release 1 while 2 serves"}
	if !slices.Equal(p.pool.notes, want) {
		t.Errorf("the pool was told %q, want %q", p.pool.notes, want)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "snapshot"): 0o600, filepath.Join(dir, "snapshot.previous"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s = %v, %v, want %v", path, info, err, want)
		}
	}
}

func TestHelloIntroducesTheProxy(t *testing.T) {
	c, dir := listen(t, "127.0.0.1:0"), t.TempDir()
	p := newProxy(t, c.addr, dir)
	stop := p.run(t)
	s := c.welcome(t, nil)
	h := s.hello
	if h.ProxyId != "p1" || h.BootId == "" || h.Version != "v1.2.3" || h.Labels["zone"] != "a" || h.Address != "10.0.0.1:8080" || h.Serving != nil || !slices.Equal(h.Features, table.Features()) {
		t.Errorf("hello = %v, want id p1, a boot id, v1.2.3, zone a, nothing serving and the table's features", h)
	}
	good := snapshot(t, at{"s", 1, 4})
	s.push(good)
	s.ack()
	s.done <- errors.New("come back")
	if again := c.accept(t).hello; again.BootId != h.BootId || !proto.Equal(again.Serving, good.Position) {
		t.Errorf("second hello = %v, want boot %s serving %v", again, h.BootId, good.Position)
	}
	stop()
	newProxy(t, c.addr, dir).run(t)
	eventually(t, "the next process says hello", func() bool {
		again := c.accept(t).hello
		return again.BootId != h.BootId && proto.Equal(again.Serving, good.Position)
	})
}

func TestStartServesWithoutAControlPlane(t *testing.T) {
	c, dir := listen(t, "127.0.0.1:0"), t.TempDir()
	p := newProxy(t, c.addr, dir)
	if p.live.Load() != nil || p.State().Position != nil || p.State().Source != "" {
		t.Errorf("a first start serves %v", p.State())
	}
	stop := p.run(t)
	s := c.welcome(t, nil)
	good := snapshot(t, at{"s", 1, 7})
	s.push(good)
	s.ack()
	stop()
	c.server.Stop()

	next := newProxy(t, c.addr, dir)
	if st := next.State(); !proto.Equal(st.Position, good.Position) || st.Source != follow.SourceDisk || st.Connected || st.Since.IsZero() {
		t.Errorf("State() = %+v, want %v from disk", st, good.Position)
	}
	if next.live.Load().Server("server-s-1-7") == nil {
		t.Error("the table from disk lacks its server")
	}
	if want := []string{"prepare 7 while 0 serves"}; !slices.Equal(next.pool.notes, want) {
		t.Errorf("the pool was told %q, want %q", next.pool.notes, want)
	}
	next.run(t) // with nobody there it goes on trying, and ends when it is told to
}

func TestStateFollowsTheStream(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	p := newProxy(t, c.addr, t.TempDir())
	p.run(t)
	good, target := snapshot(t, at{"s", 1, 3}), &gatehousev1.Position{StoreId: "s", Epoch: 1, Revision: 9}
	s := c.welcome(t, good.Position)
	s.push(good)
	s.ack()
	eventually(t, "the ack is noted", func() bool { return !p.State().LastAck.IsZero() })
	st := p.State()
	if !st.Connected || st.Source != follow.SourceControlPlane || !proto.Equal(st.Position, good.Position) || !proto.Equal(st.Target, good.Position) {
		t.Errorf("State() = %+v, want connected, at %v from the control plane", st, good.Position)
	}
	s.send(&gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Heartbeat{Heartbeat: &gatehousev1.Heartbeat{Target: target}}})
	eventually(t, "the heartbeat's target is noted", func() bool { return proto.Equal(p.State().Target, target) })
	s.done <- errors.New("gone")
	eventually(t, "the end of the stream is noted", func() bool { return !p.State().Connected })
}

// An idle proxy has nothing new to report, and must not look as if it had gone.
func TestEveryHeartbeatIsAnswered(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	p := newProxy(t, c.addr, t.TempDir())
	p.run(t)
	s := c.welcome(t, nil)
	report := func(m *gatehousev1.FollowRequest) bool { return m.GetReport() != nil }
	first := s.expect("a report after the welcome", report)
	for range 3 {
		s.send(&gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Heartbeat{Heartbeat: &gatehousev1.Heartbeat{}}})
		if again := s.expect("a report after a heartbeat", report); !proto.Equal(again, first) {
			t.Errorf("report = %v, want the same as before: %v", again, first)
		}
	}
}

func TestFollowerComesBackToARestartedControlPlane(t *testing.T) {
	addr, err := loopback.Addr() // which stays ours between the two
	if err != nil {
		t.Fatal(err)
	}
	c := listen(t, addr)
	p := newProxy(t, c.addr, t.TempDir())
	p.run(t)
	c.welcome(t, nil)
	c.server.Stop()
	eventually(t, "the loss is noted", func() bool { return !p.State().Connected })
	again := listen(t, c.addr)
	good := snapshot(t, at{"s", 1, 1})
	s := again.welcome(t, good.Position)
	s.push(good)
	s.ack()
}

func TestDrainMakesTheProxyComeBack(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	newProxy(t, c.addr, t.TempDir()).run(t)
	s := c.welcome(t, nil)
	s.send(&gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Drain{Drain: &gatehousev1.Drain{Within: durationpb.New(50 * time.Millisecond)}}})
	c.welcome(t, nil)
	eventually(t, "the first stream has ended", func() bool { return s.wire.Context().Err() != nil })
}

// TestSilenceEndsAStream has a control plane that promises a heartbeat every millisecond and then says nothing.
func TestSilenceEndsAStream(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	newProxy(t, c.addr, t.TempDir()).run(t)
	s := c.accept(t)
	s.send(&gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Welcome{
		Welcome: &gatehousev1.Welcome{Heartbeat: durationpb.New(time.Millisecond)},
	}})
	c.accept(t)
	eventually(t, "the silent stream has ended", func() bool { return s.wire.Context().Err() != nil })
}

func TestSnapshotBeforeWelcomeEndsTheStream(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	p := newProxy(t, c.addr, t.TempDir())
	p.run(t)
	c.accept(t).push(snapshot(t, at{"s", 1, 1}))
	c.accept(t)
	if p.live.Load() != nil {
		t.Error("a snapshot before the welcome serves")
	}
}

func TestReportTellsHowFarCallsAreBehind(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	p := newProxy(t, c.addr, t.TempDir())
	p.run(t)
	s := c.welcome(t, nil)
	s.push(snapshot(t, at{"s", 1, 1}))
	s.ack()
	call := p.live.Acquire()
	s.push(snapshot(t, at{"s", 1, 2}))
	s.ack()
	r := s.report("revision 1 still in use", func(r *gatehousev1.Report) bool { return r.Serving.GetRevision() == 2 })
	if r.OldestRevision != 1 || r.Calls != 1 || len(r.Servers) != 1 || r.Servers[0].Server != "demo" {
		t.Errorf("report = %v, want oldest revision 1, 1 call, the server demo", r)
	}
	call.Release()
	r = s.report("revision 2 alone in use", func(r *gatehousev1.Report) bool { return r.OldestRevision == 2 })
	if r.Calls != 0 {
		t.Errorf("report = %v, want no calls", r)
	}
}

func (s *stream) report(what string, wanted func(*gatehousev1.Report) bool) *gatehousev1.Report {
	s.t.Helper()
	return s.expect("a report of "+what, func(m *gatehousev1.FollowRequest) bool {
		return m.GetReport() != nil && wanted(m.GetReport())
	}).GetReport()
}
