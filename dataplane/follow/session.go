package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// The bounds of a stream. Those of time are generous: to leave a living control plane costs more than to wait for a dead
// one, since calls are served all the while.
const (
	welcomeWithin   = 10 * time.Second // from dialling to the first message
	missedBeats     = 3                // heartbeats of silence after which a stream counts as dead
	shortestSilence = time.Second      // whatever the control plane says of its heartbeat
	longestDrain    = time.Minute
	reportEvery     = time.Second
	largestSnapshot = 256 << 20 // bytes of one message
)

// Why a stream ends from this side.
var (
	errSilent  = errors.New("the control plane is silent")
	errDrained = errors.New("the control plane asked to come back later")
	errOrder   = errors.New("the control plane does not begin with a welcome")
	errEnded   = errors.New("the control plane has ended the stream")
)

// session is one stream. One goroutine receives; another does all the rest, for a stream takes one sender at a time.
type session struct {
	*Follower
	stream   grpc.BidiStreamingClient[gatehousev1.FollowRequest, gatehousev1.FollowResponse]
	inbox    chan *gatehousev1.FollowResponse // closes when the stream has ended, of which err then says why
	err      error
	watchdog *time.Timer   // ends the stream after too long a silence
	silence  time.Duration // what is too long
	leave    <-chan time.Time
	welcomed bool
	ticks    *time.Ticker
	reported *gatehousev1.Report // what was said last, and when
	told     time.Time
}

// follow opens a stream and stays on it until it ends. welcomed says that it got as far as a control plane that answers.
func (f *Follower) follow(ctx context.Context) (welcomed bool, err error) {
	conn, err := f.dial()
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// Deferred calls run from the last to the first: the stream is cancelled, its receiver ends, the connection closes.
	ctx, cancel := context.WithCancelCause(ctx)
	s := &session{Follower: f, inbox: make(chan *gatehousev1.FollowResponse), silence: welcomeWithin}
	s.watchdog = time.AfterFunc(s.silence, func() { cancel(errSilent) })
	defer s.watchdog.Stop()
	var receiver sync.WaitGroup
	defer receiver.Wait()
	defer cancel(nil)
	if s.stream, err = gatehousev1.NewSnapshotServiceClient(conn).Follow(ctx); err == nil {
		receiver.Go(func() { s.receive(ctx) })
		err = s.run()
	}
	if errors.Is(err, io.EOF) && s.stream != nil { // a send found the stream ended; only the receiver learns why
		err = s.drain()
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause // gRPC only says that it was cancelled
	}
	return s.welcomed, err
}

// dial makes a connection for one stream: the name is resolved anew each time, and gRPC's own waiting plays no part.
func (f *Follower) dial() (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(f.config.ControlPlane,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestSnapshot)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}))
	if err != nil {
		return nil, fmt.Errorf("dialling %s: %w", f.config.ControlPlane, err)
	}
	return conn, nil
}

// receive hands messages over one at a time, so that a control plane that sends faster than this side takes is slowed down
// by the stream's own flow control.
func (s *session) receive(ctx context.Context) {
	defer close(s.inbox)
	for {
		m, err := s.stream.Recv()
		if errors.Is(err, io.EOF) {
			err = errEnded
		}
		if err != nil {
			s.err = err
			return
		}
		select {
		case s.inbox <- m:
		case <-ctx.Done():
			s.err = ctx.Err()
			return
		}
	}
}

// drain waits for the receiver, and returns what ended the stream.
func (s *session) drain() error {
	for range s.inbox {
	}
	return s.err
}

// run says hello and then answers, until the stream ends or the control plane asked to leave.
func (s *session) run() error {
	if err := s.hello(); err != nil {
		return err
	}
	s.ticks = time.NewTicker(reportEvery)
	defer s.ticks.Stop()
	for {
		var err error
		select {
		case m, open := <-s.inbox:
			if !open {
				return s.err
			}
			err = s.hear(m)
		case <-s.ticks.C:
			err = s.tick()
		case <-s.leave:
			return errDrained
		}
		if err != nil {
			return err
		}
	}
}

// hello says what serves. The control plane sends a snapshot only if that is not what should, so coming back is cheap.
func (s *session) hello() error {
	return s.send(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Hello{Hello: &gatehousev1.Hello{
		ProxyId:  s.config.ID,
		BootId:   s.boot,
		Labels:   s.config.Labels,
		Version:  s.config.Version,
		Serving:  s.State().Position,
		Features: s.features(),
		Address:  s.config.Address,
	}}})
}

// hear answers one message. A kind that this build does not know is passed over: a newer control plane may have it.
func (s *session) hear(m *gatehousev1.FollowResponse) error {
	s.watchdog.Reset(s.silence)
	if _, ok := m.Message.(*gatehousev1.FollowResponse_Welcome); !ok && !s.welcomed {
		return errOrder
	}
	switch m := m.Message.(type) {
	case *gatehousev1.FollowResponse_Welcome:
		return s.welcome(m.Welcome)
	case *gatehousev1.FollowResponse_Snapshot:
		return s.answer(m.Snapshot)
	case *gatehousev1.FollowResponse_Heartbeat:
		s.note(func(st *State) { st.Target = m.Heartbeat.GetTarget() })
		s.reported = nil // a proxy with nothing to report is heard all the same
		return s.report()
	case *gatehousev1.FollowResponse_Peers:
		s.meet(m.Peers.GetAddresses())
	case *gatehousev1.FollowResponse_Drain:
		within := min(m.Drain.GetWithin().AsDuration(), longestDrain)
		s.leave = time.After(upTo(within))
	}
	return nil
}

// welcome learns how long silence may be, and tells at once how the proxy is.
func (s *session) welcome(w *gatehousev1.Welcome) error {
	s.welcomed = true
	s.silence = max(missedBeats*w.GetHeartbeat().AsDuration(), shortestSilence)
	s.watchdog.Reset(s.silence)
	s.note(func(st *State) { st.Connected, st.Target = true, w.GetTarget() })
	s.log.Info("following the control plane", "address", s.config.ControlPlane, "revision", w.GetTarget().GetRevision())
	return s.report()
}

// meet learns of the other proxies. What is no address of theirs is passed over: requests of agents are sent there.
func (s *session) meet(addresses []string) {
	peers := make([]string, 0, len(addresses))
	for _, a := range addresses {
		if host, port, err := net.SplitHostPort(a); err == nil && host != "" && port != "" && a != s.config.Address {
			peers = append(peers, a)
		}
	}
	s.peers.Store(&peers)
	s.log.Debug("told of other proxies", "addresses", peers)
}

// answer takes a snapshot, or refuses it. The watchdog rests meanwhile: what takes long here is not the other's silence.
func (s *session) answer(snapshot *gatehousev1.Snapshot) error {
	arrived := time.Now()
	s.watchdog.Stop()
	err := s.take(snapshot)
	s.watchdog.Reset(s.silence)
	s.unsaved = nil
	s.note(func(st *State) { st.Target = snapshot.GetPosition() })
	if err != nil {
		return s.nack(snapshot, err)
	}
	if err := s.ack(snapshot.GetPosition(), time.Since(arrived)); err != nil || time.Since(s.told) < reportEvery {
		return err
	}
	return s.report()
}

// ack promises that a position serves new calls and is on disk; took is for the operator's metrics.
func (s *session) ack(p *gatehousev1.Position, took time.Duration) error {
	err := s.send(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Ack{
		Ack: &gatehousev1.Ack{Position: p, Took: durationpb.New(took)},
	}})
	if err != nil {
		return err
	}
	s.note(func(st *State) { st.LastAck = time.Now() })
	s.log.Info("snapshot accepted", "revision", p.GetRevision(), "took", took)
	return nil
}

// nack says why a snapshot does not serve. This is the operator's to read, so it is loud here as well.
func (s *session) nack(snapshot *gatehousev1.Snapshot, reason error) error {
	if errors.Is(reason, errUnsaved) {
		s.unsaved = snapshot
	}
	s.note(func(st *State) { st.LastNack, st.Refused = time.Now(), reason.Error() })
	s.log.Error("snapshot refused", "revision", snapshot.GetPosition().GetRevision(), "error", reason)
	return s.send(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Nack{Nack: &gatehousev1.Nack{
		Position: snapshot.GetPosition(),
		Serving:  s.State().Position,
		Reason:   reason.Error(),
	}}})
}

// tick reports what changed, and tries again what only the disk had refused: the control plane will not send it again.
func (s *session) tick() error {
	if s.unsaved != nil {
		began := time.Now()
		if err := s.take(s.unsaved); err == nil {
			p := s.unsaved.GetPosition()
			s.unsaved = nil
			if err := s.ack(p, time.Since(began)); err != nil {
				return err
			}
		}
	}
	return s.report()
}

// report says how the proxy is doing, if that is not what was said last.
func (s *session) report() error {
	r := s.Follower.report()
	if proto.Equal(r, s.reported) {
		return nil
	}
	s.reported, s.told = r, time.Now()
	s.ticks.Reset(reportEvery)
	return s.send(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Report{Report: r}})
}

// send waits while the control plane does not read; the watchdog bounds that.
func (s *session) send(m *gatehousev1.FollowRequest) error {
	if err := s.stream.Send(m); err != nil {
		return fmt.Errorf("telling the control plane: %w", err)
	}
	return nil
}
