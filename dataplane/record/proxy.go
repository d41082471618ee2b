package record

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Proxy is where the metrics of the proxy itself come from; each function is asked when metrics are read.
type Proxy struct {
	// Version is the program's.
	Version string
	// Insecure says that callers need no key.
	Insecure bool
	// Revision is what new calls see; 0 before the first snapshot.
	Revision func() int64
	// Calls is how many calls are under way on it.
	Calls func() int64
	// Connected says that the control plane is in reach.
	Connected func() bool
	// Forwards counts requests for other proxies: sent there, not sent since nobody was there, and sent without an answer.
	Forwards func() (sent, unreached, lost int64)
	// Servers is the state of each upstream.
	Servers func() []*gatehousev1.ServerStatus
}

// states are those that an upstream can be in.
func states() []string { return []string{"idle", "ready", "unavailable", "disabled"} }

// RegisterProxy registers the metrics of the proxy, of its process and of the Go runtime.
func RegisterProxy(reg prometheus.Registerer, p Proxy) {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gatehouse_build_info", Help: "1, labelled with the version.", ConstLabels: prometheus.Labels{"version": p.Version},
	})
	build.Set(1)
	reg.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build,
		gauge("gatehouse_insecure_identity", "1 where callers need no key (--auth none).",
			func() float64 { return number(p.Insecure) }),
		gauge("gatehouse_snapshot_revision", "Revision of the snapshot that new calls see; 0 before the first.",
			func() float64 { return float64(p.Revision()) }),
		gauge("gatehouse_calls_under_way", "Calls under way on the newest snapshot.",
			func() float64 { return float64(p.Calls()) }),
		gauge("gatehouse_control_plane_connected", "1 while the stream to the control plane is up.",
			func() float64 { return number(p.Connected()) }),
		forwards(p.Forwards),
		upstreams{
			servers: p.Servers,
			state: prometheus.NewDesc("gatehouse_upstream_state", "1 for the state that an upstream is in, 0 for the others.",
				[]string{"server", "state"}, nil),
		},
	)
}

// number is how a metric says yes or no.
func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// forwards collects what was forwarded.
type forwards func() (sent, unreached, lost int64)

// desc describes the counters.
func (forwards) desc() *prometheus.Desc {
	return prometheus.NewDesc("gatehouse_forwarded_total",
		"Requests of agents for another proxy: sent there, unreached and served here instead, or lost with that proxy after they were sent.",
		[]string{"outcome"}, nil)
}

// Describe is prometheus.Collector's.
func (f forwards) Describe(out chan<- *prometheus.Desc) { out <- f.desc() }

// Collect is prometheus.Collector's.
func (f forwards) Collect(out chan<- prometheus.Metric) {
	if f == nil {
		return
	}
	sent, unreached, lost := f()
	for outcome, n := range map[string]int64{"sent": sent, "unreached": unreached, "lost": lost} {
		out <- prometheus.MustNewConstMetric(f.desc(), prometheus.CounterValue, float64(n), outcome)
	}
}

// upstreams collects the states of upstreams, so that one that is gone leaves no series behind.
type upstreams struct {
	servers func() []*gatehousev1.ServerStatus
	state   *prometheus.Desc
}

// Describe is prometheus.Collector's.
func (u upstreams) Describe(out chan<- *prometheus.Desc) { out <- u.state }

// Collect is prometheus.Collector's.
func (u upstreams) Collect(out chan<- prometheus.Metric) {
	for _, s := range u.servers() {
		for _, state := range states() {
			value := number(s.GetState() == state)
			out <- prometheus.MustNewConstMetric(u.state, prometheus.GaugeValue, value, s.GetServer(), state)
		}
	}
}
