package stream_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-mcp/gatehouse/controlplane/stream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// at is a hello that names an address.
func at(id, address string) *gatehousev1.Hello {
	h := hello(id, "boot of "+id)
	h.Address = address
	return h
}

// peers hears until the addresses of others come.
func (x *proxy) peers() []string {
	x.t.Helper()
	for {
		if p := x.hear().GetPeers(); p != nil {
			return p.GetAddresses()
		}
	}
}

// meets hears until the others are who is wanted; the states on the way there may be told or not.
func (x *proxy) meets(want ...string) {
	x.t.Helper()
	for !slices.Equal(x.peers(), want) {
	}
}

func TestProxiesLearnOfEachOther(t *testing.T) {
	r := start(t, stream.Config{PeersDelay: time.Millisecond})
	r.commit(1, 0)
	a := r.connect(at("a", "10.0.0.1:8080"))
	if got := a.peers(); len(got) != 0 {
		t.Errorf("the first proxy is told of %q, want nobody", got)
	}
	c := r.connect(at("c", "10.0.0.3:8080"))
	c.meets("10.0.0.1:8080")
	a.meets("10.0.0.3:8080")
	b := r.connect(at("b", "10.0.0.2:8080"))
	b.meets("10.0.0.1:8080", "10.0.0.3:8080")
	a.meets("10.0.0.2:8080", "10.0.0.3:8080")
	c.leave()
	a.meets("10.0.0.2:8080")
	b.meets("10.0.0.1:8080")
	again := r.connect(at("b", "10.0.0.4:8080")) // a stream that takes over, from elsewhere
	again.meets("10.0.0.1:8080")
	a.meets("10.0.0.4:8080")
}

func TestProxiesWithoutAddressAreLeftAlone(t *testing.T) {
	c := fast()
	c.PeersDelay = time.Millisecond
	r := start(t, c)
	r.commit(1, 0)
	old := r.connect(hello("old", "1"))
	old.ack(old.snapshot(1))
	named := r.connect(at("named", "10.0.0.1:8080"))
	if got := named.peers(); len(got) != 0 {
		t.Errorf("told of %q, want nobody", got)
	}
	old.silent()
}

// A fleet that comes back as one is told a few times, not once for each proxy.
func TestChangesOfTheFleetAreTakenTogether(t *testing.T) {
	inBubble(t, stream.Config{PeersDelay: time.Second, Heartbeat: time.Hour}, func(t *testing.T, r *rig) {
		r.commit(1, 0)
		first := r.connect(at("p", "10.0.0.1:8080"))
		if got := first.peers(); len(got) != 0 {
			t.Fatalf("told of %q, want nobody", got)
		}
		var want []string
		for i := range 20 {
			address := "10.0.1." + string(rune('a'+i)) + ":8080"
			want = append(want, address)
			r.connect(at("q"+address, address))
		}
		synctest.Wait()
		if got := first.peers(); !slices.Equal(got, want) {
			t.Errorf("told of %q first, want all at once: %q", got, want)
		}
	})
}

func TestHelloWithALongAddressIsRefused(t *testing.T) {
	r := start(t, fast())
	r.commit(1, 0)
	err := r.connect(at("a", strings.Repeat("x", 256))).end()
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("the stream ended with %v, want InvalidArgument", err)
	}
}
