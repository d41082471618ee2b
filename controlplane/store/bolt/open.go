package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// minSize is what the two head pages take at the least; it writes both before anything else.
const minSize = 2 * 4096

// openLocked opens the file of c, made where it is missing, and leaves our name beside it for whoever comes second.
func openLocked(c Config) (*bbolt.DB, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	db, err := openFile(c.path(), c.maxBytes())
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, inUse(c)
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(writeHolder(c), removeSpools(c.Dir), syncDir(c.Dir)); err != nil {
		return nil, errors.Join(err, guarded(db.Close))
	}
	return db, nil
}

// openFile opens a bbolt file for writing, once its pages are proven. Between the proof and the opening another process may
// come first; then this one learns that the store is in use.
func openFile(path string, maxBytes int64) (*bbolt.DB, error) {
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case 0 < info.Size() && info.Size() < minSize:
		return nil, fmt.Errorf("%w: the file has only %d bytes", store.ErrCorrupt, info.Size())
	case info.Size() > 0:
		if err := provePages(path); err != nil {
			return nil, err
		}
	}
	return openBolt(path, &bbolt.Options{
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: 16 << 20, // also the step in which the file grows
		MaxSize:         int(maxBytes),
	})
}

// openBolt has bbolt open a file. A damaged one it refuses or panics on; both become ErrCorrupt, and after a panic the file
// stays locked until the process ends, since bbolt's mapping of it does.
func openBolt(path string, options *bbolt.Options) (db *bbolt.DB, err error) {
	options.Timeout = time.Nanosecond // one try to lock it
	err = guarded(func() error {
		var err error
		db, err = bbolt.Open(path, 0o600, options)
		return err
	})
	for _, damage := range []error{berrors.ErrInvalid, berrors.ErrChecksum, berrors.ErrVersionMismatch} {
		if errors.Is(err, damage) {
			return nil, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
		}
	}
	return db, err
}

// guarded runs fn, and turns what bbolt does on a damaged page (a panic, or a fault where the file is cut short) into
// ErrCorrupt.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", store.ErrCorrupt, p)
		}
	}()
	return fn()
}

// removeSpools deletes the copies that backups left when their process died.
func removeSpools(dir string) error {
	spools, err := filepath.Glob(filepath.Join(dir, spoolPattern))
	for _, spool := range spools {
		err = errors.Join(err, os.Remove(spool))
	}
	return err
}

// syncDir makes the names in dir last. Without it a new file may be gone after a power failure, however often it was
// synced itself.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
