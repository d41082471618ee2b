package follow

import (
	"math/rand/v2"
	"time"
)

// The bounds of the wait between two streams.
const (
	shortestCeiling = 200 * time.Millisecond
	longestCeiling  = 15 * time.Second
)

// jitter is a backoff whose waits lie anywhere between nothing and a ceiling that doubles. The zero value begins.
type jitter struct{ ceiling time.Duration }

// next returns how long to wait now, and doubles the ceiling for the time after.
func (j *jitter) next() time.Duration {
	j.ceiling = min(max(2*j.ceiling, shortestCeiling), longestCeiling)
	return upTo(j.ceiling)
}

// upTo returns a random duration below d, or 0.
func upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d) //nolint:gosec // spreads load, keeps no secret
}
