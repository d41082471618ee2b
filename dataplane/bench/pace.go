package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// paceCallers are enough that one is always free unless the gateway is behind.
const paceCallers = 64

// pace makes steadyRate calls a second for d, whether or not earlier ones have ended, and counts latency from the moment a
// call is handed out.
func (t target) pace(ctx context.Context, d time.Duration) (s sample, err error) {
	callers, err := t.callers(ctx, paceCallers)
	if err != nil {
		return s, err
	}
	defer callers.close()
	due := make(chan time.Time, steadyRate)
	lists, errs := make([][]time.Duration, paceCallers), make([]error, paceCallers)
	var wg sync.WaitGroup
	for i, c := range callers.list {
		wg.Go(func() { lists[i], errs[i] = callWhenDue(c, due) })
	}
	begin := time.Now()
	handOut(ctx, due, int(d.Seconds()*steadyRate))
	wg.Wait()
	s.took = time.Since(begin)
	for i, list := range lists {
		if errs[i] != nil {
			return s, fmt.Errorf("%s: %w", t.name, errs[i])
		}
		s.latencies = append(s.latencies, list...)
	}
	slices.Sort(s.latencies)
	return s, ctx.Err()
}

// handOut makes n calls due, one after the other, and then no more.
func handOut(ctx context.Context, due chan<- time.Time, n int) {
	defer close(due)
	tick := time.NewTicker(time.Second / steadyRate)
	defer tick.Stop()
	for range n {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case due <- time.Now():
		case <-ctx.Done():
			return
		}
	}
}

// callWhenDue takes the calls that are due until there are no more; after one that failed it takes none.
func callWhenDue(c caller, due <-chan time.Time) (list []time.Duration, err error) {
	for at := range due {
		if err != nil {
			continue
		}
		err = c.call()
		list = append(list, time.Since(at).Round(time.Microsecond))
	}
	return list, err
}
