package record

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
)

// Refusals registers a counter of what limits refused, and returns what counts. The names are all that there are: a
// series for each is made at once, so that rates begin at zero, and for no other.
func Refusals(reg prometheus.Registerer, names []limit.Name) func(limit.Name) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_limit_refusals_total", Help: "What was refused or cut off for a limit, by the limit's name.",
	}, []string{"limit"})
	reg.MustRegister(vec)
	counters := make(map[limit.Name]prometheus.Counter, len(names))
	for _, name := range names {
		counters[name] = vec.WithLabelValues(string(name))
	}
	return func(name limit.Name) {
		if c, ok := counters[name]; ok {
			c.Inc()
		}
	}
}
