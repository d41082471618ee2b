package storetest

import (
	"context"
	"sync"
)

// watchAtOnce begins a watch at each revision: nobody has to load first and then fear a gap.
func (c trial) watchAtOnce() {
	for base := range int64(3) {
		if n, _ := c.next(c.watch(c.Context())); n != base {
			c.Errorf("the first number of a watch at revision %d = %d, want %d", base, n, base)
		}
		Commit(c.T, c.Store, base, 1)
	}
}

// watchNewest begins watches before, while and after revisions are committed; each has to arrive at the newest.
func (c trial) watchNewest() {
	const newest = 30
	var readers sync.WaitGroup
	for base := range int64(newest) {
		ch := c.watch(c.Context())
		readers.Go(func() {
			for n := int64(-1); n < newest; {
				next, open := <-ch
				if !open || next <= n {
					c.Errorf("Watch after %d = %d, %v, want a higher number", n, next, open)
					return
				}
				n = next
			}
		})
		Commit(c.T, c.Store, base, 1)
	}
	readers.Wait()
	c.until(c.watch(c.Context()), newest)
}

// watchSlow reads only after all commits, and then has to arrive at the newest without having seen all.
func (c trial) watchSlow() {
	ch := c.watch(c.Context())
	newest := Commit(c.T, c.Store, 0, 40) // would not end if a watch that nobody reads held commits up
	c.until(ch, newest)
}

// watchEnds ends one of two watches; the other goes on.
func (c trial) watchEnds() {
	ctx, cancel := context.WithCancel(c.Context())
	ended, stays := c.watch(ctx), c.watch(c.Context())
	cancel()
	for open := true; open; {
		_, open = c.next(ended)
	}
	Commit(c.T, c.Store, 0, 1)
	c.until(stays, 1)
}
