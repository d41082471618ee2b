package stream_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-mcp/gatehouse/controlplane/publish"
	"github.com/gatehouse-mcp/gatehouse/controlplane/stream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// fast makes heartbeats come at once, so that their absence need not be waited for.
func fast() stream.Config { return stream.Config{Heartbeat: 5 * time.Millisecond} }

func TestWelcomeComesFirstThenTheSnapshot(t *testing.T) {
	r := start(t, stream.Config{Heartbeat: 7 * time.Second})
	r.commit(1, 100)
	x := r.connect(hello("p", "b"))
	w := x.hear().GetWelcome()
	if w.GetTarget().GetRevision() != 1 || w.GetHeartbeat().AsDuration() != 7*time.Second {
		t.Errorf("welcome = %v, want target 1 and heartbeat 7s", w)
	}
	if s := x.hear().GetSnapshot(); s.GetPosition().GetRevision() != 1 || len(s.GetContent()) == 0 {
		t.Errorf("snapshot = %v, want revision 1 with content", s.GetPosition())
	}
}

func TestOneSnapshotIsEncodedOnceForAllStreams(t *testing.T) {
	const streams = 50
	r := start(t, stream.Config{Heartbeat: time.Hour})
	r.commit(1, 1000)
	before := r.metric("gatehouse_snapshot_encodes_total")
	var all []*proxy
	for i := range streams {
		x := r.connect(hello(strings.Repeat("p", i+1), "b"))
		x.ack(x.snapshot(1))
		all = append(all, x)
	}
	r.commit(2, 1000)
	var first []byte
	for _, x := range all {
		s := x.hear().GetSnapshot()
		if first == nil {
			first = s.GetContent()
		}
		if !bytes.Equal(s.GetContent(), first) {
			t.Error("two streams got different content")
		}
	}
	if got := r.metric("gatehouse_snapshot_encodes_total") - before; got != 1 {
		t.Errorf("encodes = %v, want 1", got)
	}
	if got := r.metric("gatehouse_snapshot_sends_total"); got != 2*streams {
		t.Errorf("sends = %v, want %d", got, 2*streams)
	}
}

func TestResumeWithEqualDigestSendsNothing(t *testing.T) {
	r := start(t, fast())
	r.commit(1, 100)
	h := hello("p", "b")
	h.Serving = r.publish.Current().Position
	x := r.connect(h)
	x.silent()
	r.state("p", gatehousev1.ProxyState_PROXY_STATE_SYNCED)
	r.commit(2, 100)
	x.snapshot(2)
	if got := r.metric("gatehouse_snapshot_sends_total"); got != 1 {
		t.Errorf("sends = %v, want 1", got)
	}
}

func TestResumeWithAnotherDigestSendsTheNewest(t *testing.T) {
	r := start(t, stream.Config{})
	r.commit(1, 100)
	h := hello("p", "b")
	h.Serving = r.publish.Current().Position
	r.commit(2, 100)
	r.connect(h).snapshot(2)
}

func TestRefusedPositionIsNotSentAgainToTheSameProcess(t *testing.T) {
	r := start(t, fast())
	r.commit(1, 100)
	x := r.connect(hello("p", "b1"))
	x.nack(x.snapshot(1), "too big")
	if p := r.state("p", gatehousev1.ProxyState_PROXY_STATE_REJECTED); p.GetError() != "too big" {
		t.Errorf("error = %q, want %q", p.GetError(), "too big")
	}
	x.silent()
	x.leave()
	r.state("p", gatehousev1.ProxyState_PROXY_STATE_OFFLINE)

	again := r.connect(hello("p", "b1"))
	again.silent()
	r.commit(2, 100)
	again.ack(again.snapshot(2))
	if p := r.state("p", gatehousev1.ProxyState_PROXY_STATE_SYNCED); p.GetError() != "" {
		t.Errorf("error = %q, want none", p.GetError())
	}
}

func TestRefusedPositionIsSentToANewProcess(t *testing.T) {
	r := start(t, stream.Config{})
	r.commit(1, 100)
	x := r.connect(hello("p", "b1"))
	x.nack(x.snapshot(1), "too big")
	r.state("p", gatehousev1.ProxyState_PROXY_STATE_REJECTED)
	r.connect(hello("p", "b2")).snapshot(1)
}

func TestAProxyThatLacksAFeatureIsNotSentTheSnapshot(t *testing.T) {
	c := fast()
	r := start(t, c, "time-travel")
	r.commit(1, 100)
	h := hello("new", "b")
	h.Features = []string{"time-travel"}
	able, old := r.connect(h), r.connect(hello("old", "b"))
	able.ack(able.snapshot(1))
	r.state("new", gatehousev1.ProxyState_PROXY_STATE_SYNCED)
	old.silent()
	p := r.state("old", gatehousev1.ProxyState_PROXY_STATE_REJECTED)
	if !strings.Contains(p.GetError(), "time-travel") {
		t.Errorf("error = %q, want the feature named", p.GetError())
	}
}

// big is more than gRPC buffers of a stream that nobody reads.
const big = 2 << 20

func TestAStalledStreamHoldsOneFrameAndLatestWins(t *testing.T) {
	const revisions = 8
	r := start(t, stream.Config{Heartbeat: time.Hour})
	r.connect(hello("stalled", "b")) // says hello and never reads
	r.state("stalled", gatehousev1.ProxyState_PROXY_STATE_PENDING)
	var frames []weak.Pointer[publish.Frame]
	for n := range int64(revisions) {
		r.commit(n+1, big)
		frames = append(frames, weak.Make(r.publish.Current()))
	}
	live := r.connect(hello("live", "b"))
	live.ack(live.snapshot(revisions))
	r.state("live", gatehousev1.ProxyState_PROXY_STATE_SYNCED)
	r.until("the release of frames that nobody needs", func() bool {
		runtime.GC()
		held := 0
		for _, f := range frames {
			if f.Value() != nil {
				held++
			}
		}
		return held <= 2 // the newest, and the one that the stalled stream is sending
	})
}

func TestAStalledStreamIsCut(t *testing.T) {
	r := start(t, stream.Config{Heartbeat: 10 * time.Millisecond, SendTimeout: 50 * time.Millisecond})
	r.commit(1, big)
	x := r.connect(hello("stalled", "b"))
	r.state("stalled", gatehousev1.ProxyState_PROXY_STATE_OFFLINE)
	if got := status.Code(x.end()); got != codes.ResourceExhausted {
		t.Errorf("end = %v, want ResourceExhausted", got)
	}
	if got := r.metric("gatehouse_stalled_streams_total"); got != 1 {
		t.Errorf("streams cut = %v, want 1", got)
	}
}

func TestABusyProxyIsSentTheNewestNext(t *testing.T) {
	const revisions = 6
	r := start(t, fast())
	x := r.connect(hello("busy", "b"))
	first := x.snapshot(0)
	for n := range int64(revisions) {
		r.commit(n+1, 100)
	}
	x.silent() // until the first is answered
	x.ack(first)
	for {
		s := x.hear().GetSnapshot()
		if s == nil {
			continue
		}
		if got := s.GetPosition().GetRevision(); got != revisions {
			t.Errorf("next = revision %d, want the newest, %d", got, revisions)
		}
		return
	}
}

func TestAProxyThatNeverAnswersIsSentTheNewestAllTheSame(t *testing.T) {
	r := start(t, stream.Config{SendTimeout: 50 * time.Millisecond})
	x := r.connect(hello("mute", "b"))
	x.snapshot(0)
	r.commit(1, 100)
	x.snapshot(1)
}

func TestANewerStreamOfTheSameProxyEndsTheOlder(t *testing.T) {
	r := start(t, stream.Config{})
	old := r.connect(hello("p", "b1"))
	old.snapshot(0)
	newer := r.connect(hello("p", "b2"))
	newer.snapshot(0)
	if got := status.Code(old.end()); got != codes.Aborted {
		t.Errorf("end of the older = %v, want Aborted", got)
	}
	newer.ack(r.publish.Current().Position)
	r.state("p", gatehousev1.ProxyState_PROXY_STATE_SYNCED)
}

func TestAReplacedProcessStaysOutWhileTheNewerIsThere(t *testing.T) {
	r := start(t, stream.Config{})
	r.connect(hello("p", "b1")).snapshot(0)
	newer := r.connect(hello("p", "b2"))
	newer.snapshot(0)
	if got := status.Code(r.connect(hello("p", "b1")).end()); got != codes.Aborted {
		t.Errorf("end of the replaced = %v, want Aborted", got)
	}
	newer.leave()
	r.state("p", gatehousev1.ProxyState_PROXY_STATE_OFFLINE)
	r.connect(hello("p", "b1")).snapshot(0)
}

func TestDrainAsksProxiesToLeaveAndThenEndsStreams(t *testing.T) {
	r := start(t, stream.Config{Heartbeat: time.Hour, DrainWithin: 30 * time.Millisecond})
	polite, deaf := r.connect(hello("polite", "b")), r.connect(hello("deaf", "b"))
	polite.snapshot(0)
	deaf.snapshot(0)
	r.service.Drain()
	if d := polite.hear().GetDrain(); d.GetWithin().AsDuration() != 30*time.Millisecond {
		t.Errorf("drain = %v, want within 30ms", d)
	}
	if err := polite.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := polite.end(); !errors.Is(err, io.EOF) && status.Code(err) != codes.Unavailable {
		t.Errorf("end of the polite = %v, want EOF", err)
	}
	if got := status.Code(deaf.end()); got != codes.Unavailable {
		t.Errorf("end of the deaf = %v, want Unavailable", got)
	}
	if got := status.Code(r.open().end()); got != codes.Unavailable {
		t.Errorf("end of the late = %v, want Unavailable", got)
	}
}

func TestAStreamWithoutHelloIsRefused(t *testing.T) {
	r := start(t, stream.Config{OpenTimeout: 30 * time.Millisecond})
	mute := r.open()
	if got := status.Code(mute.end()); got != codes.DeadlineExceeded {
		t.Errorf("end of the mute = %v, want DeadlineExceeded", got)
	}
}

func TestAStreamThatDoesNotBeginWithHelloIsRefused(t *testing.T) {
	rash := start(t, stream.Config{}).open()
	rash.ack(&gatehousev1.Position{})
	if got := status.Code(rash.end()); got != codes.InvalidArgument {
		t.Errorf("end of the rash = %v, want InvalidArgument", got)
	}
}

func TestHelloIsRefused(t *testing.T) {
	many := make(map[string]string)
	for i := range 65 {
		many[strings.Repeat("l", i)] = ""
	}
	r := start(t, stream.Config{})
	for name, h := range map[string]*gatehousev1.Hello{
		"without an id":        hello("", "b"),
		"without a boot id":    hello("p", ""),
		"with a long id":       hello(strings.Repeat("p", 129), "b"),
		"with too many labels": {ProxyId: "p", BootId: "b", Labels: many},
	} {
		if got := status.Code(r.connect(h).end()); got != codes.InvalidArgument {
			t.Errorf("hello %s = %v, want InvalidArgument", name, got)
		}
	}
	if got := r.service.Fleet().Proxies(); len(got) != 0 {
		t.Errorf("fleet = %v, want none", got)
	}
}

func TestASecondHelloEndsTheStream(t *testing.T) {
	r := start(t, stream.Config{})
	x := r.connect(hello("p", "b"))
	x.say(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Hello{Hello: hello("q", "b")}})
	if got := status.Code(x.end()); got != codes.InvalidArgument {
		t.Errorf("end = %v, want InvalidArgument", got)
	}
}

func TestAnEmptyStoreDoesNotEmptyTheFleet(t *testing.T) {
	r := start(t, fast())
	r.until("the first frame", func() bool { return r.publish.Current() != nil })
	h := hello("p", "b")
	h.Serving = &gatehousev1.Position{StoreId: "lost", Epoch: 1, Revision: 40, Digest: []byte("d")}
	x := r.connect(h)
	x.silent()
	if p := r.state("p", gatehousev1.ProxyState_PROXY_STATE_REJECTED); !strings.Contains(p.GetError(), "another store") {
		t.Errorf("error = %q, want another store named", p.GetError())
	}
	r.commit(1, 100)
	x.snapshot(1)
}

func TestGoroutinesGoBackToTheStart(t *testing.T) {
	r := start(t, stream.Config{})
	r.connect(hello("warm-up", "b")).snapshot(0)
	before := runtime.NumGoroutine()
	var all []*proxy
	for i := range 40 {
		x := r.connect(hello(strings.Repeat("p", i+1), "b"))
		x.snapshot(0)
		all = append(all, x)
	}
	for _, x := range all {
		x.leave()
	}
	r.until("the end of 40 streams' goroutines", func() bool { return runtime.NumGoroutine() <= before+10 })
}
