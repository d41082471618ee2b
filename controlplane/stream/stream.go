package stream

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/controlplane/publish"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Frames is where snapshots come from: *publish.Publisher.
type Frames interface {
	// Current returns the newest frame, or nil.
	Current() *publish.Frame
	// Subscribe returns a one-slot channel that is filled when Current changes, and a function that ends it.
	Subscribe() (wake <-chan struct{}, cancel func())
}

// Config says what a Service sends and how patient it is.
type Config struct {
	// Frames holds the newest snapshot.
	Frames Frames
	// Heartbeat is the longest silence on a stream; 0 means 5 s.
	Heartbeat time.Duration
	// SendTimeout bounds one send, after which the stream is ended, and how long the next snapshot waits for the answer
	// to the last; 0 means 15 s.
	SendTimeout time.Duration
	// OpenTimeout bounds the wait for hello, and for the first frame to welcome with; 0 means 10 s.
	OpenTimeout time.Duration
	// DrainWithin is the time that proxies have to leave when the service drains; 0 means 2 s.
	DrainWithin time.Duration
	// StaleAfter is how long a proxy may be behind before it is shown as stale; 0 means 15 s.
	StaleAfter time.Duration
	// PeersDelay is how long a change of who is connected waits for the next one, before proxies are told; 0 means 200 ms.
	PeersDelay time.Duration
	// ForgetAfter is how long a proxy without a stream is remembered; 0 means 24 h.
	ForgetAfter time.Duration
	// Logger takes what operators should see; nil discards it.
	Logger *slog.Logger
	// Registerer takes the metrics; nil keeps them unseen.
	Registerer prometheus.Registerer
}

// withDefaults returns c with every zero value replaced.
func (c Config) withDefaults() Config {
	or := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	or(&c.Heartbeat, 5*time.Second)
	or(&c.SendTimeout, 15*time.Second)
	or(&c.OpenTimeout, 10*time.Second)
	or(&c.DrainWithin, 2*time.Second)
	or(&c.StaleAfter, 15*time.Second)
	or(&c.PeersDelay, 200*time.Millisecond)
	or(&c.ForgetAfter, 24*time.Hour)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Service implements SnapshotService. Its gRPC server must use publish.Codec.
type Service struct {
	gatehousev1.UnimplementedSnapshotServiceServer

	cfg      Config
	fleet    *Fleet
	metrics  *metrics
	draining chan struct{} // closed by Drain
	drain    sync.Once
	tasks    sync.WaitGroup // the receivers and senders of all streams
}

// New makes a service with an empty fleet. It starts nothing: goroutines come with streams and go with them.
func New(c Config) *Service {
	c = c.withDefaults()
	f := newFleet(c)
	return &Service{
		cfg:      c,
		fleet:    f,
		metrics:  newMetrics(c.Registerer, f),
		draining: make(chan struct{}),
	}
}

// Fleet returns what is known of the proxies.
func (s *Service) Fleet() *Fleet { return s.fleet }

// Drain asks every proxy to leave. A stream ends when its proxy has left, or after DrainWithin.
func (s *Service) Drain() {
	s.drain.Do(func() { close(s.draining) })
}

// Finish returns when all goroutines of all streams have ended. It is for after the gRPC server has stopped, when no
// stream can begin any more.
func (s *Service) Finish() { s.tasks.Wait() }

// Follow implements SnapshotService: it is the life of one proxy's stream.
//
//	hello →                                            join the fleet; an older stream of the same proxy ends
//	      ← welcome                                    with the newest position
//	      ← snapshot                                   unless hello named its digest, or it must not be sent
//	      ← peers                                      to one that has an address: those of the others, at first and on change
//	ack, nack, report →                                into the fleet, where operators read it
//	      ← the next snapshot, or a heartbeat          the newest, once the last one is answered
//	      ← drain                                      when this side goes away
func (s *Service) Follow(stream gatehousev1.SnapshotService_FollowServer) error {
	// A send that is stuck in flow control ends only once this function has returned, so the goroutines are not
	// waited for here but in Finish. Their context is not the stream's: the receiver must hand over the end of the
	// stream, whatever ended it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(stream.Context()))
	defer cancel()
	n := newSession(s, stream)
	s.tasks.Go(func() { n.receive(ctx) })
	s.tasks.Go(func() { n.send(ctx) })
	return n.run()
}
