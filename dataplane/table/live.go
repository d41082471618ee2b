package table

import "sync/atomic"

// The count of a table: each call under way is one, each Live that holds it is held. A table that nobody holds any more
// is dead: far below zero, so that a late Acquire sees that it came too late, and cannot bring it back.
const (
	held int64 = 1 << 32
	dead int64 = -1 << 62
)

// Live is the table that new calls use. Replacing it takes nothing from calls under way: each ends on the table it began
// with. The zero value holds no table.
type Live struct {
	table atomic.Pointer[Table]
}

// Load returns the table without pinning it, or nil before the first Swap: for a look, not for a call.
func (l *Live) Load() *Table { return l.table.Load() }

// Acquire returns the table and counts a call under way on it, until Release; nil before the first Swap. It takes no
// lock. A table whose Drained has closed is never returned.
func (l *Live) Acquire() *Table {
	for {
		t := l.table.Load()
		if t == nil || t.pin() {
			return t
		}
	}
}

// Swap makes next the table of new calls and returns the one before, which is then retired: its Drained closes when its
// last call is released. A table that was retired MUST NOT be swapped in again. What principals use is counted on, so that
// no revision sets them free of their limits; Swap is called by one goroutine at a time.
func (l *Live) Swap(next *Table) (prev *Table) {
	if next != nil {
		if prev = l.table.Load(); prev != nil {
			next.takeOver(prev)
		}
		next.refs.Add(held)
	}
	prev = l.table.Swap(next)
	if prev != nil {
		prev.drop(held)
		prev.news.spread()
	}
	return prev
}

// Retain counts one more call on a table that the caller has pinned already, however long it has been retired. It is
// given back by Release.
func (t *Table) Retain() { t.refs.Add(1) }

// Release ends a call that Acquire or Retain began. It MUST be called once for each.
func (t *Table) Release() { t.drop(1) }

// Calls is the number of calls under way on this table.
func (t *Table) Calls() int64 { return t.refs.Load() & (held - 1) }

// Drained returns a channel that closes when the table is retired and its last call has been released.
func (t *Table) Drained() <-chan struct{} { return t.drained }

// pin counts a call; false means that the table is dead. Adding first and looking at the result afterwards spares the
// loop that a compare-and-swap would need under load.
func (t *Table) pin() bool {
	if t.refs.Add(1) > 0 {
		return true
	}
	t.refs.Add(-1)
	return false
}

// drop takes n away. Whoever brings the count to zero and is the first to declare it dead closes Drained; a pin in
// between revives the table, and then its release comes here again.
func (t *Table) drop(n int64) {
	if t.refs.Add(-n) == 0 && t.refs.CompareAndSwap(0, dead) {
		close(t.drained)
	}
}
