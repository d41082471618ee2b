package upstream_test

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

func TestResultsPassThroughByteForByte(t *testing.T) {
	for _, kind := range []string{"legacy", "modern"} {
		u := one(t, upstream.Config{}, child(kind))
		for name, want := range odd {
			if got := mustCall(t, u, tool(name)); got != want {
				t.Errorf("%s: Call(%s) = %s, want %s", kind, name, got, want)
			}
		}
	}
}
