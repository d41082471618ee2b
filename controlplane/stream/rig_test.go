package stream_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/controlplane/publish"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
	"github.com/gatehouse-mcp/gatehouse/controlplane/stream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test; it is never reached by a test that passes.
const patience = time.Minute

// rig is a store, a publisher and the service on a real gRPC server over TCP.
type rig struct {
	t       testing.TB
	store   *bolt.Store
	publish *publish.Publisher
	service *stream.Service
	conn    *grpc.ClientConn
	metrics *prometheus.Registry
	stop    func() // ends everything
}

// start runs the parts over TCP until the test ends.
func start(t testing.TB, c stream.Config, features ...string) *rig {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, lis, net.Dial, c, features...)
}

// startOn runs the parts on a listener until the test ends. Of c, Registerer is filled in, and Frames where it is nil.
func startOn(
	t testing.TB, lis net.Listener, dial func(network, addr string) (net.Conn, error), c stream.Config, features ...string,
) *rig {
	t.Helper()
	st, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	p := publish.New(publish.Config{Store: st, RequireFeatures: features, Registerer: reg})
	c.Registerer = reg
	if c.Frames == nil {
		c.Frames = p
	}
	svc := stream.New(c)
	srv := grpc.NewServer(grpc.ForceServerCodecV2(publish.Codec()), grpc.WaitForHandlers(true))
	gatehousev1.RegisterSnapshotServiceServer(srv, svc)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- p.Run(ctx) }()
	go func() { done <- srv.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:"+lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(_ context.Context, addr string) (net.Conn, error) { return dial("tcp", addr) }))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: st, publish: p, service: svc, conn: conn, metrics: reg}
	r.stop = func() {
		_ = conn.Close()
		srv.Stop()
		svc.Finish()
		cancel()
		for range cap(done) {
			if err := <-done; err != nil {
				t.Errorf("a part ended with %v, want nil", err)
			}
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { r.stop() })
	return r
}

// commit makes revision n, of servers whose descriptions have size bytes together.
func (r *rig) commit(n int64, size int) {
	r.t.Helper()
	var c gatehousev1.Config
	for i := range 1 + size/10_000 {
		text := fmt.Sprintf("revision %d %0*d", n, min(size, 10_000), 0)
		c.Objects = append(c.Objects, &gatehousev1.Object{
			Name: fmt.Sprintf("s%04d", i),
			Spec: &gatehousev1.Object_Server{Server: &gatehousev1.Server{
				Description: text, Transport: &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{Command: "true"}},
			}},
		})
	}
	rev := &store.Revision{Config: &c, Record: &gatehousev1.Revision{Time: timestamppb.Now()}}
	if err := r.store.Commit(context.Background(), n-1, rev); err != nil {
		r.t.Fatal(err)
	}
	r.until(fmt.Sprintf("frame %d", n), func() bool {
		f := r.publish.Current()
		return f != nil && f.Position.GetRevision() == n
	})
}

// until polls until the condition holds.
func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	end := time.After(patience)
	for !holds() {
		select {
		case <-time.After(time.Millisecond):
		case <-end:
			r.t.Fatalf("%s did not come; the fleet is %v", what, r.service.Fleet().Proxies())
		}
	}
}

// state waits until a proxy is in a state, and returns it.
func (r *rig) state(id string, want gatehousev1.ProxyState) (found *gatehousev1.Proxy) {
	r.t.Helper()
	r.until(fmt.Sprintf("proxy %s in state %v", id, want), func() bool {
		for _, p := range r.service.Fleet().Proxies() {
			if p.GetId() == id && p.GetState() == want {
				found = p
			}
		}
		return found != nil
	})
	return found
}

// metric reads a counter.
func (r *rig) metric(name string) float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	r.t.Fatalf("no metric %s", name)
	return 0
}

// proxy is a proxy's end of one stream, played by the test.
type proxy struct {
	t      testing.TB
	stream gatehousev1.SnapshotService_FollowClient
	leave  context.CancelFunc
}

// open opens a stream that has said nothing.
func (r *rig) open() *proxy {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	st, err := gatehousev1.NewSnapshotServiceClient(r.conn).Follow(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return &proxy{t: r.t, stream: st, leave: cancel}
}

// connect opens a stream and says hello.
func (r *rig) connect(h *gatehousev1.Hello) *proxy {
	r.t.Helper()
	x := r.open()
	x.say(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Hello{Hello: h}})
	return x
}

// say sends one message.
func (x *proxy) say(m *gatehousev1.FollowRequest) {
	x.t.Helper()
	if err := x.stream.Send(m); err != nil {
		x.t.Fatal(err)
	}
}

// ack accepts a position.
func (x *proxy) ack(p *gatehousev1.Position) {
	x.say(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Ack{Ack: &gatehousev1.Ack{Position: p}}})
}

// nack refuses a position.
func (x *proxy) nack(p *gatehousev1.Position, reason string) {
	x.say(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Nack{
		Nack: &gatehousev1.Nack{Position: p, Reason: reason},
	}})
}

// hear receives one message.
func (x *proxy) hear() *gatehousev1.FollowResponse {
	x.t.Helper()
	m, err := x.stream.Recv()
	if err != nil {
		x.t.Fatal(err)
	}
	return m
}

// snapshot hears until the snapshot of a revision comes.
func (x *proxy) snapshot(revision int64) *gatehousev1.Position {
	x.t.Helper()
	for {
		if s := x.hear().GetSnapshot(); s != nil && s.GetPosition().GetRevision() == revision {
			return s.GetPosition()
		}
	}
}

// silent hears three heartbeats and ends the test if anything else but welcome comes before.
func (x *proxy) silent() {
	x.t.Helper()
	for beats := 0; beats < 3; {
		switch m := x.hear(); {
		case m.GetHeartbeat() != nil:
			beats++
		case m.GetWelcome() == nil:
			x.t.Fatalf("heard %T of revision %d, want heartbeats alone", m.GetMessage(), m.GetSnapshot().GetPosition().GetRevision())
		}
	}
}

// end hears until the stream ends.
func (x *proxy) end() error {
	for {
		if _, err := x.stream.Recv(); err != nil {
			return err
		}
	}
}

// hello names a proxy of one process.
func hello(id, boot string) *gatehousev1.Hello {
	return &gatehousev1.Hello{ProxyId: id, BootId: boot, Version: "test"}
}
