// Package bolt keeps the configuration's revisions in one bbolt file, for a control plane of one process.
package bolt

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Config says where the store is and how much it keeps.
type Config struct {
	// Dir is the folder of the store; it is made, with mode 0700, where it does not exist.
	Dir string
	// Retention is how many of the newest revisions are kept; 0 means 1000.
	Retention int64
	// MaxBytes bounds the file; 0 means 2 GiB.
	MaxBytes int64
	// Logger takes what the store has to say; nil discards it.
	Logger *slog.Logger
}

// Store is a store.Store in one file.
type Store struct{}

var _ store.Store = (*Store)(nil)

var errStub = errors.New("not written yet")

// Open opens the store of c.Dir, or makes it.
func Open(c Config) (*Store, error) { return nil, errStub }

// Restore makes a new store in dir, which must be empty, from what Backup wrote.
func Restore(ctx context.Context, r io.Reader, dir string) (int64, error) { return 0, errStub }

// Identity implements store.Store.
func (s *Store) Identity() store.Identity { return store.Identity{} }

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, n int64) (*store.Revision, error) { return nil, errStub }

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, base int64, r *store.Revision) error { return errStub }

// History implements store.Store.
func (s *Store) History(ctx context.Context, before int64, limit int) ([]*gatehousev1.Revision, error) {
	return nil, errStub
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context) (<-chan int64, error) { return nil, errStub }

// Backup implements store.Store.
func (s *Store) Backup(ctx context.Context, w io.Writer) (int64, error) { return 0, errStub }

// Close implements store.Store.
func (s *Store) Close() error { return nil }
