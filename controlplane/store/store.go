// Package store keeps every revision of the configuration. A store is shared state: nothing here assumes that only one
// process uses it. It refuses to guess: what cannot be proven by its digest is an error, and a commit on any other base
// than the newest revision is one too.
package store

import (
	"context"
	"errors"
	"io"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// What the methods of a Store return, wrapped with what was asked for.
var (
	// ErrConflict says that the base revision is no longer the newest.
	ErrConflict = errors.New("the configuration has changed since")
	// ErrNotFound says that there is no such revision.
	ErrNotFound = errors.New("no such revision")
	// ErrPruned says that retention has removed the revision.
	ErrPruned = errors.New("the revision is no longer kept")
	// ErrCorrupt says that stored bytes do not have the digest they were stored under.
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrInUse says that another process holds the store.
	ErrInUse = errors.New("the store is in use")
	// ErrFull says that the store has grown to its limit; nothing was written, and reading goes on.
	ErrFull = errors.New("the store has reached its size limit")
	// ErrInDoubt says that the disk did not confirm an earlier write, so whether it is there is known only after a restart.
	ErrInDoubt = errors.New("an earlier write was not confirmed; the store has to be opened anew")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the store is closed")
)

// Identity is what a store got when it was made.
type Identity struct {
	// ID is random.
	ID string
	// Epoch is 1, and grows by one with each restore from a backup.
	Epoch int64
	// SealKey is 32 random bytes for state that travels through agents.
	SealKey []byte
}

// Revision is one state of the configuration and how it came to be.
type Revision struct {
	// Record is number, time, author, message and changes.
	Record *gatehousev1.Revision
	// Config is the whole configuration. It MUST NOT be changed.
	Config *gatehousev1.Config
}

// Store keeps revisions. All methods may be called at the same time, and by several processes where the implementation
// is made for that.
type Store interface {
	// Identity returns what the store got when it was made.
	Identity() Identity
	// Load returns revision n, or the newest where n is 0. An empty store's newest is revision 0 with an empty Config.
	// Every byte read is checked against its digest. ErrNotFound, ErrPruned, ErrCorrupt.
	Load(ctx context.Context, n int64) (*Revision, error)
	// Commit makes r the newest revision, numbered base+1, if the newest is base; else ErrConflict. All of it is on
	// disk when Commit returns nil, or none of it ever is. It sets r.Record.Revision.
	Commit(ctx context.Context, base int64, r *Revision) error
	// History returns the records of at most limit revisions below before (0: from the newest), newest first.
	History(ctx context.Context, before int64, limit int) ([]*gatehousev1.Revision, error)
	// Watch returns a channel that carries the number of the newest revision: at once, and again whenever it grows.
	// Numbers may be skipped, the newest never is. It closes when ctx ends.
	Watch(ctx context.Context) (<-chan int64, error)
	// Backup writes a consistent copy of the running store, which Restore takes, and returns the newest revision in it.
	Backup(ctx context.Context, w io.Writer) (int64, error)
	// Close releases the store. Watch channels close.
	Close() error
}
