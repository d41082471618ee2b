package bolt

import (
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/content"
)

// sweepStep is how many blobs one transaction deletes, so that commits get their turn.
const sweepStep = 256

// wakeSweeper leaves a sign and goes on; many of them are one sweep.
func (s *Store) wakeSweeper() {
	select {
	case s.sweep <- struct{}{}:
	default:
	}
}

// sweepUntilClosing removes what retention has cut off. A commit only moves the head's oldest; the rows and blobs below
// it go here, in small transactions. What a crash or a full disk leaves behind, the next sweep takes.
func (s *Store) sweepUntilClosing() {
	for {
		select {
		case <-s.closing:
			return
		case <-s.sweep:
			if err := s.sweepOnce(); err != nil {
				s.log.Warn("old revisions were not removed", "error", err)
			}
		}
	}
}

// mark is what a sweep found in one consistent state. Counting references instead would cost each commit a write for each
// object, and one count that is wrong would delete what is in use; a mark is made anew each time.
type mark struct {
	newest int64                       // the newest revision that live takes into account
	stale  []int64                     // revisions to remove, oldest first
	live   map[content.Digest]struct{} // blobs of revisions that stay
}

// sweepOnce reads every kept manifest, so it waits until more than an eighth of what is kept has become stale, unless
// there is no room left.
func (s *Store) sweepOnce() error {
	m, enough := mark{live: make(map[content.Digest]struct{})}, s.config.retention()/8
	if s.cramped.Swap(false) {
		enough = 0
	}
	err := s.view(func(tx *bbolt.Tx) error {
		r := reader{tx}
		stale, err := r.stale()
		if err != nil || int64(len(stale)) <= enough {
			return err
		}
		m.stale = stale
		return m.extend(r)
	})
	if err != nil {
		return err
	}
	for _, n := range m.stale {
		if err := s.remove(&m, n); err != nil {
			return fmt.Errorf("removing revision %d: %w", n, err)
		}
	}
	return nil
}

// stale returns the revisions that have a row but are older than the oldest that is kept.
func (r reader) stale() ([]int64, error) {
	h, err := r.head()
	if err != nil {
		return nil, err
	}
	revisions, err := r.bucket(bucketRevisions)
	if err != nil {
		return nil, err
	}
	var stale []int64
	c := revisions.Cursor() // keys sort as numbers, so the oldest come first
	for k, _ := c.First(); k != nil && revisionOf(k) < h.oldest; k, _ = c.Next() {
		stale = append(stale, revisionOf(k))
	}
	return stale, nil
}

// extend adds the blobs of revisions that m has not seen: at first all that are kept, later those committed since.
func (m *mark) extend(r reader) error {
	h, err := r.head()
	if err != nil {
		return err
	}
	for n := max(h.oldest, m.newest+1, 1); n <= h.newest; n++ {
		manifest, err := r.manifest(n)
		if err != nil {
			return fmt.Errorf("marking revision %d: %w", n, err)
		}
		for _, d := range manifest.Objects {
			m.live[d] = struct{}{}
		}
	}
	m.newest = h.newest
	return nil
}

// remove deletes one stale revision: first the blobs that no kept revision has, then its manifest and its row. In this
// order a crash leaves the manifest, from which the next sweep knows what is still to delete.
func (s *Store) remove(m *mark, n int64) error {
	for done := false; !done; {
		select {
		case <-s.closing:
			return store.ErrClosed
		default:
		}
		err := s.write(0, func(tx *bbolt.Tx) error { // to delete takes a little room first, also in a full store
			r := reader{tx}
			err := m.extend(r) // a commit since the last step may have taken a stale blob up again
			if err == nil {
				done, err = m.step(r, n)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// step deletes some of revision n's blobs, or says that it deleted the last of it.
func (m *mark) step(r reader, n int64) (done bool, err error) {
	blobs, err := r.bucket(bucketBlobs)
	if err != nil {
		return false, err
	}
	manifest, err := r.manifest(n)
	if err != nil {
		// Which blobs it had cannot be told any more; they stay, and harm nobody.
		return true, r.forget(n)
	}
	deleted := 0
	for _, d := range manifest.Objects {
		if _, ok := m.live[d]; ok || blobs.Get(d[:]) == nil {
			continue
		}
		if deleted == sweepStep { // the rest has another transaction
			return false, nil
		}
		if err := blobs.Delete(d[:]); err != nil {
			return false, err
		}
		deleted++
	}
	return true, r.forget(n)
}

// forget deletes the manifest and the row of revision n.
func (r reader) forget(n int64) error {
	blobs, err := r.bucket(bucketBlobs)
	if err != nil {
		return err
	}
	revisions, err := r.bucket(bucketRevisions)
	if err != nil {
		return err
	}
	if name := revisions.Get(revisionKey(n)); len(name) > 0 {
		if err := blobs.Delete(name); err != nil {
			return err
		}
	}
	return revisions.Delete(revisionKey(n))
}
