package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// identity compares two calls, and two stores: a proxy tells stores apart by nothing else.
func (c trial) identity() {
	other := c.open(c.T)
	id := c.Identity()
	if id.ID == "" || id.Epoch != 1 || len(id.SealKey) != 32 {
		c.Errorf("Identity() = %d bytes of id, epoch %d, %d bytes of key; want some, 1, 32", len(id.ID), id.Epoch, len(id.SealKey))
	}
	id.SealKey[0]++
	if again := c.Identity(); again.ID != id.ID || again.SealKey[0] == id.SealKey[0] {
		c.Error("Identity() changed between two calls, or its key is shared")
	}
	if o := other.Identity(); o.ID == id.ID || string(o.SealKey[1:]) == string(id.SealKey[1:]) {
		c.Error("two stores have the same id or key")
	}
}

// dense sees every number once, in order, whatever the caller's record says.
func (c trial) dense() {
	for base := range int64(5) {
		r := Revision("dense")
		r.Record.Revision = 99 // what the caller says does not count
		if err := c.Commit(c.Context(), base, r); err != nil {
			c.Fatalf("Commit(%d) = %v, want nil", base, err)
		}
		if r.Record.Revision != base+1 {
			c.Errorf("after Commit(%d) the record is of revision %d, want %d", base, r.Record.Revision, base+1)
		}
		if got := c.load(0).Record.Revision; got != base+1 {
			c.Errorf("Load(0) is revision %d, want %d", got, base+1)
		}
	}
}

// base tries bases before, behind and far beyond the newest, and sees that a refused commit leaves no trace.
func (c trial) base() {
	Commit(c.T, c.Store, 0, 3)
	for _, base := range []int64{-1, 0, 2, 4, 1 << 60} {
		r := Revision("stale")
		c.wantError(fmt.Sprintf("Commit(%d) at 3", base), c.Commit(c.Context(), base, r), store.ErrConflict)
		if r.Record.Revision != 0 {
			c.Errorf("a refused Commit(%d) set the revision to %d", base, r.Record.Revision)
		}
	}
	c.wantEqual(3, c.load(0), c.load(3))
}

// endedContext sees that nothing is written for a caller that has gone.
func (c trial) endedContext() {
	ctx, cancel := context.WithCancel(c.Context())
	cancel()
	c.wantError("Commit with an ended context", c.Commit(ctx, 0, Revision("never")), context.Canceled)
	_, err := c.Load(ctx, 0)
	c.wantError("Load with an ended context", err, context.Canceled)
	if got := c.load(0).Record.Revision; got != 0 {
		c.Errorf("Load(0) is revision %d, want 0", got)
	}
}

// oneWins races commits on each base; all but one have to learn that they lost.
func (c trial) oneWins() {
	for base := range int64(8) {
		var won atomic.Int64
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				switch err := c.Commit(c.Context(), base, Revision(strconv.Itoa(i))); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, store.ErrConflict):
					c.Errorf("Commit(%d) = %v, want nil or %v", base, err, store.ErrConflict)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			c.Fatalf("%d commits on base %d got through, want 1", won.Load(), base)
		}
	}
}

// noLostUpdate has writers count together in the message, each from what it loaded. A lost or a doubled update, or a
// Load that is not of one moment, makes message and number differ.
func (c trial) noLostUpdate() {
	const writers, each = 4, 10
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				c.increment()
			}
		})
	}
	all.Wait()
	for n := int64(1); n <= writers*each; n++ {
		if got := c.load(n).Record.Message; got != fmt.Sprint(n) {
			c.Errorf("Load(%d) counts %s, want %d", n, got, n)
		}
	}
}

// increment adds one to what it loaded, and begins anew where somebody else was faster.
func (c trial) increment() {
	for {
		r, err := c.Load(c.Context(), 0)
		if err != nil {
			c.Errorf("Load(0) = %v, want nil", err)
			return
		}
		count, _ := strconv.Atoi(r.Record.Message) // the empty store's is 0
		err = c.Commit(c.Context(), r.Record.Revision, Revision(strconv.Itoa(count+1)))
		if err == nil {
			return
		}
		if !errors.Is(err, store.ErrConflict) {
			c.Errorf("Commit(%d) = %v, want nil or %v", r.Record.Revision, err, store.ErrConflict)
			return
		}
	}
}
