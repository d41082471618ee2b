// Package follow keeps a proxy at the newest snapshot of its control plane, over one stream.
//
// A proxy begins with the last good snapshot on its disk, so it needs no control plane to start, and none to go on. A
// snapshot is taken whole or refused whole: one that does not build, that is older than what serves, or that cannot be
// written to disk is refused with a reason, and what served goes on serving. An ack is sent for what serves new calls and
// is on disk, never for less.
package follow

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Where a snapshot came from, in State.Source.
const (
	// SourceDisk is the last good snapshot of an earlier run.
	SourceDisk = "disk"
	// SourceControlPlane is the stream.
	SourceControlPlane = "control plane"
)

// Live is where tables go into service: *table.Live.
type Live interface {
	// Load returns the table of new calls, or nil.
	Load() *table.Table
	// Swap makes next the table of new calls and returns the one before, or nil.
	Swap(next *table.Table) (prev *table.Table)
}

// Pool is told which tables are in service: *upstream.Pool.
type Pool interface {
	// Prepare makes upstreams usable, before calls see the table.
	Prepare(next *table.Table)
	// Release gives upstreams up once the last call on prev is done.
	Release(prev *table.Table)
}

// Config says whom to follow and as whom.
type Config struct {
	// ControlPlane is the address of the control plane's gRPC listener, host:port.
	ControlPlane string
	// StateDir keeps the last two good snapshots; it is made, with mode 0700, where it does not exist.
	StateDir string
	// ID is the proxy's name, unique in the fleet.
	ID string
	// Labels are the operator's; they are shown, and nothing is decided by them here.
	Labels map[string]string
	// Version is the program's, for people.
	Version string
	// Address is where other proxies reach this one, host and port; empty where none should. Only who has one is told of
	// others.
	Address string
	// Live takes each accepted table into service.
	Live Live
	// Pool prepares upstreams before a table serves and releases those of the one before.
	Pool Pool
	// Features are what the proxy understands; nil means all that this build does.
	Features []string
	// Status returns the state of each upstream, sorted by name, and does not wait; nil reports none.
	Status func() []*gatehousev1.ServerStatus
	// Logger takes what the follower has to say; nil discards it.
	Logger *slog.Logger
}

// logger spares every caller the question whether there is one.
func (c Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// missing returns what New cannot do without.
func (c Config) missing() (names []string) {
	for name, ok := range map[string]bool{
		"ControlPlane": c.ControlPlane != "", "StateDir": c.StateDir != "", "ID": c.ID != "",
		"Live": c.Live != nil, "Pool": c.Pool != nil,
	} {
		if !ok {
			names = append(names, name)
		}
	}
	return names
}

// State is what a follower knows of itself.
type State struct {
	// Position is what serves; nil before the first snapshot.
	Position *gatehousev1.Position
	// Since is when it went into service in this process.
	Since time.Time
	// Source is SourceDisk or SourceControlPlane, or empty before the first snapshot.
	Source string
	// Connected says that a stream to the control plane is open and was welcomed.
	Connected bool
	// Target is the newest position that the control plane spoke of; nil before the first welcome.
	Target *gatehousev1.Position
	// LastAck is when an ack was last sent; zero for never.
	LastAck time.Time
	// LastNack is when a snapshot was last refused; zero for never.
	LastNack time.Time
	// Refused is the reason of that refusal, until a snapshot is accepted.
	Refused string
}

// Follower follows one control plane. Start it, then Run it.
type Follower struct {
	config Config
	log    *slog.Logger
	boot   string // tells this process from the next one with the same ID
	disk   disk

	// The goroutine of Run owns these.
	retired []*table.Table        // out of service, with calls still under way
	unsaved *gatehousev1.Snapshot // refused only because the disk did not take it

	peers atomic.Pointer[[]string]

	mu    sync.Mutex // guards below
	state State
}

// New checks c and makes a follower; it does no I/O.
func New(c Config) (*Follower, error) {
	if missing := c.missing(); len(missing) > 0 {
		return nil, fmt.Errorf("making a follower: the configuration has no %q", missing)
	}
	return &Follower{config: c, log: c.logger(), boot: rand.Text(), disk: disk{c.StateDir}}, nil
}

// Start puts the last good snapshot on disk into service, before any network. A damaged one is set aside for the one
// before it; to have none is no error. It MUST NOT be called after Run.
func (f *Follower) Start() error {
	for _, name := range []string{newestName, previousName} {
		s, err := f.disk.load(name)
		if errors.Is(err, errNone) {
			continue
		}
		if err == nil {
			err = f.resume(s)
		}
		if err == nil {
			return nil
		}
		f.log.Warn("snapshot on disk is not usable", "file", name, "error", err)
		if err := f.disk.setAside(name); err != nil {
			return fmt.Errorf("setting aside snapshot %s: %w", name, err)
		}
	}
	return nil
}

func (f *Follower) features() []string {
	if f.config.Features == nil {
		return table.Features()
	}
	return f.config.Features
}

// resume serves a snapshot from disk.
func (f *Follower) resume(s *gatehousev1.Snapshot) error {
	t, err := table.BuildWith(s, f.features())
	if err != nil {
		return err
	}
	f.serve(t, SourceDisk)
	f.log.Info("serving the last good snapshot", "revision", t.Revision, "servers", len(t.Servers))
	return nil
}

// Run follows the control plane until ctx ends, whatever the network does, and returns nil then. After a stream that was
// welcomed it comes back soon; else it waits up to 15 s, at random, so that a fleet does not come back as one.
func (f *Follower) Run(ctx context.Context) error {
	var wait jitter
	for quiet := false; ctx.Err() == nil; quiet = true {
		welcomed, err := f.follow(ctx)
		if welcomed {
			wait, quiet = jitter{}, false
		}
		f.lost(ctx, err, quiet)
		select {
		case <-ctx.Done():
		case <-time.After(wait.next()):
		}
	}
	return nil
}

// lost notes the end of a stream; of many attempts in a row only the first is worth a warning.
func (f *Follower) lost(ctx context.Context, err error, quiet bool) {
	f.note(func(s *State) { s.Connected = false })
	if ctx.Err() != nil {
		return
	}
	level := slog.LevelWarn
	if quiet || errors.Is(err, errDrained) {
		level = slog.LevelDebug
	}
	f.log.Log(ctx, level, "stream to the control plane has ended", "address", f.config.ControlPlane, "error", err)
}

// State returns what the follower knows of itself now. The positions in it MUST NOT be changed.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// note changes the state, for memory only: change MUST NOT wait.
func (f *Follower) note(change func(s *State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.state)
}

// Peers returns the addresses of the other proxies, as the control plane last named them: without one, they stay. None are
// known after a start until it speaks. The slice MUST NOT be changed.
func (f *Follower) Peers() []string {
	if p := f.peers.Load(); p != nil {
		return *p
	}
	return nil
}
