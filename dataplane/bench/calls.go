package main

import (
	"context"
	"fmt"
)

// The targets that others are compared with, or that have a goal.
const (
	directHTTP  = "direct http"
	reverse     = "reverse proxy"
	legacyHTTP  = "execute_tool, legacy agent"
	modernHTTP  = "execute_tool, modern agent"
	serverHTTP  = "/mcp/{server}, legacy agent"
	typedHTTP   = "mcp-go typed gateway"
	directStdio = "direct stdio"
	legacyStdio = "execute_tool, stdio upstream"
	listServers = "list_servers"
	serverTools = "get_server_tools, 1,000 tools"
)

// measureCalls compares calls of 64 bytes by every way there is.
func measureCalls(ctx context.Context, o options) error {
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.stop()
	stdio, err := startStdioUpstream(l.self, "-role", "echo-stdio")
	if err != nil {
		return err
	}
	defer stdio.close()
	targets, err := l.callTargets(ctx, stdio)
	if err != nil {
		return err
	}
	concurrency := []int{1, 16, 64}
	found, err := interleave(ctx, o, targets, concurrency)
	if err != nil {
		return err
	}
	printCalls(found, targets, concurrency)
	printRatios(found, concurrency)
	printGoals(found)
	printBudgets(found)
	return nil
}

// callTargets starts what is compared.
func (l *lab) callTargets(ctx context.Context, stdio *stdioUpstream) ([]target, error) {
	upstream, err := l.echo(ctx, 1)
	if err != nil {
		return nil, err
	}
	many, err := l.echo(ctx, 1000)
	if err != nil {
		return nil, err
	}
	proxy, err := l.role(ctx, "reverse", "-to", "http://"+upstream.addr)
	if err != nil {
		return nil, err
	}
	const key = "gwk_typed"
	typed, err := l.role(ctx, "typed", "-to", "http://"+upstream.addr+"/mcp", "-key", key)
	if err != nil {
		return nil, err
	}
	p, err := l.plane(ctx, httpServer("http", upstream.addr), httpServer("many", many.addr), l.stdioServer("stdio"))
	if err != nil {
		return nil, err
	}
	typedEnd := endpoint{addr: typed.addr, path: "/mcp", key: key, legacy: true}
	call := executeTool("http", message())
	return []target{
		plain(directHTTP, process{addr: upstream.addr}, toolsCall("echo", message()), payload),
		plain(reverse, proxy, toolsCall("echo", message()), payload),
		p.legacy(legacyHTTP, "/mcp", call, payload),
		p.modern(modernHTTP, "/mcp", "execute_tool", call, payload),
		p.legacy(serverHTTP, "/mcp/http", toolsCall("echo", message()), payload),
		{typedHTTP, typed.pid, func() (caller, error) { return typedEnd.open(payload, call) }},
		stdio.target(directStdio),
		p.legacy(legacyStdio, "/mcp", executeTool("stdio", message()), payload),
		p.legacy(listServers, "/mcp", toolsCall("list_servers", "{}"), `"many\"`),
		p.legacy(serverTools, "/mcp", toolsCall("get_server_tools", `{"server":"many"}`), "tool_999"),
		p.legacy("get_server_tools, 10 of 1,000", "/mcp", toolsCall("get_server_tools", `{"server":"many","pattern":"tool_99?"}`), "tool_999"),
	}, nil
}

// plain is a target that is called as it stands: the upstream itself, or what knows nothing of MCP.
func plain(name string, p process, body, want string) target {
	e := endpoint{addr: p.addr, path: "/mcp"}
	return target{name, p.pid, func() (caller, error) { return e.open(want, body) }}
}

// baseline is what a target's overhead is counted against.
func baseline(name string) string {
	switch name {
	case reverse, legacyHTTP, modernHTTP, serverHTTP, typedHTTP:
		return directHTTP
	case legacyStdio:
		return directStdio
	}
	return ""
}

func printCalls(found findings, targets []target, concurrency []int) {
	g := newGrid("target", "callers", "calls/s", "P50", "P95", "P99", "added P50", "added P95", "added P99", "CPU per call")
	for _, t := range targets {
		for _, n := range concurrency {
			row := []any{t.name, n, fmt.Sprintf("%.0f", found.of(t.name, n, rate))}
			for _, p := range []float64{50, 95, 99} {
				row = append(row, span(found.of(t.name, n, latency(p))))
			}
			for _, p := range []float64{50, 95, 99} {
				row = append(row, found.added(t.name, n, latency(p)))
			}
			used := "–"
			if t.pid != 0 {
				used = span(found.of(t.name, n, perCall))
			}
			g.row(append(row, used)...)
		}
	}
	g.print()
	fmt.Print("\"added\" is against the direct call at the same number of callers, CPU that of the process under test alone.\n\n")
}

// added is how much more a target takes than its baseline.
func (f findings) added(name string, callers int, read reading) string {
	base := baseline(name)
	if base == "" {
		return "–"
	}
	return span(f.of(name, callers, read) - f.of(base, callers, read))
}

func printRatios(found findings, concurrency []int) {
	g := newGrid("against `httputil.ReverseProxy`, round by round", "callers", "calls/s", "P50", "P99", "CPU per call")
	for _, name := range []string{legacyHTTP, modernHTTP, serverHTTP, typedHTTP} {
		for _, n := range concurrency {
			row := []any{name, n}
			for _, read := range []reading{rate, latency(50), latency(99), perCall} {
				row = append(row, times(found.ratio(name, reverse, n, read)))
			}
			g.row(row...)
		}
	}
	g.print()
}

// goal is what a ratio should be.
type goal struct {
	what    string
	name    string
	to      string
	callers int
	read    reading
	wanted  float64
	atMost  bool // else at least
}

func printGoals(found findings) {
	printGoalsOf(found, []goal{
		{"execute_tool against `httputil.ReverseProxy`, calls/s at 64 callers", legacyHTTP, reverse, 64, rate, 1.1, false},
		{"the same, P50 at one caller", legacyHTTP, reverse, 1, latency(50), 1, true},
		{"the same, P99 at 64 callers", legacyHTTP, reverse, 64, latency(99), 1, true},
		{"the same, CPU per call at 64 callers", legacyHTTP, reverse, 64, perCall, 0.9, true},
		{"execute_tool against the mcp-go typed gateway, calls/s at 64 callers", legacyHTTP, typedHTTP, 64, rate, 2, false},
		{"modern agent against legacy agent, calls/s at 64 callers", modernHTTP, legacyHTTP, 64, rate, 0.9, false},
	})
}

func printGoalsOf(found findings, goals []goal) {
	g := newGrid("goal", "wanted", "measured", "met")
	for _, w := range goals {
		got := found.ratio(w.name, w.to, w.callers, w.read)
		sign, ok := "≥", got >= w.wanted
		if w.atMost {
			sign, ok = "≤", got <= w.wanted
		}
		g.row(w.what, sign+" "+times(w.wanted), times(got), verdict(ok))
	}
	g.print()
}

// printBudgets holds latencies against the targets of the gateway that the idea comes from, all of them for P95.
func printBudgets(found findings) {
	g := newGrid("P95 against the targets of the gateway that the idea comes from", "its target", "1 caller", "16 callers", "64 callers")
	at := func(name, base string, callers int) string {
		took := found.of(name, callers, latency(95))
		if base != "" {
			took -= found.of(base, callers, latency(95))
		}
		return span(took)
	}
	for _, row := range [][4]string{
		{"list servers", "50 ms", listServers, ""},
		{"tools of a server (1,000 tools)", "300 ms", serverTools, ""},
		{"overhead of an execution, HTTP upstream", "30 ms", legacyHTTP, directHTTP},
		{"overhead of an execution, stdio upstream", "30 ms", legacyStdio, directStdio},
	} {
		g.row(row[0], row[1], at(row[2], row[3], 1), at(row[2], row[3], 16), at(row[2], row[3], 64))
	}
	g.print()
}
