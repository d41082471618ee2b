package system_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// garbageRounds is how often each crime is committed, and garbageCallers how many are under way at the same time.
	garbageRounds  = 2
	garbageCallers = 6
	// garbageRoom is how much memory, in KiB, the proxy may take for all of it: it is built with the race detector, which
	// takes several times what is used.
	garbageRoom = 512 << 10
)

// TestGarbageOfServersStaysTheirs: servers over HTTP and child processes answer with everything that they should not. Each
// call ends with its code and words that help, the proxy's memory stays bounded, its goroutines and descriptors come back,
// and all calls of another server beside it succeed.
func TestGarbageOfServersStaysTheirs(t *testing.T) {
	c := startControlPlane(t)
	c.waitReady(t)
	elsewhere, came := strangers(t)
	g := &garbage{t: t, crimes: map[[2]string]crime{}}
	g.servers(webCrimes(elsewhere))
	g.proxy = startProxy(t, c, "p0", "--limit", "message=4MiB,notifications=2000,answer-headers=64KiB,connect-timeout=3s,tools=1000,redirects=2")
	g.proxy.waitReady(t)
	mustGwctl(t, c, nil, "apply", "-f", manifest(t, g.manifests.String()), "--wait", "--timeout", "60s")

	g.commitAll() // what is opened once is open before we count
	quiet := g.beside(func() { eventually(t, "there were quiet calls", func() bool { return g.good.Load() > 500 }) })
	goroutines, files, memory := g.proxy.goroutines(t), g.proxy.files(t), g.proxy.memory(t)
	during := g.beside(func() {
		for range garbageRounds {
			g.commitAll()
		}
	})
	t.Logf("%d crimes, %d rounds; P99 of %d calls beside them %v, of %d quiet ones %v; memory %d → at most %d KiB",
		len(g.crimes), garbageRounds, len(during), p99(during), len(quiet), p99(quiet), memory, g.proxy.peak(t))
	if n := came.Load(); n > 0 {
		t.Errorf("%d requests went to another origin", n)
	}
	if peak := g.proxy.peak(t); peak > memory+garbageRoom {
		t.Errorf("memory grew from %d to %d KiB", memory, peak)
	}
	eventually(t, "goroutines and descriptors are back where they were", func() bool {
		return g.proxy.goroutines(t) <= goroutines+10 && g.proxy.files(t) <= files+10
	})
}

// garbage are servers that commit crimes, and a good one.
type garbage struct {
	t         *testing.T
	proxy     *proxy
	manifests strings.Builder
	crimes    map[[2]string]crime // :: server and tool →
	good      atomic.Int64        // calls of the good server
}

// servers defines all servers.
func (g *garbage) servers(web map[string]crime) {
	g.web("web", evilServer(g.t, web, nil).URL)
	for name, c := range web {
		g.crimes[[2]string{"web", name}] = c
	}
	for name, s := range map[string]struct {
		n int
		crime
		schema string
	}{
		"million": {n: 1_000_000, crime: crime{code: "UPSTREAM_ERROR", words: "too big"}, schema: `{"type":"object"}`},
		"many":    {n: 5000, crime: crime{code: "UPSTREAM_ERROR", words: "more than 1000 tools"}, schema: `{"type":"object"}`},
		"cyclic":  {n: 10, crime: crime{words: "well"}, schema: `{"type":"object","$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`},
	} {
		g.web(name, evilServer(g.t, nil, lists(s.n, s.schema)).URL)
		g.crimes[[2]string{name, "t"}] = s.crime
	}
	g.web("circle", evilServer(g.t, nil, pages).URL)
	g.crimes[[2]string{"circle", "t"}] = crime{code: "UPSTREAM_ERROR", words: "without end"}
	for name, c := range pipeCrimes() {
		g.manifests.WriteString(pipeServer(g.t, name))
		g.crimes[[2]string{"pipe-" + name, "t"}] = c
	}
	g.manifests.WriteString(demo("good") + policy("a", `{allow: {servers: ["*"]}}`))
}

// web defines a server over HTTP.
func (g *garbage) web(name, url string) {
	fmt.Fprintf(&g.manifests, "apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: %s}\nspec:\n  http: {url: %q, transport: streamable-http}\n---\n", name, url)
}

// commitAll has each crime committed once, some at the same time.
func (g *garbage) commitAll() {
	var calls sync.WaitGroup
	slots := make(chan struct{}, garbageCallers)
	for who, c := range g.crimes {
		slots <- struct{}{}
		calls.Go(func() {
			defer func() { <-slots }()
			a := g.proxy.tool("execute_tool", map[string]any{
				"agent_id": "a", "server": who[0], "tool": who[1], "timeout_ms": 6000*boolInt(c.code != "TIMEOUT") + 500,
				"args": map[string]any{"filler": strings.Repeat("f", 100_000)},
			})
			if a.err != nil || a.code != c.code || !strings.Contains(a.text, c.words) {
				g.t.Errorf("%v: call ended with %q %.300s (%v), want %q and %q", who, a.code, a.text, a.err, c.code, c.words)
			}
		})
	}
	calls.Wait()
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// beside calls the good server while something else goes on, and returns how long each call took. None may fail.
func (g *garbage) beside(something func()) (took []time.Duration) {
	var over atomic.Bool
	var callers sync.WaitGroup
	times := make([][]time.Duration, 2)
	for i := range times {
		callers.Go(func() {
			for n := 0; !over.Load(); n++ {
				began, want := time.Now(), fmt.Sprintf("%d-%d", i, n)
				a := g.proxy.execute("a", "good", "echo", map[string]any{"message": want})
				if a.err != nil || a.code != "" || a.text != want {
					g.t.Errorf("call beside the garbage = %+v, want %s", a, want)
					return
				}
				g.good.Add(1)
				times[i] = append(times[i], time.Since(began))
			}
		})
	}
	something()
	over.Store(true)
	callers.Wait()
	return slices.Concat(times...)
}

// p99 is the time that one in a hundred exceeds.
func p99(took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// memory is the resident memory of the process in KiB, peak the most that it ever was.
func (p *proxy) memory(t *testing.T) int { return p.fromStatus(t, "VmRSS:") }

func (p *proxy) peak(t *testing.T) int { return p.fromStatus(t, "VmHWM:") }

func (p *proxy) fromStatus(t *testing.T, field string) (kib int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skip("needs /proc")
	}
	_, rest, _ := strings.Cut(string(text), field)
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}
