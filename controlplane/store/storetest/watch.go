package storetest

import (
	"context"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// testWatchAtOnce begins a watch at each revision: nobody has to load first and then fear a gap.
func testWatchAtOnce(t *testing.T, s store.Store) {
	for base := range int64(3) {
		if n, _ := next(t, watch(t, t.Context(), s)); n != base {
			t.Errorf("the first number of a watch at revision %d = %d, want %d", base, n, base)
		}
		Commit(t, s, base, 1)
	}
}

// testWatchNewest begins watches before, while and after revisions are committed; each has to arrive at the newest.
func testWatchNewest(t *testing.T, s store.Store) {
	const newest = 30
	var readers sync.WaitGroup
	for base := range int64(newest) {
		ch := watch(t, t.Context(), s)
		readers.Go(func() {
			for n := int64(-1); n < newest; {
				next, open := <-ch
				if !open || next <= n {
					t.Errorf("Watch after %d = %d, %v, want a higher number", n, next, open)
					return
				}
				n = next
			}
		})
		Commit(t, s, base, 1)
	}
	readers.Wait()
	until(t, watch(t, t.Context(), s), newest)
}

// testWatchSlow reads only after all commits, and then has to arrive at the newest without having seen all.
func testWatchSlow(t *testing.T, s store.Store) {
	ch := watch(t, t.Context(), s)
	newest := Commit(t, s, 0, 40) // would not end if a watch that nobody reads held commits up
	until(t, ch, newest)
}

// testWatchEnds ends one of two watches; the other goes on.
func testWatchEnds(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	ended, stays := watch(t, ctx, s), watch(t, t.Context(), s)
	cancel()
	for open := true; open; {
		_, open = next(t, ended)
	}
	Commit(t, s, 0, 1)
	until(t, stays, 1)
}
