package bolt

import (
	"context"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/content"
)

// proveAll checks the whole store: the identity, the head, each kept revision down to its objects, and each blob, also
// those that only stale revisions have. It returns the newest revision's number.
func (r reader) proveAll(ctx context.Context) (int64, error) {
	if _, err := r.identity(); err != nil {
		return 0, err
	}
	newest, err := r.proveNewest()
	if err != nil {
		return 0, err
	}
	if err := r.proveBlobs(ctx); err != nil {
		return 0, err
	}
	return newest, r.proveRevisions(ctx)
}

// proveRevisions checks that each kept revision has all its blobs, whose bytes proveBlobs checked.
func (r reader) proveRevisions(ctx context.Context) error {
	h, err := r.head()
	if err != nil {
		return err
	}
	fetch, err := r.fetch()
	if err != nil {
		return err
	}
	for n := max(h.oldest, 1); n <= h.newest; n++ {
		m, err := r.manifest(n)
		if err = firstOf(ctx.Err(), err); err != nil {
			return fmt.Errorf("checking revision %d: %w", n, err)
		}
		for _, d := range m.Objects {
			if fetch(d) == nil {
				return fmt.Errorf("checking revision %d: blob %s is missing: %w", n, d, store.ErrCorrupt)
			}
		}
	}
	return nil
}

// proveBlobs hashes every blob, whoever refers to it.
func (r reader) proveBlobs(ctx context.Context) error {
	blobs, err := r.bucket(bucketBlobs)
	if err != nil {
		return err
	}
	return blobs.ForEach(func(k, v []byte) error {
		if sum := content.Sum(v); string(k) != string(sum[:]) {
			return fmt.Errorf("checking blob %x: its bytes have another digest: %w", k, store.ErrCorrupt)
		}
		return ctx.Err()
	})
}

// firstOf returns the first error that is one.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
