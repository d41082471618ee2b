// Package follow keeps a proxy at the newest snapshot of its control plane.
package follow

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Live is where tables go into service: *table.Live.
type Live interface {
	Load() *table.Table
	Swap(next *table.Table) (prev *table.Table)
}

// Pool is told which tables are in service: *upstream.Pool.
type Pool interface {
	Prepare(t *table.Table)
	Release(t *table.Table)
}

// Config says whom to follow and as whom.
type Config struct {
	// ControlPlane is the address of the control plane's gRPC listener, host:port.
	ControlPlane string
	// StateDir is the folder that keeps the last good snapshots; made with mode 0700 where it does not exist.
	StateDir string
	// ID is the proxy's name in the fleet.
	ID string
	// Labels are the operator's.
	Labels map[string]string
	// Version is the program's.
	Version string
	// Live takes each accepted table into service.
	Live Live
	// Pool prepares upstreams before a table serves and releases those of the one before.
	Pool Pool
	// Status returns the state of each upstream, sorted by name; nil reports none.
	Status func() []*gatehousev1.ServerStatus
	// Logger takes what the follower has to say; nil discards it.
	Logger *slog.Logger
}

// State is what a follower knows of itself.
type State struct {
	// Position is what serves; nil before the first snapshot.
	Position *gatehousev1.Position
	// Since is when it went into service in this process.
	Since time.Time
	// Source says where it came from: "disk", "control plane", or "" before the first snapshot.
	Source string
	// Connected says that a stream to the control plane is up and welcomed.
	Connected bool
	// Target is the newest position that the control plane spoke of; nil before the first welcome.
	Target *gatehousev1.Position
	// LastAck is when the control plane was last told of a snapshot accepted; zero for never.
	LastAck time.Time
	// LastNack is when a snapshot was last refused; zero for never.
	LastNack time.Time
	// Refused is the reason of the last refusal, until another snapshot is accepted.
	Refused string
}

// Follower follows one control plane.
type Follower struct{}

var errStub = errors.New("not written yet")

// New checks c and makes a follower; it does no I/O.
func New(c Config) (*Follower, error) { return nil, errStub }

// Start puts the last good snapshot on disk into service, before any network. None is no error.
func (f *Follower) Start() error { return errStub }

// Run follows the control plane until ctx ends, whatever the network does; it returns nil then.
func (f *Follower) Run(ctx context.Context) error { return errStub }

// State returns what the follower knows of itself now.
func (f *Follower) State() State { return State{} }
