package main

import (
	"context"
	"fmt"
	"sync"
)

// level is a gateway that holds so many of something, called in such a way that all of them take part.
type level struct {
	kind  string
	count int
	target
}

// measureGrowth has gateways of different sizes take turns: what one call of execute_tool costs on each.
func measureGrowth(ctx context.Context, o options) error {
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.stop()
	var levels []level
	for _, add := range []func(context.Context) ([]level, error){l.toolLevels, l.serverLevels, l.sessionLevels} {
		more, err := add(ctx)
		if err != nil {
			return err
		}
		levels = append(levels, more...)
	}
	var targets []target
	for _, one := range levels {
		targets = append(targets, one.target)
	}
	found, err := interleave(ctx, o, targets, []int{1, 16})
	if err != nil {
		return err
	}
	printGrowth(found, levels)
	return nil
}

// toolLevels are gateways with one server that has many tools; the one that is called is the last.
func (l *lab) toolLevels(ctx context.Context) (levels []level, err error) {
	for _, n := range []int{10, 100, 1000, 10000} {
		upstream, err := l.echo(ctx, n)
		if err != nil {
			return nil, err
		}
		p, err := l.plane(ctx, httpServer("http", upstream.addr))
		if err != nil {
			return nil, err
		}
		t := p.legacy(fmt.Sprint("tools ", n), "/mcp", executeTool("http", message()), payload)
		levels = append(levels, level{"tools of the server", n, t})
	}
	return levels, nil
}

// serverLevels are gateways with many servers, which are called in turn; all are the same upstream.
func (l *lab) serverLevels(ctx context.Context) (levels []level, err error) {
	upstream, err := l.echo(ctx, 1)
	if err != nil {
		return nil, err
	}
	for _, n := range []int{1, 10, 100} {
		manifests, calls := make([]string, n), make([]string, n)
		for i := range n {
			name := fmt.Sprint("server-", i)
			manifests[i], calls[i] = httpServer(name, upstream.addr), executeTool(name, message())
		}
		p, err := l.plane(ctx, manifests...)
		if err != nil {
			return nil, err
		}
		e := endpoint{addr: p.gateway.addr, path: "/mcp", key: p.key, legacy: true}
		open := func() (caller, error) { return e.open(payload, calls...) }
		levels = append(levels, level{"servers", n, target{fmt.Sprint("servers ", n), p.gateway.pid, open}})
	}
	return levels, nil
}

// sessionLevels are gateways with many sessions, in which calls are made in turn.
func (l *lab) sessionLevels(ctx context.Context) (levels []level, err error) {
	upstream, err := l.echo(ctx, 1)
	if err != nil {
		return nil, err
	}
	for _, n := range []int{1, 100, 10000} {
		p, err := l.plane(ctx, httpServer("http", upstream.addr))
		if err != nil {
			return nil, err
		}
		requests, err := p.sessions(n, executeTool("http", message()))
		if err != nil {
			return nil, err
		}
		t := target{name: fmt.Sprint("sessions ", n), pid: p.gateway.pid, open: rotating(p.gateway.addr, requests)}
		levels = append(levels, level{"open sessions", n, t})
	}
	return levels, nil
}

// sessions opens n sessions and returns the same request in each.
func (p *plane) sessions(n int, body string) ([][]byte, error) {
	e := endpoint{addr: p.gateway.addr, path: "/mcp", key: p.key}
	c, err := e.connect()
	if err != nil {
		return nil, err
	}
	defer c.close()
	requests := make([][]byte, n)
	for i := range requests {
		in := e
		if in.headers, err = c.session(e); err != nil {
			return nil, fmt.Errorf("opening session %d: %w", i, err)
		}
		requests[i] = in.post(body)
	}
	return requests, nil
}

// rotating opens callers that share the requests, each beginning somewhere else.
func rotating(addr string, requests [][]byte) func() (caller, error) {
	var mu sync.Mutex // guards at
	at := 0
	return func() (caller, error) {
		c, err := endpoint{addr: addr}.connect()
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		at += 617 // far from the one before
		c.requests, c.next, c.want = requests, at%len(requests), []byte(payload)
		return c, nil
	}
}

func printGrowth(found findings, levels []level) {
	g := newGrid("", "number", "P50, 1 caller", "calls/s, 16 callers", "CPU per call, 16 callers", "P50 to the first", "calls/s to the first", "CPU to the first")
	first := ""
	for i, one := range levels {
		if i == 0 || levels[i-1].kind != one.kind {
			first = one.name
		}
		g.row(one.kind, one.count, span(found.of(one.name, 1, latency(50))), fmt.Sprintf("%.0f", found.of(one.name, 16, rate)),
			span(found.of(one.name, 16, perCall)), times(found.ratio(one.name, first, 1, latency(50))),
			times(found.ratio(one.name, first, 16, rate)), times(found.ratio(one.name, first, 16, perCall)))
	}
	g.print()
	fmt.Print("Each row is a gateway of its own; they take turns. Calls go to the last tool, to all servers in turn, in all sessions in turn.\n\n")
}
