package bolt

import (
	"context"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/content"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Load returns revision n, or the newest where n is 0. Each blob of it is hashed on the way, each time: the file is mapped,
// so what was right at the last reading may be wrong at this one. ErrNotFound, ErrPruned, ErrCorrupt.
func (s *Store) Load(ctx context.Context, n int64) (*store.Revision, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("loading revision %d: %w", n, err)
	}
	var rev *store.Revision
	err := s.view(func(tx *bbolt.Tx) error {
		r := reader{tx}
		h, err := r.head()
		if err != nil {
			return err
		}
		rev, err = r.load(h, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("loading revision %d: %w", n, err)
	}
	return rev, nil
}

// History returns the records of at most limit revisions below before (0: from the newest), newest first. It ends where
// retention has cut. ErrCorrupt.
func (s *Store) History(ctx context.Context, before int64, limit int) ([]*gatehousev1.Revision, error) {
	var records []*gatehousev1.Revision
	err := s.view(func(tx *bbolt.Tx) error {
		r := reader{tx}
		h, err := r.head()
		if err != nil {
			return err
		}
		records, err = r.history(ctx, h.below(before), limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the history below revision %d: %w", before, err)
	}
	return records, nil
}

// below cuts h to the revisions below n; 0 cuts nothing.
func (h head) below(n int64) head {
	if n != 0 {
		h.newest = min(h.newest, n-1)
	}
	return h
}

// reader reads within one transaction, and checks all that it reads: nothing leaves it unproven.
type reader struct{ tx *bbolt.Tx }

// bucket returns a bucket, which every store has.
func (r reader) bucket(name []byte) (*bbolt.Bucket, error) {
	b := r.tx.Bucket(name)
	if b == nil {
		return nil, fmt.Errorf("reading bucket %s: it is missing: %w", name, store.ErrCorrupt)
	}
	return b, nil
}

// load returns revision n of those in h, or the newest where n is 0.
func (r reader) load(h head, n int64) (*store.Revision, error) {
	switch {
	case n == 0 && h.newest == 0: // nothing was committed yet, and that is a state like any other
		return &store.Revision{Record: &gatehousev1.Revision{}, Config: &gatehousev1.Config{}}, nil
	case n == 0:
		n = h.newest
	case n < 0 || n > h.newest:
		return nil, store.ErrNotFound
	case n < h.oldest:
		return nil, store.ErrPruned
	}
	fetch, name, err := r.find(n)
	if err != nil {
		return nil, err
	}
	return content.Decode(fetch, name, n)
}

// history returns at most limit records of those in h, newest first. It reads manifests alone, no objects.
func (r reader) history(ctx context.Context, h head, limit int) ([]*gatehousev1.Revision, error) {
	var records []*gatehousev1.Revision
	for n := h.newest; n >= max(h.oldest, 1) && len(records) < limit; n-- {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m, err := r.manifest(n)
		if err != nil {
			return nil, fmt.Errorf("reading revision %d: %w", n, err)
		}
		records = append(records, m.Record)
	}
	return records, nil
}

// manifest returns that of revision n, which must be stored.
func (r reader) manifest(n int64) (*content.Manifest, error) {
	fetch, name, err := r.find(n)
	if err != nil {
		return nil, err
	}
	return content.DecodeManifest(fetch, name, n)
}

// find returns the name of the manifest of revision n, which must be stored, and how to fetch it.
func (r reader) find(n int64) (content.Fetch, content.Digest, error) {
	fetch, err := r.fetch()
	if err != nil {
		return nil, content.Digest{}, err
	}
	revisions, err := r.bucket(bucketRevisions)
	if err != nil {
		return nil, content.Digest{}, err
	}
	name := revisions.Get(revisionKey(n)) // the head says that there is one, so none is damage
	if len(name) != len(content.Digest{}) {
		return nil, content.Digest{}, fmt.Errorf("reading the row of revision %d: %w", n, store.ErrCorrupt)
	}
	return fetch, content.Digest(name), nil
}

// fetch returns how blobs are read here: from the mapped file, without a copy, so only within the transaction.
func (r reader) fetch() (content.Fetch, error) {
	blobs, err := r.bucket(bucketBlobs)
	if err != nil {
		return nil, err
	}
	return func(d content.Digest) []byte { return blobs.Get(d[:]) }, nil
}

// proveNewest reads the newest revision to its last byte, sees that no row is beyond it, and returns its number.
func (r reader) proveNewest() (int64, error) {
	h, err := r.head()
	if err != nil {
		return 0, err
	}
	revisions, err := r.bucket(bucketRevisions)
	if err != nil {
		return 0, err
	}
	if last, _ := revisions.Cursor().Last(); last != nil && revisionOf(last) != h.newest {
		return 0, fmt.Errorf("reading the head: it is not the last of the revisions: %w", store.ErrCorrupt)
	}
	_, err = r.load(h, 0)
	return h.newest, err
}

// revisionKey is a number as a key; keys sort as numbers do.
func revisionKey(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// revisionOf is the reverse of revisionKey; a key of another length is of no revision, -1.
func revisionOf(key []byte) int64 {
	if len(key) != 8 {
		return -1
	}
	return int64(binary.BigEndian.Uint64(key))
}
