package system_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

const (
	swaps   = 200
	callers = 16
)

// TestNoCallFailsWhilePoliciesSwap: two policies alternate 200 times while 16 agents call without pause through three
// proxies. No call fails, every decision is the one of the revision on its audit record, and slow calls that began
// before a change, also one that removes their server, end normally.
func TestNoCallFailsWhilePoliciesSwap(t *testing.T) {
	c := startControlPlane(t)
	c.waitReady(t)
	proxies := startFleet(t, c, 3)
	tools := []string{"echo", "add"}
	var r applied
	mustGwctl(t, c, &r, "apply", "-f", manifest(t, demo("demo")+demo("slow")+policy("a", "{allow: {servers: [demo, slow], tools: {demo: [echo]}}}")),
		"--wait", "--timeout", "60s")
	permitted := map[int64]string{r.Revision: tools[0]} // :: revision → the demo tool that it allows
	admin := adminOf(t, c)
	apply := func(i int) {
		r, err := admin.Apply(t.Context(), &gatehousev1.ApplyRequest{Author: "swap", Put: []*gatehousev1.Object{onlyTool(tools[i%2])}})
		if err != nil {
			t.Fatal(err)
		}
		permitted[r.GetRevision()] = tools[i%2]
	}
	for _, p := range proxies { // children run before the load begins
		p.execute("a", "slow", "now", map[string]any{})
		p.execute("a", "demo", "echo", map[string]any{"message": "x"})
	}

	load := startLoad(proxies)
	slow := startSlowCalls(proxies)
	for i := 1; i <= swaps; i++ {
		apply(i)
		if i == swaps/2 {
			slow.expectNormalEnd(t)
			slow = startSlowCalls(proxies)
		}
	}
	// the last one removes the server under the slow calls
	mustGwctl(t, c, &r, "delete", "servers/slow", "--wait", "--timeout", "60s")
	permitted[r.Revision] = tools[swaps%2]
	slow.expectNormalEnd(t)
	calls := load.stop(t)
	checked := expectDecisionsOfTheirRevision(t, proxies, permitted)
	t.Logf("%d applies, %d calls, %d records of %d revisions checked", swaps, calls, checked, len(permitted))
}

// onlyTool is a policy that allows one tool of the demo server.
func onlyTool(name string) *gatehousev1.Object {
	return &gatehousev1.Object{Name: "a", Spec: &gatehousev1.Object_Policy{Policy: &gatehousev1.Policy{Allow: &gatehousev1.Access{
		Servers: []string{"demo", "slow"}, Tools: []*gatehousev1.ToolRule{{Server: "demo", Tools: []string{name}}}}}}}
}

// load is agents that call without pause.
type load struct {
	wg       sync.WaitGroup
	ended    chan struct{}
	calls    atomic.Int64
	failures chan string
}

func startLoad(proxies []*proxy) *load {
	l := &load{ended: make(chan struct{}), failures: make(chan string, callers)}
	for i := range callers {
		l.wg.Go(func() { l.call(proxies[i%len(proxies)], i) })
	}
	return l
}

func (l *load) call(p *proxy, i int) {
	for n := 0; ; n++ {
		select {
		case <-l.ended:
			return
		default:
		}
		tool, args := "echo", map[string]any{"message": fmt.Sprint(i, n)}
		if n%2 == 1 {
			tool, args = "add", map[string]any{"a": i, "b": n}
		}
		a := p.execute("a", "demo", tool, args)
		if a.err != nil || (a.code != "" && a.code != "DENIED_BY_POLICY") {
			l.failures <- fmt.Sprintf("%s on %s: %+v", tool, p.id, a)
			return
		}
		l.calls.Add(1)
	}
}

func (l *load) stop(t *testing.T) int64 {
	t.Helper()
	close(l.ended)
	l.wg.Wait()
	close(l.failures)
	for f := range l.failures {
		t.Error("failed call:", f)
	}
	if l.calls.Load() == 0 {
		t.Error("no call was made")
	}
	return l.calls.Load()
}

// slowCalls are calls of 2 s, one on each proxy.
type slowCalls struct {
	wg      sync.WaitGroup
	answers []answer
}

func startSlowCalls(proxies []*proxy) *slowCalls {
	s := &slowCalls{answers: make([]answer, len(proxies))}
	for i, p := range proxies {
		s.wg.Go(func() { s.answers[i] = p.execute("a", "slow", "slow", map[string]any{"ms": 2000}) })
	}
	return s
}

func (s *slowCalls) expectNormalEnd(t *testing.T) {
	t.Helper()
	s.wg.Wait()
	for _, a := range s.answers {
		if a.err != nil || a.code != "" {
			t.Errorf("slow call ended with %+v, want its normal result", a)
		}
	}
}

// expectDecisionsOfTheirRevision holds each audit record against the policy of the revision that it names.
func expectDecisionsOfTheirRevision(t *testing.T, proxies []*proxy, permitted map[int64]string) (checked int) {
	t.Helper()
	for _, p := range proxies {
		for _, r := range p.audit(t) {
			if r.Server != "demo" {
				continue
			}
			tool, known := permitted[r.Revision]
			want := "deny"
			if r.Tool == tool {
				want = "allow"
			}
			if !known || r.Decision != want {
				t.Errorf("%s: %+v, want %s at that revision (known: %v)", p.id, r, want, known)
			}
			checked++
		}
	}
	return checked
}
