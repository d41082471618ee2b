package admin

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Fleet is what admin reads of the proxies: *stream.Fleet. It is read only: a change reaches proxies through the store,
// never from here.
type Fleet interface {
	// Target returns the newest position that proxies are sent, or nil.
	Target() *gatehousev1.Position
	// Proxies returns all proxies, sorted by id.
	Proxies() []*gatehousev1.Proxy
	// Catalogues returns the tools that proxies reported, by server.
	Catalogues() map[string][]string
	// Progress counts the proxies that are not offline and those that reached a revision; it lists none.
	Progress(revision int64, cond gatehousev1.WaitCondition) *gatehousev1.WaitResponse
	// Towards returns the proxies that are not offline, with their state relative to a revision.
	Towards(revision int64, cond gatehousev1.WaitCondition) []*gatehousev1.Proxy
	// Changed closes at the next change of any proxy.
	Changed() <-chan struct{}
}

// Config says what a Service works on.
type Config struct {
	// Store keeps the revisions.
	Store store.Store
	// Fleet knows the proxies.
	Fleet Fleet
	// BackupStall bounds how long a backup waits for its reader, since it pins a state of the store; 0 means 30 s.
	BackupStall time.Duration
	// Logger takes what operators should see; nil discards it.
	Logger *slog.Logger
	// Registerer takes the metrics; nil keeps them unseen.
	Registerer prometheus.Registerer
}

// Service implements AdminService.
type Service struct {
	gatehousev1.UnimplementedAdminServiceServer

	store    store.Store
	fleet    Fleet
	stall    time.Duration
	log      *slog.Logger
	metrics  *metrics
	turn     chan struct{} // one slot: who holds it commits; see change.go
	draining chan struct{} // closed by Drain
	drain    sync.Once
	tasks    sync.WaitGroup // backups whose reader may have gone
}

// New makes a service. It starts nothing; the store and the fleet stay their owner's to close.
func New(c Config) *Service {
	s := &Service{
		store:    c.Store,
		fleet:    c.Fleet,
		stall:    c.BackupStall,
		log:      c.Logger,
		metrics:  newMetrics(c.Registerer),
		turn:     make(chan struct{}, 1),
		draining: make(chan struct{}),
	}
	if s.stall <= 0 {
		s.stall = 30 * time.Second
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Drain ends what only waits, so that a server can stop: every Wait returns UNAVAILABLE.
func (s *Service) Drain() {
	s.drain.Do(func() { close(s.draining) })
}

// Finish returns when all goroutines of the service have ended. It is for after the gRPC server has stopped, when no
// request can begin any more.
func (s *Service) Finish() { s.tasks.Wait() }

// Apply implements AdminService: one set of changes becomes one revision, or nothing.
//
//	check the request → wait for the turn → load the newest → config.Merge → config.Validate → config.Resolve → Commit
func (s *Service) Apply(ctx context.Context, req *gatehousev1.ApplyRequest) (*gatehousev1.ApplyResponse, error) {
	start := time.Now()
	res, err := s.change(ctx, proposal{
		base: req.Base, dryRun: req.GetDryRun(), author: req.GetAuthor(), message: req.GetMessage(), edit: merge(req),
	})
	s.metrics.changed(res, err, time.Since(start))
	if err != nil {
		return nil, s.status("apply", err)
	}
	return &gatehousev1.ApplyResponse{
		Revision: res.revision, Outcome: res.outcome, Changes: res.changes, Warnings: res.warnings,
	}, nil
}

// Rollback implements AdminService: the configuration of an older revision becomes a new, higher one. It is an apply of
// that configuration, so it is validated and proven by today's rules, and proxies never go back in revisions.
func (s *Service) Rollback(ctx context.Context, req *gatehousev1.RollbackRequest) (*gatehousev1.RollbackResponse, error) {
	if req.GetRevision() <= 0 {
		return nil, s.status("rollback", &requestError{field: "revision", message: "must name a revision, which begin at 1"})
	}
	start := time.Now()
	res, err := s.change(ctx, proposal{
		base: req.Base, author: req.GetAuthor(), message: req.GetMessage(), edit: s.restore(req.GetRevision()),
		rollbackOf: req.GetRevision(),
	})
	s.metrics.changed(res, err, time.Since(start))
	if err != nil {
		return nil, s.status("rollback", err)
	}
	return &gatehousev1.RollbackResponse{
		Revision: res.revision, Outcome: res.outcome, Changes: res.changes, Warnings: res.warnings,
	}, nil
}
