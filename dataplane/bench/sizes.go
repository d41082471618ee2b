package main

import (
	"context"
	"fmt"
)

// results are what is returned.
func results() []amount {
	return []amount{{Size: 1 << 10}, {Size: 64 << 10}, {Size: 64 << 10, Rows: true}, {Size: 1 << 20}}
}

// measureSizes compares results of several sizes with the reverse proxy.
func measureSizes(ctx context.Context, o options) error {
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.stop()
	targets, err := l.sizeTargets(ctx)
	if err != nil {
		return err
	}
	concurrency := []int{1, 16}
	o.rounds *= 2 // what is bound by memory differs most from round to round
	found, err := interleave(ctx, o, targets, concurrency)
	if err != nil {
		return err
	}
	printSizes(found, concurrency)
	var goals []goal
	for _, of := range results()[1:] {
		goals = append(goals, goal{of.String() + " results, calls/s at 16 callers", sized(legacyHTTP, of), sized(reverse, of), 16, rate, 1.1, false})
	}
	printGoalsOf(found, goals)
	return nil
}

func sized(name string, of amount) string { return name + ", " + of.String() }

func (l *lab) sizeTargets(ctx context.Context) (targets []target, err error) {
	upstream, err := l.echo(ctx, 1)
	if err != nil {
		return nil, err
	}
	proxy, err := l.role(ctx, "reverse", "-to", "http://"+upstream.addr)
	if err != nil {
		return nil, err
	}
	p, err := l.plane(ctx, httpServer("http", upstream.addr))
	if err != nil {
		return nil, err
	}
	for _, of := range results() {
		args, want := of.arguments(), of.text()
		call := toolsCall("echo", args)
		targets = append(targets,
			plain(sized(directHTTP, of), process{addr: upstream.addr}, call, want),
			plain(sized(reverse, of), proxy, call, want),
			p.legacy(sized(legacyHTTP, of), "/mcp", executeTool("http", args), want),
			p.legacy(sized(serverHTTP, of), "/mcp/http", call, want))
	}
	return targets, nil
}

func printSizes(found findings, concurrency []int) {
	g := newGrid("result", "callers", "target", "calls/s", "P50", "P99", "CPU per call", "calls/s against the reverse proxy", "CPU against it")
	for _, of := range results() {
		for _, callers := range concurrency {
			for _, name := range []string{directHTTP, reverse, legacyHTTP, serverHTTP} {
				at, base := sized(name, of), sized(reverse, of)
				used, usedRatio := span(found.of(at, callers, perCall)), times(found.ratio(at, base, callers, perCall))
				if name == directHTTP {
					used, usedRatio = "–", "–"
				}
				g.row(of.String(), callers, name, fmt.Sprintf("%.0f", found.of(at, callers, rate)), span(found.of(at, callers, latency(50))),
					span(found.of(at, callers, latency(99))), used, times(found.ratio(at, base, callers, rate)), usedRatio)
			}
		}
	}
	g.print()
}
