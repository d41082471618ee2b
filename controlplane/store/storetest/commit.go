package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// testIdentity compares two calls, and two stores: a proxy tells stores apart by nothing else.
func testIdentity(t *testing.T, s, other store.Store) {
	id := s.Identity()
	if id.ID == "" || id.Epoch != 1 || len(id.SealKey) != 32 {
		t.Errorf("Identity() = %d bytes of id, epoch %d, %d bytes of key; want some, 1, 32", len(id.ID), id.Epoch, len(id.SealKey))
	}
	id.SealKey[0]++
	if again := s.Identity(); again.ID != id.ID || again.SealKey[0] == id.SealKey[0] {
		t.Error("Identity() changed between two calls, or its key is shared")
	}
	if o := other.Identity(); o.ID == id.ID || string(o.SealKey[1:]) == string(id.SealKey[1:]) {
		t.Error("two stores have the same id or key")
	}
}

// testDense sees every number once, in order, whatever the caller's record says.
func testDense(t *testing.T, s store.Store) {
	for base := range int64(5) {
		r := Revision("dense")
		r.Record.Revision = 99 // what the caller says does not count
		if err := s.Commit(t.Context(), base, r); err != nil {
			t.Fatalf("Commit(%d) = %v, want nil", base, err)
		}
		if r.Record.Revision != base+1 {
			t.Errorf("after Commit(%d) the record is of revision %d, want %d", base, r.Record.Revision, base+1)
		}
		if got := load(t, s, 0).Record.Revision; got != base+1 {
			t.Errorf("Load(0) is revision %d, want %d", got, base+1)
		}
	}
}

// testBase tries bases before, behind and far beyond the newest, and sees that a refused commit leaves no trace.
func testBase(t *testing.T, s store.Store) {
	Commit(t, s, 0, 3)
	for _, base := range []int64{-1, 0, 2, 4, 1 << 60} {
		r := Revision("stale")
		wantError(t, fmt.Sprintf("Commit(%d) at 3", base), s.Commit(t.Context(), base, r), store.ErrConflict)
		if r.Record.Revision != 0 {
			t.Errorf("a refused Commit(%d) set the revision to %d", base, r.Record.Revision)
		}
	}
	wantEqual(t, 3, load(t, s, 0), load(t, s, 3))
}

// testEndedContext sees that nothing is written for a caller that has gone.
func testEndedContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, "Commit with an ended context", s.Commit(ctx, 0, Revision("never")), context.Canceled)
	_, err := s.Load(ctx, 0)
	wantError(t, "Load with an ended context", err, context.Canceled)
	if got := load(t, s, 0).Record.Revision; got != 0 {
		t.Errorf("Load(0) is revision %d, want 0", got)
	}
}

// testOneWins races commits on each base; all but one have to learn that they lost.
func testOneWins(t *testing.T, s store.Store) {
	for base := range int64(8) {
		var won atomic.Int64
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				switch err := s.Commit(t.Context(), base, Revision(strconv.Itoa(i))); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, store.ErrConflict):
					t.Errorf("Commit(%d) = %v, want nil or %v", base, err, store.ErrConflict)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d commits on base %d got through, want 1", won.Load(), base)
		}
	}
}

// testNoLostUpdate has writers count together in the message, each from what it loaded. A lost or a doubled update, or a
// Load that is not of one moment, makes message and number differ.
func testNoLostUpdate(t *testing.T, s store.Store) {
	const writers, each = 4, 10
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				increment(t, s)
			}
		})
	}
	all.Wait()
	for n := int64(1); n <= writers*each; n++ {
		if got := load(t, s, n).Record.Message; got != fmt.Sprint(n) {
			t.Errorf("Load(%d) counts %s, want %d", n, got, n)
		}
	}
}

// increment adds one to what it loaded, and begins anew where somebody else was faster.
func increment(t *testing.T, s store.Store) {
	for {
		r, err := s.Load(t.Context(), 0)
		if err != nil {
			t.Errorf("Load(0) = %v, want nil", err)
			return
		}
		count, _ := strconv.Atoi(r.Record.Message) // the empty store's is 0
		err = s.Commit(t.Context(), r.Record.Revision, Revision(strconv.Itoa(count+1)))
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("Commit(%d) = %v, want nil or %v", r.Record.Revision, err, store.ErrConflict)
			return
		}
	}
}
