package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

const (
	swapCallers = 64
	swapEvery   = 50 * time.Millisecond
)

// load is calls that go on whatever becomes of one of them.
type load struct {
	calls, failed atomic.Int64
	took, cpu     time.Duration // of the gateway
	control       time.Duration // processor time of the control plane meanwhile
}

// measureSwap calls at full load while revisions are applied, between two halves of a quiet time as long.
func measureSwap(ctx context.Context, o options) error {
	lasting := time.Minute
	if o.quick {
		lasting = 4 * time.Second
	}
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.stop()
	upstream, err := l.echo(ctx, 1)
	if err != nil {
		return err
	}
	p, err := l.plane(ctx, httpServer("http", upstream.addr))
	if err != nil {
		return err
	}
	s := swapping{plane: p, target: p.legacy(legacyHTTP, "/mcp", executeTool("http", message()), payload)}
	if err := s.measure(ctx, lasting); err != nil {
		return err
	}
	s.print()
	return nil
}

// swapping is what was found.
type swapping struct {
	*plane
	target

	quiet, busy   load
	applied       int
	before, after footprint
}

func (s *swapping) measure(ctx context.Context, lasting time.Duration) (err error) {
	if err := s.hammer(ctx, new(load), lasting/20); err != nil { // to warm up
		return err
	}
	if s.before, err = s.settled(ctx); err != nil {
		return err
	}
	if err := s.hammer(ctx, &s.quiet, lasting/2); err != nil {
		return err
	}
	if err := s.hammerSwapping(ctx, lasting); err != nil {
		return err
	}
	if err := s.hammer(ctx, &s.quiet, lasting/2); err != nil {
		return err
	}
	s.after, err = s.settled(ctx)
	return err
}

// hammer makes calls for d and adds to what l has counted. A caller whose call fails opens another connection.
func (t target) hammer(ctx context.Context, l *load, d time.Duration) error {
	callers, err := t.callers(ctx, swapCallers)
	if err != nil {
		return err
	}
	before, begin := cpu(t.pid), time.Now()
	var wg sync.WaitGroup
	for _, c := range callers.list {
		wg.Go(func() { t.callOn(ctx, c, l, begin.Add(d)) })
	}
	wg.Wait()
	callers.close()
	l.took += time.Since(begin)
	l.cpu += cpu(t.pid) - before
	return ctx.Err()
}

// callOn is one caller of hammer.
func (t target) callOn(ctx context.Context, c caller, l *load, end time.Time) {
	for ctx.Err() == nil && time.Now().Before(end) {
		err := c.call()
		if err == nil {
			l.calls.Add(1)
			continue
		}
		l.failed.Add(1)
		if c, err = t.open(); err != nil {
			return
		}
		defer c.close()
	}
}

// hammerSwapping is hammer while a revision is applied every swapEvery.
func (s *swapping) hammerSwapping(ctx context.Context, d time.Duration) error {
	conn, err := grpc.NewClient(s.control.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dialing %s: %w", s.control.addr, err)
	}
	defer conn.Close()
	admin := gatehousev1.NewAdminServiceClient(conn)
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	before := cpu(s.control.pid)
	defer func() { s.busy.control = cpu(s.control.pid) - before }()
	var wg sync.WaitGroup
	var applyErr error
	wg.Go(func() { s.applied, applyErr = applyUntil(within, admin) })
	err = s.hammer(ctx, &s.busy, d)
	cancel()
	wg.Wait()
	if err != nil {
		return err
	}
	return applyErr
}

// applyUntil applies revisions until ctx ends. They change the policy of the agent that calls, and how its server is
// described.
func applyUntil(ctx context.Context, admin gatehousev1.AdminServiceClient) (applied int, err error) {
	tick := time.NewTicker(swapEvery)
	defer tick.Stop()
	for ; ; applied++ {
		select {
		case <-ctx.Done():
			return applied, nil
		case <-tick.C:
		}
		put := []*gatehousev1.Object{{Name: "agent", Spec: &gatehousev1.Object_Policy{Policy: &gatehousev1.Policy{
			Allow: &gatehousev1.Access{Servers: []string{"*"}, Tools: []*gatehousev1.ToolRule{{Server: "http", Tools: []string{"echo", fmt.Sprint("only_in_", applied)}}}},
		}}}}
		if _, err := admin.Apply(ctx, &gatehousev1.ApplyRequest{Author: "bench", Put: put}); err != nil {
			if ctx.Err() != nil {
				return applied, nil
			}
			return applied, fmt.Errorf("applying: %w", err)
		}
	}
}

// footprint is a gateway's memory at some moment, in bytes.
type footprint struct{ heap, rss float64 }

// settled is the memory of the gateway under a light load: the heap right after collections, when it is smallest.
func (s *swapping) settled(ctx context.Context) (f footprint, err error) {
	done := make(chan error, 1)
	go func() {
		_, err := s.drive(ctx, 4, 4*time.Second)
		done <- err
	}()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			f.rss = float64(rss(s.gateway.pid))
			return f, err
		case <-tick.C:
			if heap := s.metric("go_memstats_heap_alloc_bytes"); heap > 0 && (f.heap == 0 || heap < f.heap) {
				f.heap = heap
			}
		}
	}
}

func (l *load) rate() float64 { return float64(l.calls.Load()) / l.took.Seconds() }

func (l *load) perCall() float64 { return float64(l.cpu) / float64(max(1, l.calls.Load())) }

func (s *swapping) print() {
	quiet, busy, before, after := &s.quiet, &s.busy, s.before, s.after
	g := newGrid("", "quiet", fmt.Sprint("a revision every ", swapEvery))
	g.row("time", quiet.took.Round(time.Second), busy.took.Round(time.Second))
	g.row("calls, 64 callers", quiet.calls.Load(), busy.calls.Load())
	g.row("failed calls", quiet.failed.Load(), busy.failed.Load())
	g.row("calls/s", fmt.Sprintf("%.0f", quiet.rate()), fmt.Sprintf("%.0f", busy.rate()))
	g.row("CPU per call", span(quiet.perCall()), span(busy.perCall()))
	g.row("CPU of the control plane", "–", busy.control)
	g.row("revisions applied", 0, s.applied)
	g.row("memory afterwards: live heap", mib(before.heap), mib(after.heap))
	g.row("memory afterwards: RSS", mib(before.rss), mib(after.rss))
	g.print()
	fmt.Printf("The gateway serves revision %.0f. ", s.metric("gatehouse_snapshot_revision"))
	fmt.Print("Quiet is half before and half after; its memory is that before all. The control plane that commits the revisions runs on the same processors.\n\n")
	w := newGrid("goal", "wanted", "measured", "met")
	w.row("failed calls", 0, busy.failed.Load(), verdict(busy.failed.Load() == 0))
	w.row("calls/s against quiet", "≥ 0.90×", times(busy.rate()/quiet.rate()), verdict(busy.rate() >= 0.9*quiet.rate()))
	w.row("live heap after against before", "≤ 1.10×", times(after.heap/before.heap), verdict(after.heap <= 1.1*before.heap))
	w.print()
}
