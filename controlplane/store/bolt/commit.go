package bolt

import (
	"bytes"
	"context"
	"fmt"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/content"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Commit makes r the newest revision, numbered base+1, if the newest is base. ErrConflict, ErrFull, ErrInDoubt.
//
//	encode and hash, outside the transaction
//	  → compare the head with base
//	  → put the blobs that are not there yet
//	  → put the revision's row, move the head (and its oldest, past what retention keeps)
//	  → fsync
//	  → tell those who watch, and the sweeper
func (s *Store) Commit(ctx context.Context, base int64, r *store.Revision) error {
	record := &gatehousev1.Revision{}
	if r.Record != nil {
		record = proto.CloneOf(r.Record) // the caller's stays as it is until the commit stands
	}
	record.Revision = base + 1
	name, blobs, err := content.Encode(&store.Revision{Record: record, Config: r.Config})
	if err != nil {
		return fmt.Errorf("committing revision %d: %w", base+1, err)
	}
	err = s.update(func(tx *bbolt.Tx) error {
		if err := ctx.Err(); err != nil { // it may have ended while another commit was at it
			return err
		}
		if err := moveHead(tx, base, s.config.retention()); err != nil {
			return err
		}
		return putRevision(tx, base+1, name, blobs)
	})
	if err != nil {
		return fmt.Errorf("committing revision %d: %w", base+1, err)
	}
	r.Record = record
	s.watchers.publish(base + 1)
	s.wakeSweeper()
	return nil
}

// moveHead is the comparison that everything depends on: of all that commit on one base, one gets through.
func moveHead(tx *bbolt.Tx, base, keep int64) error {
	h, err := reader{tx}.head()
	if err != nil {
		return err
	}
	if h.newest != base {
		return fmt.Errorf("the newest revision is %d, not %d: %w", h.newest, base, store.ErrConflict)
	}
	h.newest++
	h.oldest = max(h.oldest, 1, h.newest-keep+1)
	return putHead(tx, h)
}

// putRevision stores what is not stored yet. Most of a revision is: only changed objects and the manifest are new.
func putRevision(tx *bbolt.Tx, n int64, name content.Digest, blobs map[content.Digest][]byte) error {
	stored, err := reader{tx}.bucket(bucketBlobs)
	if err != nil {
		return err
	}
	for d, blob := range blobs {
		if bytes.Equal(stored.Get(d[:]), blob) { // a stored blob that was damaged is put anew
			continue
		}
		if err := stored.Put(d[:], blob); err != nil {
			return err
		}
	}
	revisions, err := reader{tx}.bucket(bucketRevisions)
	if err != nil {
		return err
	}
	return revisions.Put(revisionKey(n), name[:])
}
