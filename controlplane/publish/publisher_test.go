package publish_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/controlplane/publish"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faulty is a real store that cannot be read while broken is set.
type faulty struct {
	*bolt.Store
	broken atomic.Bool
}

var errBroken = errors.New("the disk is away")

func (f *faulty) Load(ctx context.Context, n int64) (*store.Revision, error) {
	if f.broken.Load() {
		return nil, errBroken
	}
	return f.Store.Load(ctx, n)
}

// open opens a store until the test ends.
func open(t testing.TB) *faulty {
	t.Helper()
	s, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &faulty{Store: s}
}

// run runs a publisher and returns a function that ends it.
func run(t testing.TB, p *publish.Publisher) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
}

// commit makes revision n with one server.
func commit(t testing.TB, s *faulty, n int64, description string) {
	t.Helper()
	c := &gatehousev1.Config{Objects: []*gatehousev1.Object{{
		Name: fmt.Sprintf("s%d", n),
		Spec: &gatehousev1.Object_Server{Server: &gatehousev1.Server{
			Description: description, Transport: &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{Command: "true"}},
		}},
	}}}
	r := &store.Revision{Config: c, Record: &gatehousev1.Revision{Time: timestamppb.Now()}}
	if err := s.Commit(context.Background(), n-1, r); err != nil {
		t.Fatal(err)
	}
}

// revision is the number of the newest frame; -1 where there is none.
func revision(p *publish.Publisher) int64 {
	f := p.Current()
	if f == nil {
		return -1
	}
	return f.Position.GetRevision()
}

func TestNothingIsPublishedBeforeRun(t *testing.T) {
	p := publish.New(publish.Config{Store: open(t)})
	if f := p.Current(); f != nil {
		t.Errorf("Current = revision %d, want none", f.Position.GetRevision())
	}
}

func TestTheNewestRevisionIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		commit(t, s, 1, "")
		commit(t, s, 2, "")
		p := publish.New(publish.Config{Store: s})
		defer run(t, p)()
		synctest.Wait()
		if got := revision(p); got != 2 {
			t.Errorf("revision = %d, want 2", got)
		}
		commit(t, s, 3, "")
		synctest.Wait()
		if got := revision(p); got != 3 {
			t.Errorf("revision = %d, want 3", got)
		}
	})
}

func TestAWakeIsOneSlotHoweverManyFramesCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		p := publish.New(publish.Config{Store: s})
		defer run(t, p)()
		synctest.Wait()
		wake, cancel := p.Subscribe()
		for n := range int64(4) {
			commit(t, s, n+1, "")
			synctest.Wait()
		}
		<-wake
		select {
		case <-wake:
			t.Error("a second wake is waiting, want one slot")
		default:
		}
		if got := revision(p); got != 4 {
			t.Errorf("revision = %d, want 4", got)
		}
		cancel()
		commit(t, s, 5, "")
		synctest.Wait()
		select {
		case <-wake:
			t.Error("a wake came after cancel")
		default:
		}
	})
}

func TestARevisionThatCannotBeReadLeavesTheFrameAndIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		reg := prometheus.NewRegistry()
		p := publish.New(publish.Config{Store: s, Registerer: reg})
		defer run(t, p)()
		commit(t, s, 1, "")
		synctest.Wait()
		s.broken.Store(true)
		commit(t, s, 2, "")
		time.Sleep(time.Minute)
		if got := revision(p); got != 1 {
			t.Errorf("revision = %d, want 1 as long as 2 cannot be read", got)
		}
		s.broken.Store(false)
		time.Sleep(time.Minute)
		if got := revision(p); got != 2 {
			t.Errorf("revision = %d, want 2", got)
		}
		if got := counter(t, reg, "gatehouse_publish_failures_total"); got < 2 {
			t.Errorf("failures = %v, want several", got)
		}
	})
}

// counter reads a counter.
func counter(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return -1
}

func TestAStoreThatEndsItsWatchEndsRun(t *testing.T) {
	s, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p := publish.New(publish.Config{Store: s})
	done := make(chan error, 1)
	go func() { done <- p.Run(context.Background()) }()
	for p.Current() == nil {
		runtime.Gosched()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("Run = nil, want an error")
	}
}

func TestAFrameIsASnapshotThatProxiesTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		commit(t, s, 1, strings.Repeat("long ", 10_000))
		p := publish.New(publish.Config{Store: s})
		defer run(t, p)()
		synctest.Wait()
		f := p.Current()
		wire, err := publish.Codec().Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if wire.Len() != f.Size {
			t.Errorf("size on the wire = %d, want %d", wire.Len(), f.Size)
		}
		var m gatehousev1.FollowResponse
		if err := proto.Unmarshal(wire.Materialize(), &m); err != nil {
			t.Fatal(err)
		}
		tab, err := table.Build(m.GetSnapshot())
		if err != nil {
			t.Fatal(err)
		}
		if tab.Revision != 1 || tab.Server("s1") == nil {
			t.Errorf("table = revision %d, want 1 with server s1", tab.Revision)
		}
	})
}

func TestRequiredFeaturesTravelInTheFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := publish.New(publish.Config{Store: open(t), RequireFeatures: []string{"time-travel"}})
		defer run(t, p)()
		synctest.Wait()
		if got := p.Current().RequiredFeatures; len(got) != 1 || got[0] != "time-travel" {
			t.Errorf("RequiredFeatures = %q, want time-travel", got)
		}
		// A proxy refuses by itself, too, whatever it said of its features.
		wire, err := publish.Codec().Marshal(p.Current())
		if err != nil {
			t.Fatal(err)
		}
		var m gatehousev1.FollowResponse
		if err := proto.Unmarshal(wire.Materialize(), &m); err != nil {
			t.Fatal(err)
		}
		if _, err := table.Build(m.GetSnapshot()); err == nil || !strings.Contains(err.Error(), "time-travel") {
			t.Errorf("Build = %v, want a refusal that names the feature", err)
		}
	})
}

func TestTheCodecPassesOtherMessagesAsProtobuf(t *testing.T) {
	want := &gatehousev1.Position{StoreId: "s", Revision: 7}
	wire, err := publish.Codec().Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := &gatehousev1.Position{}
	if err := publish.Codec().Unmarshal(wire, got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("through the codec = %v, want %v", got, want)
	}
}

// BenchmarkSendFrame is what one more stream costs the encoder: nothing.
func BenchmarkSendFrame(b *testing.B) {
	s := open(b)
	commit(b, s, 1, strings.Repeat("x", 100_000))
	p := publish.New(publish.Config{Store: s})
	stop := run(b, p)
	defer stop()
	for p.Current() == nil {
		runtime.Gosched()
	}
	codec, f := publish.Codec(), p.Current()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.Marshal(f); err != nil {
			b.Fatal(err)
		}
	}
}
