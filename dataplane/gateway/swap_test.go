package gateway_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// TestEveryDecisionIsTheOneOfItsRevision swaps between two policies while agents call: odd revisions allow echo, even ones
// deny it. What a call was answered, and what its record says, must be what its revision says.
func TestEveryDecisionIsTheOneOfItsRevision(t *testing.T) {
	reg := prometheus.NewRegistry()
	w := build(t, gateway.Config{Metrics: record.NewMetrics(reg, gateway.Operations())},
		server("everything"), policy("researcher", []string{"everything"}, nil, nil))
	w.servers["everything"] = &memory{tools: catalogue(t, tool("echo"))}
	deny := policy("researcher", []string{"everything"}, nil, map[string][]string{"everything": {"echo"}})
	allow := policy("researcher", []string{"everything"}, nil, nil)

	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					w.callEcho(t)
				}
			}
		})
	}
	for revision := int64(2); revision <= 60; revision++ {
		next := allow
		if revision%2 == 0 {
			next = deny
		}
		prev := w.apply(revision, server("everything"), next)
		<-prev.Drained() // the last call on it has ended
	}
	close(stop)
	callers.Wait()
	for _, e := range w.journal.entries {
		if want := e.Revision%2 == 1; e.Allow != want {
			t.Fatalf("revision %d decided %v, want %v", e.Revision, e.Allow, want)
		}
	}
	if got := counted(t, reg, "gatehouse_calls_total"); int(got) != len(w.journal.entries) {
		t.Errorf("%v calls counted, %d recorded", got, len(w.journal.entries))
	}
}

// callEcho calls echo; a denial must carry an even revision.
func (w *world) callEcho(t *testing.T) {
	reply, err := w.CallTool(t.Context(), &gateway.Call{Principal: everyone(), Name: gateway.ExecuteTool, Args: []byte(execute(""))})
	if err != nil {
		t.Errorf("CallTool = %v", err)
		return
	}
	defer reply.Close()
	result := string(reply.Result)
	if !strings.Contains(result, "DENIED_BY_POLICY") && result != `{"content":[]}` {
		t.Errorf("result = %s, want a denial or the server's answer", result)
	}
}

// counted sums a metric's series: counters, and how often histograms were observed.
func counted(t *testing.T, reg *prometheus.Registry, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (len(labels) == 0 || m.GetLabel()[0].GetValue() == labels[0]) {
				sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

func TestMetricsAreOfTheNewestTable(t *testing.T) {
	reg := prometheus.NewRegistry()
	w := build(t, gateway.Config{Metrics: record.NewMetrics(reg, gateway.Operations())})
	const agents = "gatehouse_agent_call_duration_seconds"
	for _, test := range []struct {
		revision int64
		agent    string
	}{{9, "first"}, {10, "second"}, {1, "third"}} { // a store made anew counts from 1
		w.apply(test.revision, policy(test.agent, nil, nil, nil))
		w.call(gateway.ListServers, `{"agent_id":"`+test.agent+`"}`)
		if got := counted(t, reg, agents, test.agent); got != 1 {
			t.Errorf("revision %d: %v calls of %s, want 1", test.revision, got, test.agent)
		}
	}
	if got := counted(t, reg, agents); got != 1 {
		t.Errorf("%v calls of all agents, want those of agents that are gone to be gone too", got)
	}
}

func TestRecordsAndMetricsMayBeLeftOut(t *testing.T) {
	w := echoing(t, `{"content":[]}`, func(*gatehousev1.Server) {})
	bare := gateway.New(gateway.Config{Live: w.live, Auth: w.auth})
	reply, err := bare.CallTool(t.Context(), &gateway.Call{Principal: everyone(), Name: gateway.ListServers})
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	if !strings.Contains(string(reply.Result), "INVALID_AGENT_ID") {
		t.Errorf("result = %s, want a refusal", reply.Result)
	}
}
