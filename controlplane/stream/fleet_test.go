package stream_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/controlplane/stream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// report says what a proxy's upstreams offer.
func (x *proxy) report(r *gatehousev1.Report) {
	x.t.Helper()
	x.say(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Report{Report: r}})
}

func TestCataloguesAreThoseOfAllProxiesTogether(t *testing.T) {
	r := start(t, stream.Config{})
	one, two := r.connect(hello("p1", "b")), r.connect(hello("p2", "b"))
	one.report(&gatehousev1.Report{Servers: []*gatehousev1.ServerStatus{
		{Server: "a", Tools: []string{"read", "write"}}, {Server: "idle"},
	}})
	two.report(&gatehousev1.Report{Servers: []*gatehousev1.ServerStatus{{Server: "a", Tools: []string{"list", "read"}}}})
	r.until("both reports", func() bool {
		return slices.Equal(r.service.Fleet().Catalogues()["a"], []string{"list", "read", "write"})
	})
}

func TestAReportIsKeptWithinBounds(t *testing.T) {
	r := start(t, stream.Config{})
	var servers []*gatehousev1.ServerStatus
	for i := range 5000 {
		servers = append(servers, &gatehousev1.ServerStatus{Server: fmt.Sprintf("s%04d", i)})
	}
	x := r.connect(hello("p", "b"))
	x.report(&gatehousev1.Report{Servers: servers})
	r.until("the report", func() bool { return len(r.service.Fleet().Catalogues()) > 0 })
	if got := len(r.service.Fleet().Catalogues()); got != 4096 {
		t.Errorf("servers kept = %d, want 4096", got)
	}
}

func TestAReasonIsKeptWithinBounds(t *testing.T) {
	r := start(t, stream.Config{})
	r.commit(1, 100)
	x := r.connect(hello("p", "b"))
	x.nack(x.snapshot(1), "x"+strings.Repeat("é", 5000))
	got := r.state("p", gatehousev1.ProxyState_PROXY_STATE_REJECTED).GetError()
	if len(got) > 1024 || len(got) < 1020 || !utf8.ValidString(got) {
		t.Errorf("error has %d bytes, valid UTF-8 %v, want about 1024 and valid", len(got), utf8.ValidString(got))
	}
}

func TestARefusalEndsWithAnAckOfTheSamePosition(t *testing.T) {
	r := start(t, stream.Config{})
	r.commit(1, 100)
	x := r.connect(hello("p", "b"))
	at := x.snapshot(1)
	x.nack(at, "the disk is full")
	r.state("p", gatehousev1.ProxyState_PROXY_STATE_REJECTED)
	x.ack(at)
	r.state("p", gatehousev1.ProxyState_PROXY_STATE_SYNCED)
	x.leave()
	if p := r.state("p", gatehousev1.ProxyState_PROXY_STATE_OFFLINE); p.GetError() != "" {
		t.Errorf("error = %q, want none", p.GetError())
	}
}

func TestTowardsListsWhoIsNotOffline(t *testing.T) {
	r := start(t, stream.Config{})
	r.commit(1, 100)
	done, no, busy, gone := r.connect(hello("done", "b")), r.connect(hello("no", "b")), r.connect(hello("busy", "b")), r.connect(hello("gone", "b"))
	done.ack(done.snapshot(1))
	no.nack(no.snapshot(1), "never")
	busy.snapshot(1)
	gone.snapshot(1) // else it may leave before its hello is read, and was never there
	gone.leave()
	r.state("done", gatehousev1.ProxyState_PROXY_STATE_SYNCED)
	r.state("no", gatehousev1.ProxyState_PROXY_STATE_REJECTED)
	r.state("gone", gatehousev1.ProxyState_PROXY_STATE_OFFLINE)
	var got []string
	for _, p := range r.service.Fleet().Towards(1, gatehousev1.WaitCondition_WAIT_CONDITION_ACKED) {
		got = append(got, p.GetId()+" "+p.GetState().String()+" "+p.GetError())
	}
	want := []string{"busy PROXY_STATE_PENDING ", "done PROXY_STATE_SYNCED ", "no PROXY_STATE_REJECTED never"}
	if !slices.Equal(got, want) {
		t.Errorf("Towards = %q, want %q", got, want)
	}
}

func TestChangedClosesWhenAProxyDoes(t *testing.T) {
	r := start(t, stream.Config{})
	changed := r.service.Fleet().Changed()
	select {
	case <-changed:
		t.Error("Changed is closed before anything has changed")
	default:
	}
	r.connect(hello("p", "b")).snapshot(0)
	<-changed
}

// BenchmarkChangeToAcks is one revision on its way to 100 proxies and back, over TCP, without the commit.
func BenchmarkChangeToAcks(b *testing.B) {
	const proxies = 100
	r := start(b, stream.Config{})
	for i := range proxies {
		x := r.connect(hello(fmt.Sprintf("p%d", i), "b"))
		go func() {
			for {
				m, err := x.stream.Recv()
				if err != nil {
					return
				}
				if s := m.GetSnapshot(); s != nil {
					x.ack(s.GetPosition())
				}
			}
		}()
	}
	n := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		r.commit(n, 1000)
		for {
			changed := r.service.Fleet().Changed()
			if p := r.service.Fleet().Progress(n, gatehousev1.WaitCondition_WAIT_CONDITION_ACKED); p.GetReached() == proxies {
				break
			}
			<-changed
		}
	}
}
