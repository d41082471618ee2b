package record_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
)

// series returns the value of each series, histograms by their count, keyed like name{label="value"}.
func series(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatalf("Gather: %v", err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			all[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = value
		}
	}
	return all
}

func expect(t *testing.T, got map[string]float64, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s = %v (there: %v), want %v", name, v, ok, value)
		}
	}
}

func TestObserveCountsByOperationServerAndAgent(t *testing.T) {
	reg := prometheus.NewRegistry()
	o := record.NewMetrics(reg, []string{"execute_tool"}).For([]string{"everything"}, []string{"researcher"})
	o.Observe(entry())
	denied := entry()
	denied.Allow, denied.Outcome, denied.Server = false, record.Outcome(mcp.DeniedByPolicy), "secret-server"
	o.Observe(denied)
	expect(t, series(t, reg), map[string]float64{
		"gatehouse_calls_total{operation=execute_tool,outcome=OK}":               1,
		"gatehouse_calls_total{operation=execute_tool,outcome=DENIED_BY_POLICY}": 1,
		"gatehouse_calls_total{operation=execute_tool,outcome=TIMEOUT}":          0,
		"gatehouse_call_duration_seconds{operation=execute_tool}":                2,
		"gatehouse_server_call_duration_seconds{server=everything}":              1,
		"gatehouse_server_call_duration_seconds{server=other}":                   0,
		"gatehouse_agent_call_duration_seconds{agent=researcher}":                2,
	})
}

func TestObserveMakesNoLabelOfWhatACallerWrites(t *testing.T) {
	reg := prometheus.NewRegistry()
	o := record.NewMetrics(reg, []string{"execute_tool"}).For([]string{"everything"}, []string{"researcher"})
	before := len(series(t, reg))
	for _, name := range []string{"a", "b", "c"} {
		e := entry()
		e.Method, e.Server, e.Agent, e.Outcome = name, name, name, record.Outcome(name)
		o.Observe(e)
	}
	after := series(t, reg)
	if len(after) != before {
		t.Errorf("%d series, want %d as before", len(after), before)
	}
	expect(t, after, map[string]float64{
		"gatehouse_server_call_duration_seconds{server=other}": 3, "gatehouse_agent_call_duration_seconds{agent=other}": 3,
		"gatehouse_call_duration_seconds{operation=other}": 3,
	})
}

func TestForDropsTheSeriesOfWhatIsGone(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := record.NewMetrics(reg, []string{"execute_tool"})
	old := m.For([]string{"everything", "memory"}, []string{"researcher"})
	old.Observe(entry())
	next := m.For([]string{"everything"}, nil)
	next.Observe(entry())
	old.Observe(entry()) // a call that was under way
	got := series(t, reg)
	expect(t, got, map[string]float64{
		"gatehouse_server_call_duration_seconds{server=everything}": 3,
		"gatehouse_agent_call_duration_seconds{agent=other}":        1,
	})
	for _, gone := range []string{
		"gatehouse_server_call_duration_seconds{server=memory}", "gatehouse_agent_call_duration_seconds{agent=researcher}",
	} {
		if _, ok := got[gone]; ok {
			t.Errorf("%s is still there", gone)
		}
	}
}

func TestObserveOnNothingDoesNothing(*testing.T) {
	var o *record.Observers
	o.Observe(entry())
}

func TestObserveAllocatesNothing(t *testing.T) {
	o := record.NewMetrics(prometheus.NewRegistry(), []string{"execute_tool"}).For([]string{"everything"}, []string{"researcher"})
	e := entry()
	if n := testing.AllocsPerRun(100, func() { o.Observe(e) }); n != 0 {
		t.Errorf("Observe allocates %v times, want 0", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	o := record.NewMetrics(prometheus.NewRegistry(), []string{"execute_tool"}).For([]string{"everything"}, []string{"researcher"})
	e := entry()
	e.Took = 3 * time.Millisecond
	b.ReportAllocs()
	for b.Loop() {
		o.Observe(e)
	}
}
