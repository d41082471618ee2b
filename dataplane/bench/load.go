package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// caller makes one call after the other and checks each answer.
type caller interface {
	call() error
	close()
}

// target is something that calls can be made of.
type target struct {
	name string
	pid  int // the process under test; 0: none, its processor time is not counted
	open func() (caller, error)
}

// sample is what one measurement of one target found.
type sample struct {
	latencies []time.Duration // sorted
	took      time.Duration
	cpu       time.Duration // of the process under test
}

// drive makes calls with n callers for about d.
func (t target) drive(ctx context.Context, n int, d time.Duration) (sample, error) {
	callers, err := t.callers(ctx, n)
	if err != nil {
		return sample{}, err
	}
	defer callers.close()
	lists, errs := make([][]time.Duration, n), make([]error, n)
	before, begin := cpu(t.pid), time.Now()
	var wg sync.WaitGroup
	for i, c := range callers.list {
		wg.Go(func() { lists[i], errs[i] = callUntil(c, begin.Add(d)) })
	}
	wg.Wait()
	s := sample{took: time.Since(begin), cpu: cpu(t.pid) - before}
	for i, list := range lists {
		if errs[i] != nil {
			return s, fmt.Errorf("%s: %w", t.name, errs[i])
		}
		s.latencies = append(s.latencies, list...)
	}
	slices.Sort(s.latencies)
	return s, nil
}

// callers are the callers of one measurement.
type callers struct {
	list []caller
	stop func() bool
}

// callers opens n; they fail at once when ctx ends.
func (t target) callers(ctx context.Context, n int) (*callers, error) {
	all := new(callers)
	for range n {
		c, err := t.open()
		if err != nil {
			all.closeList()
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		all.list = append(all.list, c)
	}
	all.stop = context.AfterFunc(ctx, all.closeList)
	return all, nil
}

func (c *callers) close() {
	if c.stop() {
		c.closeList()
	}
}

func (c *callers) closeList() {
	for _, one := range c.list {
		one.close()
	}
}

func callUntil(c caller, end time.Time) (list []time.Duration, err error) {
	for begin := time.Now(); begin.Before(end); {
		if err := c.call(); err != nil {
			return list, err
		}
		now := time.Now()
		list = append(list, now.Sub(begin))
		begin = now
	}
	return list, nil
}

// percentile returns the latency that p of 100 calls do not exceed.
func (s sample) percentile(p float64) time.Duration {
	if len(s.latencies) == 0 {
		return 0
	}
	return s.latencies[min(len(s.latencies)-1, int(float64(len(s.latencies))*p/100))]
}

func (s sample) rate() float64 { return float64(len(s.latencies)) / s.took.Seconds() }

// perCall is the processor time of the process under test for one call.
func (s sample) perCall() time.Duration { return s.cpu / time.Duration(max(1, len(s.latencies))) }

// cell is one target at one number of callers.
type cell struct {
	target  string
	callers int
}

// findings are the samples of each cell, in the order of the rounds.
type findings map[cell][]sample

// interleave measures all targets in turn, so that they share the good and the bad moments of the machine. The first round
// warms up and does not count.
func interleave(ctx context.Context, o options, targets []target, concurrency []int) (findings, error) {
	found := findings{}
	for round := range o.rounds + 1 {
		for _, n := range concurrency {
			for _, t := range targets {
				got, err := t.drive(ctx, n, o.window)
				if err != nil {
					return nil, err
				}
				if round > 0 {
					found[cell{t.name, n}] = append(found[cell{t.name, n}], got)
				}
			}
		}
	}
	return found, nil
}
