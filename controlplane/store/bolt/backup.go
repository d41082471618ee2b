package bolt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"go.etcd.io/bbolt"
)

// A backup is a header, the bbolt file, and the SHA-256 of the file: a copy that was cut short or changed is found before
// anything else is read of it.
const (
	backupHeader = "gatehouse backup 1\n"
	spoolPattern = fileName + ".backup-*"
)

// Backup proves every revision, writes a consistent copy of the running store to w, and returns the newest revision in
// it. The copy goes through a file in the store's folder first: a reader on a slow line must not hold a transaction
// open, for commits would wait for it when the file grows. ErrCorrupt.
func (s *Store) Backup(ctx context.Context, w io.Writer) (int64, error) {
	spool, err := os.CreateTemp(s.config.Dir, spoolPattern)
	if err != nil {
		return 0, fmt.Errorf("backing up: %w", err)
	}
	defer func() { _ = errors.Join(spool.Close(), os.Remove(spool.Name())) }() // Open removes what stays
	newest, err := s.spool(ctx, spool)
	if err != nil {
		return 0, fmt.Errorf("backing up: %w", err)
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("backing up: %w", err)
	}
	if _, err := io.Copy(w, contextReader{ctx, spool}); err != nil {
		return 0, fmt.Errorf("writing the backup: %w", err)
	}
	return newest, nil
}

// spool writes a whole backup to w, from one transaction.
func (s *Store) spool(ctx context.Context, w io.Writer) (newest int64, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		var err error
		if newest, err = (reader{tx}).proveAll(ctx); err != nil {
			return err
		}
		if _, err := io.WriteString(w, backupHeader); err != nil {
			return err
		}
		sum := sha256.New()
		if _, err := tx.WriteTo(io.MultiWriter(w, sum)); err != nil {
			return err
		}
		_, err = w.Write(sum.Sum(nil))
		return err
	})
	return newest, err
}

// contextReader ends a copy when ctx ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read reads, or returns the ctx's error once it has ended.
func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
