package record

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// other is the label of servers and agents that the configuration does not name, so that callers cannot make labels.
const other = "other"

// Metrics are the proxy's numbers about calls. Latencies are histograms per operation, per server and per agent, each with
// one label only: their product would have more series than a large configuration can afford.
type Metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	servers  *prometheus.HistogramVec
	agents   *prometheus.HistogramVec

	mu    sync.Mutex // guards below
	named Observers  // those of the newest configuration
}

// Observers are the metrics of one configuration, looked up once, so that a call does not look up labels. They MUST NOT
// be changed after Metrics.For.
type Observers struct {
	operations map[string]operation
	servers    map[string]prometheus.Observer
	agents     map[string]prometheus.Observer
	otherOp    operation
}

// operation is one of the gateway's tools: its latencies, and a counter for each outcome, made before the first call so
// that rates begin at zero.
type operation struct {
	duration prometheus.Observer
	outcomes map[Outcome]prometheus.Counter
}

// buckets span 50 microseconds (a list from memory) to 100 seconds (a tool that thinks), about 2.5 to a decade.
func buckets() []float64 {
	return []float64{
		0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 100,
	}
}

// NewMetrics registers the metrics. Operations are the names that calls may have; any other counts as "other".
func NewMetrics(reg prometheus.Registerer, operations []string) *Metrics {
	histogram := func(name, help string, label string) *prometheus.HistogramVec {
		opts := prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets()}
		return prometheus.NewHistogramVec(opts, []string{label})
	}
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_calls_total", Help: "Calls of agents, by the gateway's operation and by outcome.",
		}, []string{"operation", "outcome"}),
		duration: histogram("gatehouse_call_duration_seconds", "Time from a call's arrival to its result, by operation.", "operation"),
		servers:  histogram("gatehouse_server_call_duration_seconds", "Time of calls that went to an upstream, by server.", "server"),
		agents:   histogram("gatehouse_agent_call_duration_seconds", "Time of calls, by the agent they were decided on.", "agent"),
	}
	reg.MustRegister(m.calls, m.duration, m.servers, m.agents)
	m.named.operations = make(map[string]operation, len(operations))
	for _, name := range operations {
		m.named.operations[name] = m.operation(name)
	}
	m.named.otherOp = m.operation(other)
	return m
}

// operation makes the series of one operation.
func (m *Metrics) operation(name string) operation {
	o := operation{duration: m.duration.WithLabelValues(name), outcomes: make(map[Outcome]prometheus.Counter)}
	for _, outcome := range Outcomes() {
		o.outcomes[outcome] = m.calls.WithLabelValues(name, string(outcome))
	}
	return o
}

// For returns the observers of a configuration with these servers and agents, and drops the series of those that it no
// longer names.
func (m *Metrics) For(servers, agents []string) *Observers {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.named.servers = renew(m.servers, m.named.servers, servers)
	m.named.agents = renew(m.agents, m.named.agents, agents)
	next := m.named // a copy: its maps are never changed
	return &next
}

// renew makes a new map and leaves the old one as it is, for calls that still use it.
func renew(vec *prometheus.HistogramVec, old map[string]prometheus.Observer, names []string) map[string]prometheus.Observer {
	next := make(map[string]prometheus.Observer, len(names)+1)
	for _, name := range append([]string{other}, names...) {
		if o, ok := old[name]; ok { // the histogram goes on
			next[name] = o
		} else {
			next[name] = vec.WithLabelValues(name)
		}
	}
	for name := range old {
		if _, ok := next[name]; !ok {
			vec.DeleteLabelValues(name)
		}
	}
	return next
}

// Observe counts one call. It takes no lock of its own and allocates nothing. On nil observers it does nothing.
func (o *Observers) Observe(e *Entry) {
	if o == nil {
		return
	}
	seconds := e.Took.Seconds()
	op, ok := o.operations[e.Method]
	if !ok {
		op = o.otherOp
	}
	op.duration.Observe(seconds)
	if counter, ok := op.outcomes[e.Outcome]; ok { // one that Outcomes does not list is a defect, but makes no series
		counter.Inc()
	}
	if e.Agent != "" {
		named(o.agents, e.Agent).Observe(seconds)
	}
	if e.Server != "" && e.Allow { // a denied call says nothing of a server's latency
		named(o.servers, e.Server).Observe(seconds)
	}
}

// named finds a name's observer, or that of all other names.
func named(observers map[string]prometheus.Observer, name string) prometheus.Observer {
	if o, ok := observers[name]; ok {
		return o
	}
	return observers[other]
}
