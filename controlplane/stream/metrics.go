package stream

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// metrics count what the streams do. The only label is the state, of which there are five.
type metrics struct {
	sends       prometheus.Counter
	nacks       prometheus.Counter
	cut         prometheus.Counter
	propagation prometheus.Histogram
}

// newMetrics makes the metrics and shows them to r, which may be nil.
func newMetrics(r prometheus.Registerer, fleet *Fleet) *metrics {
	f := promauto.With(r)
	if r != nil {
		r.MustRegister(collector{fleet: fleet, desc: prometheus.NewDesc(
			"gatehouse_proxies", "Proxies that are or were connected, by state.", []string{"state"}, nil)})
	}
	return &metrics{
		sends: f.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_snapshot_sends_total", Help: "Snapshots handed to proxies' streams.",
		}),
		nacks: f.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_snapshot_nacks_total", Help: "Snapshots that proxies refused.",
		}),
		cut: f.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_stalled_streams_total", Help: "Streams ended because their proxy did not read.",
		}),
		propagation: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "gatehouse_propagation_seconds",
			Help:    "Time from a revision's publication to a proxy's ack of it.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16), // 1 ms to 33 s
		}),
	}
}

// collector counts the fleet by state whenever metrics are read.
type collector struct {
	fleet *Fleet
	desc  *prometheus.Desc
}

// Describe implements prometheus.Collector. The description does not depend on the fleet.
func (c collector) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

// Collect implements prometheus.Collector. States that no proxy is in are shown as 0, so that alerts can rely on them.
func (c collector) Collect(out chan<- prometheus.Metric) {
	count := make(map[gatehousev1.ProxyState]int)
	for _, p := range c.fleet.Proxies() {
		count[p.GetState()]++
	}
	for state, label := range map[gatehousev1.ProxyState]string{
		gatehousev1.ProxyState_PROXY_STATE_SYNCED:   "synced",
		gatehousev1.ProxyState_PROXY_STATE_PENDING:  "pending",
		gatehousev1.ProxyState_PROXY_STATE_STALE:    "stale",
		gatehousev1.ProxyState_PROXY_STATE_REJECTED: "rejected",
		gatehousev1.ProxyState_PROXY_STATE_OFFLINE:  "offline",
	} {
		out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(count[state]), label)
	}
}
