package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// garbagePhase is how long one of the three phases lasts.
const garbagePhase = 9 * time.Second

// measureGarbage makes calls of a good server at a fixed rate: alone, beside calls of a server that answers with garbage, and
// alone again; then the same calls without the gateway, which show what the machine does to them.
func measureGarbage(ctx context.Context, o options) error {
	lasting := garbagePhase
	if o.quick {
		lasting = 2 * time.Second
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
	for _, t := range []target{g.through, g.direct} {
		if _, err := t.drive(ctx, 16, time.Second); err != nil { // to warm up
			return err
		}
		for i, name := range []string{"quiet", "beside garbage", "quiet again"} {
			p, err := g.phase(ctx, l, t, i == 1, lasting)
			if err != nil {
				return err
			}
			p.name = t.name + ", " + name
			g.phases = append(g.phases, p)
		}
	}
	g.print(lasting)
	return nil
}

// besideGarbage is what was found of a gateway, a good server and a bad one.
type besideGarbage struct {
	*plane

	through, direct target // good calls, through the gateway and without
	bad             string // the key of those who call the bad one
	phases          []garbagePhaseFound
}

// garbagePhaseFound is what was found in one phase.
type garbagePhaseFound struct {
	name      string
	calls     sample
	failed    int64
	cpu       time.Duration // of the gateway
	rss, peak int           // of the gateway, at its end and during it
	thrown    thrown
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
	p, err := l.plane(ctx, httpServer("http", good.addr), httpServer("garbage", bad.addr))
	if err != nil {
		return nil, err
	}
	g := &besideGarbage{
		plane: p, through: p.legacy("execute_tool", "/mcp", executeTool("http", message()), payload),
		direct: plain("direct", process{addr: good.addr}, toolsCall("echo", message()), payload),
	}
	if g.bad, err = l.newKey(ctx, p, "vandal"); err != nil {
		return nil, err
	}
	return g, until(ctx, "the second key works", func() bool {
		c, err := endpoint{addr: p.gateway.addr, path: "/mcp", key: g.bad, legacy: true}.open("")
		if err == nil {
			c.close()
		}
		return err == nil
	})
}

// phase makes the calls of one phase.
func (g *besideGarbage) phase(ctx context.Context, l *lab, t target, garbage bool, d time.Duration) (f garbagePhaseFound, err error) {
	var vandals process
	if garbage {
		if vandals, err = l.role(ctx, "vandals", "-to", g.gateway.addr, "-key", g.bad); err != nil {
			return f, err
		}
		if err := rest(ctx, d/8); err != nil { // until they are at it
			return f, err
		}
	}
	if err := forgetPeak(g.gateway.pid); err != nil {
		return f, err
	}
	var failed atomic.Int64
	before, from := cpu(g.gateway.pid), vandals.thrown()
	f.calls, err = t.patient(&failed).pace(ctx, d)
	f.cpu, f.failed, f.thrown = cpu(g.gateway.pid)-before, failed.Load(), vandals.thrown().less(from)
	f.rss, f.peak = rss(g.gateway.pid), status(g.gateway.pid, "VmHWM")
	if garbage {
		l.kill(vandals.pid)
	}
	return f, err
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

func (g *besideGarbage) print(lasting time.Duration) {
	grid := newGrid("", "calls", "failed", "P50", "P99", "CPU of the gateway", "RSS at the end", "RSS at its peak", "garbage/s", "refused as too much")
	for _, p := range g.phases {
		took := p.calls.took
		grid.row(p.name, len(p.calls.latencies), p.failed, p.calls.percentile(50), p.calls.percentile(99),
			fmt.Sprintf("%.0f %%", 100*p.cpu.Seconds()/took.Seconds()), mib(float64(p.rss)), mib(float64(p.peak)),
			fmt.Sprintf("%.0f", float64(p.thrown.Calls)/took.Seconds()), p.thrown.Limited)
	}
	grid.print()
	fmt.Printf("%d calls a second to a good server for %v each, by execute_tool and without the gateway, latency from the moment a call is due; beside them "+
		"%d callers call the %d tools of a server over HTTP through the gateway, each of which answers with garbage of its own kind: %s. "+
		"That server and its callers run only when nobody else wants to (SCHED_IDLE on Linux), since all share the processors: what is measured is "+
		"what the gateway does to the good calls, not what other processes take from the machine. What those take all the same shows in the "+
		"calls without the gateway. CPU is of one processor.\n\n",
		steadyRate, lasting, vandalCallers, len(crimes()), crimeNames())
	through, direct := slowdown(g.phases[:3]), slowdown(g.phases[3:])
	failed := int64(0)
	for _, p := range g.phases {
		failed += p.failed
	}
	more := g.phases[2].rss - g.phases[0].rss
	goals := newGrid("goal", "wanted", "measured", "met")
	goals.row("failed calls of the good server", 0, failed, verdict(failed == 0))
	goals.row("P99 beside garbage against the better quiet", "≤ 2.00×", times(through), verdict(through <= 2))
	goals.row("the same without the gateway", "–", times(direct), "–")
	goals.row("RSS afterwards against before", "≤ 64 MB more", mib(float64(more)), verdict(more <= 64<<20))
	goals.print()
}

// slowdown is the P99 beside garbage against the better one of the quiet phases around it.
func slowdown(phases []garbagePhaseFound) float64 {
	quiet := min(phases[0].calls.percentile(99), phases[2].calls.percentile(99))
	return float64(phases[1].calls.percentile(99)) / float64(max(1, quiet))
}

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
