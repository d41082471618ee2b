package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// Store is what a Publisher needs of a store.
type Store interface {
	// Identity is as in store.Store.
	Identity() store.Identity
	// Load is as in store.Store.
	Load(ctx context.Context, n int64) (*store.Revision, error)
	// Watch is as in store.Store.
	Watch(ctx context.Context) (<-chan int64, error)
}

// Config says what a Publisher publishes.
type Config struct {
	// Store holds the revisions.
	Store Store
	// RequireFeatures are demanded of proxies besides what a snapshot itself requires. They keep older proxies on what
	// they serve while a fleet is renewed.
	RequireFeatures []string
	// Logger takes what operators should see; nil discards it.
	Logger *slog.Logger
	// Registerer takes the metrics; nil keeps them unseen.
	Registerer prometheus.Registerer
}

// Publisher holds the newest frame. Its methods may be called at the same time.
type Publisher struct {
	store    Store
	features []string
	log      *slog.Logger
	metrics  *metrics
	current  atomic.Pointer[Frame]

	mu    sync.Mutex                 // guards below
	wakes map[chan struct{}]struct{} // one for each subscriber
}

// New makes a publisher that holds nothing until Run.
func New(c Config) *Publisher {
	p := &Publisher{
		store:    c.Store,
		features: c.RequireFeatures,
		log:      c.Logger,
		metrics:  newMetrics(c.Registerer),
		wakes:    make(map[chan struct{}]struct{}),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p
}

// Current returns the newest frame, or nil where none has been made yet.
func (p *Publisher) Current() *Frame { return p.current.Load() }

// Subscribe returns a channel of one slot that is filled whenever Current changes, and a function that ends it. The slot
// carries no frame: who wakes reads Current, and so skips what was published meanwhile.
func (p *Publisher) Subscribe() (wake <-chan struct{}, cancel func()) {
	c := make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakes[c] = struct{}{}
	return c, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.wakes, c)
	}
}

// Run publishes every newest revision until ctx ends. A revision that cannot be published is tried again, with growing
// pauses, until it can or a newer one comes.
func (p *Publisher) Run(ctx context.Context) error {
	revisions, err := p.store.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watching the store: %w", err)
	}
	again := backoff.NewExponentialBackOff()
	again.MaxInterval = maxRetry
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-revisions:
			if !ok {
				return closed(ctx)
			}
			again.Reset()
		case <-retry:
		}
		retry = nil
		if err := p.publish(ctx); err != nil && ctx.Err() == nil {
			p.metrics.failures.Inc()
			p.log.Error("the newest revision is not published", "error", err)
			retry = time.After(again.NextBackOff())
		}
	}
}

// errClosed says that the store closed its watch although nobody asked it to.
var errClosed = errors.New("the store closed the watch")

// maxRetry bounds the pause before a revision is tried again.
const maxRetry = 30 * time.Second

// closed says why a watch that closed is an end: none if ctx has ended, else the store has gone away.
func closed(ctx context.Context) error {
	if ctx.Err() == nil {
		return fmt.Errorf("watching the store: %w", errClosed)
	}
	return nil
}

// publish makes the newest revision the current frame, unless it is already. The number from the watch is not used: what
// is loaded may be newer still. Resolving proves the revision once more, since it may be older than this program.
func (p *Publisher) publish(ctx context.Context) error {
	r, err := p.store.Load(ctx, 0)
	if err != nil {
		return fmt.Errorf("loading the newest revision: %w", err)
	}
	if f := p.Current(); f != nil && f.Position.GetRevision() == r.Record.GetRevision() {
		return nil
	}
	s, err := config.Resolve(r.Record, r.Config, config.Identity(p.store.Identity()))
	if err != nil {
		return fmt.Errorf("resolving the newest revision: %w", err)
	}
	s.RequiredFeatures = append(s.RequiredFeatures, p.features...)
	f, err := encode(s, time.Now())
	if err != nil {
		return err
	}
	p.offer(f)
	return nil
}

// offer makes f the newest frame and wakes everybody who subscribed.
func (p *Publisher) offer(f *Frame) {
	p.current.Store(f)
	p.metrics.published(f)
	p.log.Info("revision published", "revision", f.Position.GetRevision(), "bytes", f.Size)
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.wakes {
		select {
		case c <- struct{}{}:
		default: // it has not even read the last one
		}
	}
}
