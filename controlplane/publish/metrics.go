package publish

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics count what a publisher does. None has a label.
type metrics struct {
	encodes  prometheus.Counter
	failures prometheus.Counter
	revision prometheus.Gauge
	bytes    prometheus.Gauge
}

// newMetrics makes the metrics and shows them to r, which may be nil.
func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	return &metrics{
		encodes: f.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_snapshot_encodes_total",
			Help: "Snapshots encoded. One for each revision published, however many proxies take it.",
		}),
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_publish_failures_total",
			Help: "Attempts to publish a revision that ended in an error.",
		}),
		revision: f.NewGauge(prometheus.GaugeOpts{
			Name: "gatehouse_published_revision",
			Help: "The newest revision that proxies are sent.",
		}),
		bytes: f.NewGauge(prometheus.GaugeOpts{
			Name: "gatehouse_snapshot_bytes",
			Help: "Size of the newest snapshot on the wire.",
		}),
	}
}

// published counts f.
func (m *metrics) published(f *Frame) {
	m.encodes.Inc()
	m.revision.Set(float64(f.Position.GetRevision()))
	m.bytes.Set(float64(f.Size))
}
