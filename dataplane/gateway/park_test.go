package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestParkedCallIsOverOnceAnswered(t *testing.T) {
	w, journal := tiered(t, questionsFor(parks), nil)
	d := modern("ask", `{}`, everything)
	r := w.round(d).mustAsk(t, 1)
	again := retry(d, r, map[string]string{"r1": accept("x")})
	w.round(again).mustHear(t, `[`+accept("x")+`]`)
	if got := w.direct(again); !strings.Contains(got, `"code":-32602`) || !strings.Contains(got, `"code":"TIMEOUT"`) {
		t.Errorf("the same answer again = %s, want -32602 and TIMEOUT", got)
	}
	// An answer to the first round when the second is asked is no answer to the second.
	d = modern("twice", `{}`, everything)
	r = w.round(d).mustAsk(t, 1)
	second := w.round(retry(d, r, map[string]string{"r1": accept("x")})).mustAsk(t, 1)
	if got := w.direct(retry(d, r, map[string]string{"r2": accept("x")})); !strings.Contains(got, "is over") {
		t.Errorf("the state of an earlier round = %s, want it refused", got)
	}
	w.round(retry(d, second, map[string]string{"r2": accept("y")})).mustHear(t, `[`+accept("x")+`,`+accept("y")+`]`)
	if n := happened(t, journal, "call "); n != 2 {
		t.Errorf("tools ran %d times, want 2", n)
	}
}

func TestParkedCallWaitsForAWhileOnly(t *testing.T) {
	q := questionsFor(parks)
	q.ParkTimeout = "50ms"
	w, journal := tiered(t, q, nil)
	d := modern("ask", `{}`, everything)
	r := w.round(d).mustAsk(t, 1)
	later(t, "the server is told that the user walked away", func() bool { return happened(t, journal, `answer {"action":"cancel"}`) == 1 })
	if got := w.direct(retry(d, r, map[string]string{"r1": accept("x")})); !strings.Contains(got, `"code":"TIMEOUT"`) || !strings.Contains(got, "it was not made again") {
		t.Errorf("a late answer = %s, want -32602 and TIMEOUT", got)
	}
	if n := happened(t, journal, "call ask"); n != 1 {
		t.Errorf("the tool ran %d times, want 1", n)
	}
	w.direct(modern("endless", `{}`, everything)) // one that does not take the hint is cancelled
	later(t, "the server is stopped", func() bool { return happened(t, journal, "the end") == 1 })
}

func TestParkedCallsAreBounded(t *testing.T) {
	for _, limit := range []func(*gateway.Config){
		func(c *gateway.Config) { c.MaxParked = 2 },
		func(c *gateway.Config) { c.MaxParkedCalls = 2 },
	} {
		w, _ := tiered(t, questionsFor(parks), limit)
		d := modern("ask", `{}`, everything)
		first := w.round(d).mustAsk(t, 1)
		w.round(d).mustAsk(t, 1)
		if got := w.direct(d); !strings.Contains(got, `"isError":true`) || !strings.Contains(got, "RATE_LIMITED") {
			t.Errorf("one more parked call = %s, want RATE_LIMITED", got)
		}
		w.round(retry(d, first, map[string]string{"r1": accept("x")})).mustHear(t, `[`+accept("x")+`]`)
		w.round(d).mustAsk(t, 1) // there is room again
	}
	w, _ := tiered(t, questionsFor(parks), nil)
	d := modern("endless", `{}`, everything)
	r := w.round(d)
	for n := 1; r.ResultType == "input_required"; n++ {
		if n > 10 {
			t.Fatalf("round %d = %s, want an end", n, r.raw)
		}
		r = w.round(retry(d, r, map[string]string{fmt.Sprint("r", n): accept("x")}))
	}
	if !strings.Contains(r.raw, "asked more than 10 times") {
		t.Errorf("an endless call ended with %s", r.raw)
	}
}

func TestAgentThatLeavesEndsItsCall(t *testing.T) {
	w, journal := tiered(t, questionsFor(parks), nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		reply, err := w.Direct(ctx, modern("endless", `{}`, everything))
		if err == nil { // the question was quicker
			reply.Close()
		}
		done <- err
	}()
	later(t, "the tool runs", func() bool { return happened(t, journal, "call endless") == 1 })
	cancel()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Direct = %v, want context canceled", err)
	}
}

func TestParkedCallKeepsItsTable(t *testing.T) {
	w, journal := tiered(t, questionsFor(parks), nil)
	d := modern("ask", `{}`, everything)
	r := w.round(d).mustAsk(t, 1)
	prev := w.live.Load()
	w.apply(4, serverObject(prev.Server("s").Spec), policy("a", []string{"*"}, nil, nil))
	select {
	case <-prev.Drained():
		t.Error("the table was drained while a call of it was parked")
	default:
	}
	w.round(retry(d, r, map[string]string{"r1": accept("x")})).mustHear(t, `[`+accept("x")+`]`)
	<-prev.Drained()
	r = w.round(d).mustAsk(t, 1)
	w.apply(5, serverObject(prev.Server("s").Spec), policy("a", nil, nil, nil))
	if got := w.direct(retry(d, r, map[string]string{"r1": accept("x")})); !strings.Contains(got, "DENIED_BY_POLICY") {
		t.Errorf("an answer that policy no longer allows = %s, want DENIED_BY_POLICY", got)
	}
	w.Close()
	if n := happened(t, journal, `"accept"`); n != 1 {
		t.Errorf("the server got %d answers of agents, want 1", n)
	}
	if got := w.direct(d); !strings.Contains(got, "DENIED_BY_POLICY") {
		t.Errorf("a call after Close = %s", got)
	}
}

func serverObject(s *gatehousev1.Server) *gatehousev1.Object {
	return &gatehousev1.Object{Name: "s", Spec: &gatehousev1.Object_Server{Server: s}}
}

func TestParkedCallOfAnotherProxyIsThere(t *testing.T) {
	w, _ := tiered(t, questionsFor(parks), func(c *gateway.Config) { c.Address = "10.0.0.1:8080" })
	d := modern("ask", `{}`, everything)
	r := w.round(d).mustAsk(t, 1)
	other := gateway.New(gateway.Config{
		Live: w.live, Auth: w.auth, Records: w.journal, Address: "10.0.0.2:8080",
		Upstream: func(*table.Server) gateway.Upstream { return new(memory) },
	})
	t.Cleanup(other.Close)
	again := retry(d, r, map[string]string{"r1": accept("x")})
	before := len(w.journal.entries)
	_, err := other.Direct(t.Context(), again)
	if e, ok := errors.AsType[*gateway.ElsewhereError](err); !ok || e.Address != "10.0.0.1:8080" {
		t.Fatalf("Direct = %v, want it elsewhere", err)
	}
	if len(w.journal.entries) != before {
		t.Error("the proxy that passes a call on kept a record of it")
	}
	again.Lost = true
	reply, err := other.Direct(t.Context(), again)
	if err != nil || reply.Error == nil || !strings.Contains(string(reply.Error.Data), "TIMEOUT") {
		t.Errorf("Direct = %v, %v, want TIMEOUT where the other proxy is lost", reply, err)
	}
	reply.Close()
	again.Lost = false
	w.round(again).mustHear(t, `[`+accept("x")+`]`)
}

// TestQuestionsOfManyAgentsDoNotMix parks the calls of many agents on one stdio server at the same time.
func TestQuestionsOfManyAgentsDoNotMix(t *testing.T) {
	const agents = 20
	w, journal := tiered(t, questionsFor(parks), nil)
	objects := []*gatehousev1.Object{serverObject(w.live.Load().Server("s").Spec)}
	for n := range agents {
		objects = append(objects, policy(fmt.Sprint("agent-", n), []string{"*"}, nil, nil))
	}
	w.apply(4, objects...)
	var (
		calls  sync.WaitGroup
		parked sync.WaitGroup
	)
	parked.Add(agents)
	for n := range agents {
		calls.Go(func() {
			me := fmt.Sprint("agent-", n)
			d := modern("ask", fmt.Sprintf(`{"of":%q}`, me), everything)
			d.Agent = me
			r := w.round(d)
			parked.Done()
			parked.Wait() // until all are parked
			if got := string(r.InputRequests["r1"]); !strings.Contains(got, `"who? `+me+`"`) {
				t.Errorf("%s was asked %s", me, r.raw)
			}
			r = w.round(retry(d, r, map[string]string{"r1": accept(me)}))
			if string(r.Heard) != `[`+accept(me)+`]` {
				t.Errorf("%s heard %s", me, r.raw)
			}
		})
	}
	calls.Wait()
	if n := happened(t, journal, "call ask"); n != agents {
		t.Errorf("the tool ran %d times, want %d", n, agents)
	}
}
