package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// metrics count the changes. The only label is the outcome, of which there are four.
type metrics struct {
	changes  *prometheus.CounterVec
	duration prometheus.Histogram
}

// newMetrics makes the metrics and shows them to r, which may be nil.
func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	return &metrics{
		changes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_changes_total", Help: "Applies and rollbacks, by outcome.",
		}, []string{"outcome"}),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "gatehouse_change_duration_seconds",
			Help:    "Time that an apply or a rollback took, with waiting for others.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14), // 0.5 ms to 4 s
		}),
	}
}

// changed counts one apply or rollback. Refusals are one outcome whatever their reason: the reasons are the operator's
// business, their number is the metric's.
func (m *metrics) changed(res *result, err error, took time.Duration) {
	m.duration.Observe(took.Seconds())
	if err != nil {
		m.changes.WithLabelValues("refused").Inc()
		return
	}
	m.changes.WithLabelValues(outcome(res.outcome)).Inc()
}

// outcome is the label of an outcome.
func outcome(o gatehousev1.Outcome) string {
	switch o {
	case gatehousev1.Outcome_OUTCOME_COMMITTED:
		return "committed"
	case gatehousev1.Outcome_OUTCOME_UNCHANGED:
		return "unchanged"
	}
	return "valid"
}
