package table_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// empty is a table of that revision.
func empty(t testing.TB, revision int64) *table.Table {
	t.Helper()
	got, err := table.Compile(&gatehousev1.Position{Revision: revision}, &gatehousev1.SnapshotContent{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// isDrained says whether the table's Drained has closed.
func isDrained(t *table.Table) bool {
	select {
	case <-t.Drained():
		return true
	default:
		return false
	}
}

func TestLiveBeginsEmpty(t *testing.T) {
	var live table.Live
	if live.Load() != nil || live.Acquire() != nil {
		t.Error("a new Live holds a table, want none")
	}
	if prev := live.Swap(empty(t, 1)); prev != nil {
		t.Errorf("Swap = %v, want nil", prev)
	}
}

func TestDrainedClosesWithTheLastCall(t *testing.T) {
	var live table.Live
	live.Swap(empty(t, 1))
	first, second := live.Acquire(), live.Acquire()
	if first != second || first.Calls() != 2 || live.Load() != first {
		t.Fatalf("two calls on %v and %v: %d, want 2 on one table", first, second, first.Calls())
	}
	if prev := live.Swap(empty(t, 2)); prev != first || isDrained(first) {
		t.Fatalf("Swap = %v, drained %t; want the first table, with calls under way", prev, isDrained(first))
	}
	if now := live.Acquire(); now.Revision != 2 || first.Calls() != 2 {
		t.Fatalf("a call after Swap is on revision %d, want 2", now.Revision)
	}
	first.Release()
	if isDrained(first) || first.Calls() != 1 {
		t.Fatal("drained with a call under way")
	}
	second.Release()
	if !isDrained(first) || first.Calls() != 0 {
		t.Errorf("drained = %t with %d calls, want true with 0", isDrained(first), first.Calls())
	}
}

func TestIdleTableDrainsAtSwapOnly(t *testing.T) {
	var live table.Live
	live.Swap(empty(t, 1))
	live.Acquire().Release()
	if isDrained(live.Load()) {
		t.Fatal("drained while it is live")
	}
	if prev := live.Swap(empty(t, 2)); !isDrained(prev) {
		t.Error("not drained after Swap without calls")
	}
	if prev := live.Swap(nil); !isDrained(prev) || live.Acquire() != nil {
		t.Error("Swap(nil) leaves a table")
	}
}

// Sixteen callers and one publisher, until every caller has had enough. A call MUST NOT begin on a table that has
// drained, nor see one drain under it, and in the end every table but the last has drained.
func TestLiveUnderLoad(t *testing.T) {
	const callers = 16
	var live table.Live
	live.Swap(empty(t, 0))
	var busy atomic.Int64
	busy.Store(callers)
	for range callers {
		go func() {
			defer busy.Add(-1)
			callUnderLoad(t, &live)
		}()
	}
	var retired []*table.Table
	for n := int64(1); busy.Load() > 0; n++ {
		retired = append(retired, live.Swap(empty(t, n)))
		runtime.Gosched()
	}
	for _, old := range retired {
		<-old.Drained()
		if old.Calls() != 0 {
			t.Fatalf("revision %d drained with %d calls, want 0", old.Revision, old.Calls())
		}
	}
	if last := live.Load(); last.Revision != int64(len(retired)) || isDrained(last) || last.Calls() != 0 {
		t.Errorf("the last table is %d, drained %t, with %d calls; want %d, live and idle", last.Revision, isDrained(last), last.Calls(), len(retired))
	}
}

// callUnderLoad makes calls until it has seen fifty revisions. Each looks at its table before and after, and none
// goes back to an older one.
func callUnderLoad(t *testing.T, live *table.Live) {
	newest := int64(-1)
	for seen := 0; seen < 50; {
		got := live.Acquire()
		if isDrained(got) || got.Revision < newest {
			t.Errorf("Acquire = revision %d after %d, drained %t; want a live one", got.Revision, newest, isDrained(got))
		}
		if got.Revision > newest {
			newest = got.Revision
			seen++
		}
		live.Acquire().Release()
		if isDrained(got) {
			t.Errorf("revision %d drained under a call", got.Revision)
		}
		runtime.Gosched() // the publisher has sixteen callers before it
		got.Release()
	}
}

func TestRetiredTableTellsWhoHoldsIt(t *testing.T) {
	live, first := new(table.Live), empty(t, 1)
	live.Swap(first)
	told := 0
	first.OnRetire(func() { told++ })
	forget := first.OnRetire(func() { t.Error("told whom it was to forget") })
	forget()
	if told != 0 {
		t.Errorf("told %d times of a table that is live", told)
	}
	live.Swap(empty(t, 2))
	if told != 1 {
		t.Errorf("told %d times of one swap, want once", told)
	}
	first.OnRetire(func() { told++ })() // too late to wait for it, and nothing to forget
	if told != 2 {
		t.Errorf("told %d times in all, want the late one told at once", told)
	}
}
