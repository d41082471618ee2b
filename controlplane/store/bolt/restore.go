package bolt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// ErrNotEmpty says that a backup was to be restored into a folder that already holds something.
var ErrNotEmpty = errors.New("the folder is not empty")

// restoreName is the restored file until it is proven. One that a dead process left is overwritten.
const restoreName = fileName + ".restore"

// Restore makes a new store in dir, which must be missing or empty, from what Backup wrote, and returns its newest
// revision. Every digest is checked before the store appears, under its name, by a rename: killed at any point, Restore
// leaves a store or none. The epoch grows by one, so that proxies which saw later revisions take the restored ones.
// ErrNotEmpty, ErrCorrupt.
func Restore(ctx context.Context, r io.Reader, dir string) (rev int64, err error) {
	if err := claim(dir); err != nil {
		return 0, fmt.Errorf("restoring to %s: %w", dir, err)
	}
	tmp := filepath.Join(dir, restoreName)
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	if err := unpack(ctx, r, tmp); err != nil { // the bytes are those that Backup wrote
		return 0, fmt.Errorf("reading the backup: %w", err)
	}
	rev, err = adopt(ctx, tmp) // they are a store, and it is whole
	if err != nil {
		return 0, fmt.Errorf("checking the backup: %w", err)
	}
	if err := errors.Join(os.Rename(tmp, filepath.Join(dir, fileName)), syncDir(dir)); err != nil {
		return 0, fmt.Errorf("restoring to %s: %w", dir, err)
	}
	return rev, nil
}

// claim makes dir, or sees that nothing is in it.
func claim(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != restoreName {
			return fmt.Errorf("%w: it has %s", ErrNotEmpty, e.Name())
		}
	}
	return nil
}

// unpack writes the bbolt file of a backup to path, once the digest at the backup's end proves it.
func unpack(ctx context.Context, r io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(unpackTo(f, contextReader{ctx, r}), f.Close())
}

// unpackTo copies first and proves afterwards, for the digest comes last; the file is taken away again if it is wrong.
func unpackTo(f *os.File, r io.Reader) error {
	header, err := io.ReadAll(io.LimitReader(r, int64(len(backupHeader))))
	if err != nil {
		return err
	}
	if string(header) != backupHeader {
		return fmt.Errorf("%w: it does not begin as a backup does", store.ErrCorrupt)
	}
	size, err := io.Copy(f, r)
	if err != nil {
		return err
	}
	size -= sha256.Size // negative where not even the digest is there, and then reading it fails
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, size)); err != nil {
		return err
	}
	trailer := make([]byte, sha256.Size)
	if _, err := f.ReadAt(trailer, size); err != nil || string(trailer) != string(sum.Sum(nil)) {
		return fmt.Errorf("%w: it is cut short or was changed", store.ErrCorrupt)
	}
	return errors.Join(f.Truncate(size), f.Sync())
}

// adopt proves the store at path and begins its next epoch.
func adopt(ctx context.Context, path string) (newest int64, err error) {
	db, err := openFile(path, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, guarded(db.Close)) }()
	err = guarded(func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			r := reader{tx}
			var err error
			if newest, err = r.proveAll(ctx); err != nil {
				return err
			}
			return r.nextEpoch()
		})
	})
	return newest, err
}

// nextEpoch begins the epoch that lets proxies take revisions lower than those they saw before the restore.
func (r reader) nextEpoch() error {
	row, err := r.identityRow()
	if err != nil {
		return err
	}
	row.Epoch++
	return putIdentity(r.tx, row)
}
