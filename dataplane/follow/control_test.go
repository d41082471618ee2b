package follow_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatehouse-mcp/gatehouse/dataplane/follow"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// patience bounds every wait of a test.
const patience = time.Minute

// control is a control plane whose side of each stream the test plays.
type control struct {
	gatehousev1.UnimplementedSnapshotServiceServer
	addr    string
	server  *grpc.Server
	streams chan *stream
}

// stream is one stream of a proxy, from the control plane's side.
type stream struct {
	t     *testing.T
	wire  grpc.BidiStreamingServer[gatehousev1.FollowRequest, gatehousev1.FollowResponse]
	hello *gatehousev1.Hello
	said  chan *gatehousev1.FollowRequest
	done  chan error // the end, as the test wants it
}

// listen starts a control plane on addr, or on a free port.
func listen(t *testing.T, addr string) *control {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &control{addr: l.Addr().String(), server: grpc.NewServer(), streams: make(chan *stream, 16)}
	gatehousev1.RegisterSnapshotServiceServer(c.server, c)
	ended := make(chan error, 1)
	go func() { ended <- c.server.Serve(l) }()
	t.Cleanup(func() {
		c.server.Stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve() = %v, want nil", err)
		}
	})
	return c
}

// Follow hands the stream to the test and stays until the test, or the proxy, ends it.
func (c *control) Follow(wire grpc.BidiStreamingServer[gatehousev1.FollowRequest, gatehousev1.FollowResponse]) error {
	first, err := wire.Recv()
	if err != nil {
		return err
	}
	s := &stream{wire: wire, hello: first.GetHello(), said: make(chan *gatehousev1.FollowRequest, 64), done: make(chan error, 1)}
	c.streams <- s
	go func() {
		defer close(s.said)
		for {
			m, err := wire.Recv()
			if err != nil {
				return
			}
			s.said <- m
		}
	}()
	select {
	case err := <-s.done:
		return err
	case <-wire.Context().Done():
		return wire.Context().Err()
	}
}

// accept waits for the next stream.
func (c *control) accept(t *testing.T) *stream {
	t.Helper()
	select {
	case s := <-c.streams:
		s.t = t
		return s
	case <-time.After(patience):
		t.Fatal("no proxy came")
		return nil
	}
}

// welcome waits for the next stream and answers its hello.
func (c *control) welcome(t *testing.T, target *gatehousev1.Position) *stream {
	t.Helper()
	s := c.accept(t)
	s.send(&gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Welcome{
		Welcome: &gatehousev1.Welcome{Target: target, Heartbeat: durationpb.New(5 * time.Second)},
	}})
	return s
}

func (s *stream) send(m *gatehousev1.FollowResponse) {
	s.t.Helper()
	if err := s.wire.Send(m); err != nil {
		s.t.Fatalf("Send() = %v, want nil", err)
	}
}

func (s *stream) push(snapshot *gatehousev1.Snapshot) {
	s.t.Helper()
	s.send(&gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Snapshot{Snapshot: snapshot}})
}

// expect passes messages over until one is wanted.
func (s *stream) expect(what string, wanted func(*gatehousev1.FollowRequest) bool) *gatehousev1.FollowRequest {
	s.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case m, open := <-s.said:
			if !open {
				s.t.Fatalf("the proxy left, want %s", what)
			}
			if wanted(m) {
				return m
			}
		case <-deadline:
			s.t.Fatalf("the proxy says no more, want %s", what)
		}
	}
}

func (s *stream) ack() *gatehousev1.Ack {
	s.t.Helper()
	return s.expect("an ack", func(m *gatehousev1.FollowRequest) bool { return m.GetAck() != nil }).GetAck()
}

func (s *stream) nack() *gatehousev1.Nack {
	s.t.Helper()
	return s.expect("a nack", func(m *gatehousev1.FollowRequest) bool { return m.GetNack() != nil }).GetNack()
}

// at is a position, its digest still missing.
type at struct {
	store    string
	epoch    int64
	revision int64
}

// snapshot returns a good snapshot of one server at a position.
func snapshot(t testing.TB, p at) *gatehousev1.Snapshot {
	t.Helper()
	content, err := proto.Marshal(&gatehousev1.SnapshotContent{
		Revision: p.revision,
		SealKey:  make([]byte, 32),
		Config: &gatehousev1.Config{Objects: []*gatehousev1.Object{{
			Name: fmt.Sprintf("server-%s-%d-%d", p.store, p.epoch, p.revision),
			Spec: &gatehousev1.Object_Server{Server: &gatehousev1.Server{
				Transport: &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{Command: "demo"}},
			}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return &gatehousev1.Snapshot{
		Position: &gatehousev1.Position{StoreId: p.store, Epoch: p.epoch, Revision: p.revision, Digest: sum[:]},
		Content:  content,
	}
}

// proxy is what a follower serves, and the follower.
type proxy struct {
	*follow.Follower
	live table.Live
	pool pool
}

// pool notes what it was told, and what served at that time.
type pool struct {
	live  *table.Live
	notes []string
}

func (p *pool) Prepare(next *table.Table) { p.note("prepare", next) }
func (p *pool) Release(prev *table.Table) { p.note("release", prev) }

func (p *pool) note(verb string, t *table.Table) {
	p.notes = append(p.notes, fmt.Sprintf("%s %d while %d serves", verb, t.Revision, revision(p.live.Load())))
}

func revision(t *table.Table) int64 {
	if t == nil {
		return 0
	}
	return t.Revision
}

// newProxy makes a follower of addr that keeps its state in dir, and starts it.
func newProxy(t testing.TB, addr, dir string) *proxy {
	t.Helper()
	p := &proxy{}
	p.pool.live = &p.live
	f, err := follow.New(follow.Config{
		ControlPlane: addr, StateDir: dir, ID: "p1", Version: "v1.2.3", Labels: map[string]string{"zone": "a"}, Address: "10.0.0.1:8080",
		Live: &p.live, Pool: &p.pool,
		Status: func() []*gatehousev1.ServerStatus {
			return []*gatehousev1.ServerStatus{{Server: "demo", State: "ready", Tools: []string{"echo"}}}
		},
	})
	if err != nil {
		t.Fatalf("New() = %v, want nil", err)
	}
	p.Follower = f
	if err := p.Start(); err != nil {
		t.Fatalf("Start() = %v, want nil", err)
	}
	return p
}

// run runs the follower until the test ends, or until the returned function is called.
func (p *proxy) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stopped := false
	stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// eventually waits for a condition of the proxy.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come about that %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
