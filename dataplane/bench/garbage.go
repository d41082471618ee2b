package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// garbageLasts is how long each of the three phases lasts, and garbageRounds how often they take turns.
	garbageLasts  = 4 * time.Second
	garbageRounds = 4
)

// measureGarbage makes calls of a good server at a fixed rate, in turn: alone, beside calls of a server that answers with
// garbage, and beside the same garbage passing through another gateway, which shows what the machine does to them.
func measureGarbage(ctx context.Context, o options) error {
	lasting, rounds := garbageLasts, garbageRounds
	if o.quick {
		lasting, rounds = 2*time.Second, 1
	}
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.stop()
	g, err := l.startGarbage(ctx)
	if err != nil {
		return err
	}
	if _, err := g.good.drive(ctx, 16, time.Second); err != nil { // to warm up
		return err
	}
	before := rss(g.gateway.pid)
	for range rounds {
		for _, p := range g.phases {
			if err := g.phase(ctx, l, p, lasting); err != nil {
				return err
			}
		}
	}
	g.print(rounds, rss(g.gateway.pid)-before)
	return nil
}

// besideGarbage is a gateway that is called beside garbage.
type besideGarbage struct {
	*plane

	good   target
	phases []*garbagePhase // quiet, beside garbage, beside garbage that passes through another gateway
}

// garbagePhase is one phase, and what was found in all its rounds.
type garbagePhase struct {
	name string
	bad  *endpoint // what those call who get garbage; nil where nobody does

	calls  sample
	failed int64
	cpu    time.Duration // of the gateway that makes the good calls
	peak   int           // its memory at most
	thrown thrown
}

// startGarbage starts everything but those who call the bad server.
func (l *lab) startGarbage(ctx context.Context) (*besideGarbage, error) {
	good, err := l.echo(ctx, 1)
	if err != nil {
		return nil, err
	}
	bad, err := l.role(ctx, "garbage")
	if err != nil {
		return nil, err
	}
	garbage := httpServer("garbage", bad.addr)
	p, err := l.plane(ctx, httpServer("http", good.addr), garbage)
	if err != nil {
		return nil, err
	}
	other, err := l.plane(ctx, garbage)
	if err != nil {
		return nil, err
	}
	if err := yield(other.gateway.pid); err != nil {
		return nil, err
	}
	here, err := l.vandalised(ctx, p)
	if err != nil {
		return nil, err
	}
	there, err := l.vandalised(ctx, other)
	if err != nil {
		return nil, err
	}
	return &besideGarbage{
		plane: p, good: p.legacy("execute_tool", "/mcp", executeTool("http", message()), payload),
		phases: []*garbagePhase{{name: "quiet"}, {name: "beside garbage", bad: here}, {name: "beside garbage of another gateway", bad: there}},
	}, nil
}

// vandalised is how those call a gateway who get garbage.
func (l *lab) vandalised(ctx context.Context, p *plane) (*endpoint, error) {
	key, err := l.newKey(ctx, p, "vandal")
	if err != nil {
		return nil, err
	}
	e := &endpoint{addr: p.gateway.addr, path: "/mcp", key: key, legacy: true}
	return e, until(ctx, "the second key works", func() bool {
		c, err := e.open("")
		if err == nil {
			c.close()
		}
		return err == nil
	})
}

// phase makes the calls of one round of a phase.
func (g *besideGarbage) phase(ctx context.Context, l *lab, p *garbagePhase, d time.Duration) (err error) {
	var vandals process
	if p.bad != nil {
		if vandals, err = l.role(ctx, "vandals", "-to", p.bad.addr, "-key", p.bad.key); err != nil {
			return err
		}
		defer l.kill(vandals.pid)
		if err := rest(ctx, d/8); err != nil { // until they are at it
			return err
		}
	}
	if err := forgetPeak(g.gateway.pid); err != nil {
		return err
	}
	var failed atomic.Int64
	before, from := cpu(g.gateway.pid), vandals.thrown()
	calls, err := g.good.patient(&failed).pace(ctx, d)
	p.cpu += cpu(g.gateway.pid) - before
	p.failed += failed.Load()
	p.peak = max(p.peak, status(g.gateway.pid, "VmHWM"))
	p.thrown = p.thrown.plus(vandals.thrown().less(from))
	p.calls.took += calls.took
	p.calls.latencies = append(p.calls.latencies, calls.latencies...)
	slices.Sort(p.calls.latencies)
	return err
}

// thrown reads what the vandals have seen so far.
func (p process) thrown() (t thrown) {
	if p.addr == "" {
		return t
	}
	resp, err := http.Get("http://" + p.addr)
	if err != nil {
		return t
	}
	defer resp.Body.Close()
	_ = json.NewDecoder(resp.Body).Decode(&t) // none counts as nothing thrown, which shows
	return t
}

func (g *besideGarbage) print(rounds, more int) {
	grid := newGrid("", "calls", "failed", "P50", "P99", "CPU of the gateway", "RSS at its peak", "garbage/s", "refused as too much")
	failed := int64(0)
	for _, p := range g.phases {
		took := p.calls.took.Seconds()
		grid.row(p.name, len(p.calls.latencies), p.failed, p.calls.percentile(50), p.calls.percentile(99),
			fmt.Sprintf("%.0f %%", 100*p.cpu.Seconds()/took), mib(float64(p.peak)), fmt.Sprintf("%.0f", float64(p.thrown.Calls)/took), p.thrown.Limited)
		failed += p.failed
	}
	grid.print()
	fmt.Printf("%d calls a second to a good server by execute_tool, latency from the moment a call is due, in %d rounds of the three phases; beside "+
		"them %d callers, which begin one after the other, call the %d tools of a server over HTTP through a gateway, each of which answers with "+
		"garbage of its own kind: %s. That server and its callers do as little as they can and run only when nobody else wants to (SCHED_IDLE on "+
		"Linux), since all share the processors, and so does the other gateway: the good calls have nothing to do with it, so what they lose "+
		"beside it is what the machine takes from them. CPU is of one processor.\n\n", steadyRate, rounds, vandalCallers, len(crimes()), crimeNames())
	quiet, beside, apart := g.phases[0].calls.percentile(99), g.phases[1].calls.percentile(99), g.phases[2].calls.percentile(99)
	goals := newGrid("goal", "wanted", "measured", "met")
	goals.row("failed calls of the good server", 0, failed, verdict(failed == 0))
	goals.row("P99 beside garbage against that beside garbage of another gateway", "≤ 2.00×", times(slower(beside, apart)), verdict(slower(beside, apart) <= 2))
	goals.row("P99 beside garbage against quiet", "≤ 2.00×", times(slower(beside, quiet)), verdict(slower(beside, quiet) <= 2))
	goals.row("P99 beside garbage of another gateway against quiet", "–", times(slower(apart, quiet)), "–")
	goals.row("RSS afterwards against before", "≤ 64 MB more", mib(float64(more)), verdict(more <= 64<<20))
	goals.print()
}

// slower is how many times as long one takes as another.
func slower(one, other time.Duration) float64 { return float64(one) / float64(max(1, other)) }

// patient is the target whose callers go on after a call that failed, on another connection, and count it.
func (t target) patient(failed *atomic.Int64) target {
	open := t.open
	t.open = func() (caller, error) {
		c, err := open()
		if err != nil {
			return nil, err
		}
		return &patientCaller{c, open, failed}, nil
	}
	return t
}

type patientCaller struct {
	caller
	open   func() (caller, error)
	failed *atomic.Int64
}

func (p *patientCaller) call() error {
	if p.caller.call() == nil {
		return nil
	}
	p.failed.Add(1)
	next, err := p.open()
	if err != nil {
		return err
	}
	p.close()
	p.caller = next
	return nil
}
