package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatehouse-mcp/gatehouse/controlplane/publish"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// inbound is what one Recv returned.
type inbound struct {
	message *gatehousev1.FollowRequest
	err     error
}

// session is one stream. Its fields belong to the goroutine of run; receive and send touch the channels alone. So every
// choice of what to send next is made in one place, with no lock, and gRPC's rule of one sender at a time holds.
type session struct {
	svc    *Service
	stream gatehousev1.SnapshotService_FollowServer
	log    *slog.Logger

	received chan inbound
	outgoing chan any   // one slot: at most one message is with the sender
	sent     chan error // one slot: the sender never waits for run

	conn     *conn // in the fleet, once hello is taken
	joined   time.Time
	serving  *gatehousev1.Position // what hello named
	last     *gatehousev1.Position // the last position sent, or resumed from
	asked    *gatehousev1.Position // sent and not answered yet
	sending  bool                  // a message is with the sender
	welcomed bool
	beatDue  bool // the silence has lasted long enough
	drainDue bool // the proxy is to be asked to leave

	address   string          // of the proxy; empty: it is not told of others
	peers     []string        // what it was told, once peersTold
	moved     <-chan struct{} // closes when there are others; nil: nobody waits for that
	peersTold bool
	peersDue  bool // there are others, and they have settled

	opening *time.Timer // until welcome
	beat    *time.Timer // since the last send
	stall   *time.Timer // runs while sending
	answer  *time.Timer // runs while asked is set
	leaving *time.Timer // runs once drained
	settle  *time.Timer // since others came or went
}

// newSession makes the session of a stream that has said nothing yet. The time to say hello runs from here.
func newSession(s *Service, stream gatehousev1.SnapshotService_FollowServer) *session {
	n := &session{
		svc:      s,
		stream:   stream,
		log:      s.cfg.Logger,
		received: make(chan inbound),
		outgoing: make(chan any, 1),
		sent:     make(chan error, 1),
		opening:  time.NewTimer(s.cfg.OpenTimeout),
		beat:     time.NewTimer(s.cfg.Heartbeat),
		stall:    time.NewTimer(s.cfg.SendTimeout),
		answer:   time.NewTimer(s.cfg.SendTimeout),
		leaving:  time.NewTimer(s.cfg.DrainWithin),
		settle:   time.NewTimer(s.cfg.PeersDelay),
	}
	n.settle.Stop()
	n.stall.Stop()
	n.answer.Stop()
	n.leaving.Stop()
	return n
}

// receive hands each message to run, until the stream or ctx ends. It waits for run, so a proxy that talks faster than
// it is heard is slowed down by gRPC.
func (n *session) receive(ctx context.Context) {
	for {
		m, err := n.stream.Recv()
		select {
		case n.received <- inbound{m, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// send sends each message that run hands over, one at a time, until ctx ends.
func (n *session) send(ctx context.Context) {
	for {
		select {
		case m := <-n.outgoing:
			n.sent <- n.stream.SendMsg(m)
		case <-ctx.Done():
			return
		}
	}
}

// run is the life of the session, from hello to the stream's end.
func (n *session) run() error {
	defer n.stop()
	hello, err := n.hello()
	if err != nil {
		return err
	}
	n.serving, n.joined = hello.GetServing(), time.Now()
	n.address = hello.GetAddress()
	n.peersDue = n.address != ""
	n.conn, err = n.svc.fleet.join(hello)
	if err != nil {
		return err
	}
	n.log = n.log.With("proxy", hello.GetProxyId(), "boot", hello.GetBootId())
	n.log.Info("proxy connected", "version", hello.GetVersion(), "serving", n.serving.GetRevision())
	err = n.follow()
	n.svc.fleet.leave(n.conn)
	n.log.Info("proxy disconnected", "reason", err)
	return err
}

// stop ends the timers.
func (n *session) stop() {
	for _, t := range []*time.Timer{n.opening, n.beat, n.stall, n.answer, n.leaving, n.settle} {
		t.Stop()
	}
}

// hello waits for the first message, which must be hello.
func (n *session) hello() (*gatehousev1.Hello, error) {
	select {
	case in := <-n.received:
		if in.err != nil {
			return nil, in.err
		}
		if h := in.message.GetHello(); h != nil {
			return h, nil
		}
		return nil, status.Error(codes.InvalidArgument, "the first message of a stream must be hello")
	case <-n.opening.C:
		return nil, status.Errorf(codes.DeadlineExceeded, "no hello within %s", n.svc.cfg.OpenTimeout)
	case <-n.svc.draining:
		return nil, errDraining
	}
}

// errDraining ends streams of a control plane that is going away.
var errDraining = status.Error(codes.Unavailable, "the control plane is shutting down")

// follow sends what is due and hears what comes, until one side leaves. Each turn of the loop first gives an idle sender
// the best thing to send, then waits for the next event; events only note, so none of them can be lost or queue up.
func (n *session) follow() error {
	wake, cancel := n.svc.cfg.Frames.Subscribe()
	defer cancel()
	draining := n.svc.draining
	for {
		n.sendNext()
		select {
		case in := <-n.received:
			if in.err != nil {
				return ended(in.err)
			}
			if err := n.hear(in.message); err != nil {
				return err
			}
		case err := <-n.sent:
			if err != nil {
				return err
			}
			n.sendEnded()
		case <-wake:
		case <-n.beat.C:
			n.beatDue = true
		case <-n.answer.C:
			n.asked = nil
		case <-draining:
			draining, n.drainDue = nil, true
			n.leaving.Reset(n.svc.cfg.DrainWithin)
		case <-n.moved:
			n.moved = nil
			n.settle.Reset(n.svc.cfg.PeersDelay)
		case <-n.settle.C:
			n.peersDue = true
		case <-n.leaving.C:
			return errDraining
		case <-n.conn.replaced:
			return status.Errorf(codes.Aborted, "a newer stream of proxy %q has taken over", n.conn.id)
		case <-n.stall.C:
			n.svc.metrics.cut.Inc()
			return status.Errorf(codes.ResourceExhausted, "nothing was read for %s", n.svc.cfg.SendTimeout)
		case <-n.opening.C:
			return status.Error(codes.Unavailable, "no revision can be served yet")
		}
	}
}

// ended makes an end that the proxy chose a good end.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// sendNext hands the next message to the sender, if it is idle and there is one.
func (n *session) sendNext() {
	if n.sending {
		return
	}
	m := n.next()
	if m == nil {
		return
	}
	n.sending, n.beatDue = true, false
	n.stall.Reset(n.svc.cfg.SendTimeout)
	n.outgoing <- m
}

// sendEnded starts the silence that a heartbeat ends. That gRPC took a message says nothing of its having been read: a
// proxy that does not read is found by a later message, at the latest a heartbeat, for which there is no room.
func (n *session) sendEnded() {
	n.sending = false
	n.stall.Stop()
	n.beat.Reset(n.svc.cfg.Heartbeat)
}

// next chooses what to send: welcome first, then drain, then the newest frame, then who else is there, then a heartbeat. Nil means nothing, as
// long as no revision could be published since the start: a proxy then waits for its welcome rather than get an empty one.
func (n *session) next() any {
	f := n.svc.cfg.Frames.Current()
	switch {
	case f == nil:
		return nil
	case !n.welcomed:
		return n.welcome(f)
	case n.drainDue:
		n.drainDue = false
		return drain(n.svc.cfg.DrainWithin)
	case n.wants(f):
		return n.ask(f)
	}
	if n.peersDue {
		if m := n.tellPeers(); m != nil {
			return m
		}
	}
	if n.beatDue {
		return heartbeat(f.Position)
	}
	return nil
}

// welcome answers hello, and counts f as sent where the proxy serves that very content already.
func (n *session) welcome(f *publish.Frame) *gatehousev1.FollowResponse {
	n.welcomed = true
	n.opening.Stop()
	if sameContent(n.serving, f.Position) {
		n.last = f.Position
	}
	return &gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Welcome{Welcome: &gatehousev1.Welcome{
		Target: f.Position, Heartbeat: durationpb.New(n.svc.cfg.Heartbeat),
	}}}
}

// wants says whether f is to be sent: the last one is answered, f is another, and nothing speaks against it. Waiting for
// the answer keeps a proxy that is busy, or does not read, at one frame: gRPC would buffer a second.
func (n *session) wants(f *publish.Frame) bool {
	if n.asked != nil || n.last != nil && samePosition(n.last, f.Position) {
		return false
	}
	return n.svc.fleet.accepts(n.conn, f)
}

// ask notes that f is sent. A proxy that gives no answer in time is sent the next one all the same.
func (n *session) ask(f *publish.Frame) *publish.Frame {
	n.last, n.asked = f.Position, f.Position
	n.answer.Reset(n.svc.cfg.SendTimeout)
	n.svc.metrics.sends.Inc()
	return f
}

// answered notes that the proxy has said what it thinks of p.
func (n *session) answered(p *gatehousev1.Position) {
	if n.asked != nil && samePosition(n.asked, p) {
		n.asked = nil
		n.answer.Stop()
	}
}

// drain is the message that asks the proxy to leave.
func drain(within time.Duration) *gatehousev1.FollowResponse {
	return &gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Drain{
		Drain: &gatehousev1.Drain{Within: durationpb.New(within)},
	}}
}

// heartbeat is the message that fills silence.
func heartbeat(target *gatehousev1.Position) *gatehousev1.FollowResponse {
	return &gatehousev1.FollowResponse{Message: &gatehousev1.FollowResponse_Heartbeat{
		Heartbeat: &gatehousev1.Heartbeat{Target: target},
	}}
}

// hear takes one message of the proxy. A kind that is not known here is a newer proxy's, and passed over.
func (n *session) hear(m *gatehousev1.FollowRequest) error {
	switch m := m.GetMessage().(type) {
	case *gatehousev1.FollowRequest_Hello:
		return status.Error(codes.InvalidArgument, "hello was said already")
	case *gatehousev1.FollowRequest_Ack:
		n.acked(m.Ack)
	case *gatehousev1.FollowRequest_Nack:
		n.refused(m.Nack)
	case *gatehousev1.FollowRequest_Report:
		n.svc.fleet.reported(n.conn, m.Report)
	}
	return nil
}

// acked notes that the proxy serves a position.
func (n *session) acked(a *gatehousev1.Ack) {
	n.answered(a.GetPosition())
	n.svc.fleet.acked(n.conn, a.GetPosition())
	f := n.svc.cfg.Frames.Current()
	if f != nil && samePosition(f.Position, a.GetPosition()) {
		due := later(f.Published, n.joined) // one that was away is not slow
		n.svc.metrics.propagation.Observe(time.Since(due).Seconds())
	}
	n.log.Debug("snapshot acked", "revision", a.GetPosition().GetRevision(), "took", a.GetTook().AsDuration())
}

// refused notes that the proxy will not serve a position, and why.
func (n *session) refused(k *gatehousev1.Nack) {
	n.answered(k.GetPosition())
	n.svc.metrics.nacks.Inc()
	n.svc.fleet.refused(n.conn, k)
	n.log.Warn("snapshot refused", "revision", k.GetPosition().GetRevision(), "reason", k.GetReason())
}

// samePosition says whether a and b name the same state, down to its bytes.
func samePosition(a, b *gatehousev1.Position) bool {
	return a.GetStoreId() == b.GetStoreId() && a.GetEpoch() == b.GetEpoch() && a.GetRevision() == b.GetRevision() &&
		bytes.Equal(a.GetDigest(), b.GetDigest())
}

// sameContent says whether a and b have the same digest; a position without one has no content.
func sameContent(a, b *gatehousev1.Position) bool {
	return len(a.GetDigest()) > 0 && bytes.Equal(a.GetDigest(), b.GetDigest())
}
