// Package bolt keeps the configuration's revisions in one bbolt file, for a control plane of one process.
//
// The file has three buckets:
//
//	blobs      SHA-256          → bytes: one blob for each object, and one manifest for each revision
//	revisions  number (8 bytes) → the SHA-256 of its manifest
//	meta       "identity"       → what the store got when it was made, with a checksum of its own
//	           "head"           → the oldest and the newest revision, with a checksum of its own
//
// A commit writes blobs, a revision's row and the head in one transaction that is on disk when it returns. Retention moves
// the head's oldest in the same transaction, so what it cuts off is gone for readers at once; a sweeper deletes it later.
//
// The package refuses to serve what it cannot prove: a byte that changed on disk is ErrCorrupt and nothing else. From the
// head every byte that is read hangs on a digest, and the pages below bbolt's trees are proven before bbolt follows them.
// One damage is beyond it: where the newer of bbolt's two head pages is damaged, bbolt takes the older one, as it does
// after a crash in the midst of a commit, and the newest revision is gone. The package refuses a second process, and it
// never writes without fsync.
package bolt

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// fileName is the store's file in its folder. Others begin with it: the holder's name, and copies while they are made.
const fileName = "gatehouse.db"

// Config says where the store is and how much it keeps. Only Dir has no default.
type Config struct {
	// Dir is the folder of the store; it is made, with mode 0700, where it does not exist.
	Dir string
	// Retention is how many of the newest revisions are kept; 0 means 1000. The newest always is.
	Retention int64
	// MaxBytes bounds the file, beyond which Commit returns ErrFull; 0 means 2 GiB.
	MaxBytes int64
	// Logger takes what the store has to say; nil discards it.
	Logger *slog.Logger
}

// path is where bbolt's file is.
func (c Config) path() string { return filepath.Join(c.Dir, fileName) }

// retention is the number of revisions kept, at least 1.
func (c Config) retention() int64 {
	if c.Retention <= 0 {
		return 1000
	}
	return c.Retention
}

// maxBytes is the limit in bytes. There always is one: with the disk full bbolt cannot even delete, at a limit it can.
func (c Config) maxBytes() int64 {
	if c.MaxBytes <= 0 {
		return 2 << 30
	}
	return c.MaxBytes
}

// logger spares every caller the question whether there is one.
func (c Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// Store is a store.Store in one file. Open makes it, and Close has to be called.
type Store struct {
	config   Config
	log      *slog.Logger
	db       *bbolt.DB
	headSize int            // bytes of bbolt's two head pages
	identity store.Identity // read once: nothing changes it while the store is open
	watchers watchers

	turn  chan struct{} // one slot: who fills it writes
	doubt bool          // whose turn it is owns this: what the last write left on disk is not known

	sweep     chan struct{} // one slot: revisions may have become old
	cramped   atomic.Bool   // the next sweep is to make what room it can
	closing   chan struct{} // closes when Close is called
	tasks     sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

var _ store.Store = (*Store)(nil)

// Open opens the store of c.Dir, or makes it, and checks its newest revision to the last byte. Where another process
// holds it, it returns ErrInUse at once, naming that process. ErrCorrupt.
func Open(c Config) (*Store, error) {
	db, err := openLocked(c)
	if err != nil {
		return nil, fmt.Errorf("opening store %s: %w", c.path(), err)
	}
	s := &Store{
		config: c, log: c.logger(), db: db, headSize: 2 * db.Info().PageSize,
		turn: make(chan struct{}, 1), sweep: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	if err := s.begin(); err != nil {
		return nil, fmt.Errorf("opening store %s: %w", c.path(), errors.Join(err, s.release()))
	}
	return s, nil
}

// begin makes an empty file a store, proves what a store has, and starts the sweeper.
func (s *Store) begin() error {
	if err := s.initialise(); err != nil {
		return err
	}
	var newest int64
	err := s.view(func(tx *bbolt.Tx) error {
		r := reader{tx}
		var err error
		if s.identity, err = r.identity(); err != nil {
			return err
		}
		newest, err = r.proveNewest()
		return err
	})
	if err != nil {
		return err
	}
	s.watchers.publish(newest)
	s.tasks.Go(s.sweepUntilClosing)
	s.wakeSweeper()
	return nil
}

// Identity returns what the store got when it was made: id, epoch, and a copy of the 32 bytes that seal.
func (s *Store) Identity() store.Identity {
	id := s.identity
	id.SealKey = slices.Clone(id.SealKey)
	return id
}

// Close ends the watches, waits for what is under way, and gives the file free. Closing again does nothing.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.watchers.close()
		close(s.closing)
		s.tasks.Wait()
		s.closeErr = s.release()
	})
	return s.closeErr
}

// release lets go of the file; the holder's name goes first, while nobody else can have written one.
func (s *Store) release() error {
	return errors.Join(removeHolder(s.config), guarded(s.db.Close))
}

// view runs fn on a consistent state. What fn keeps MUST NOT refer to the transaction's memory, which is the mapped file.
func (s *Store) view(fn func(tx *bbolt.Tx) error) error {
	return closedError(guarded(func() error { return s.db.View(fn) }))
}

// closedError gives bbolt's word for a closed file the store's name.
func closedError(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}
