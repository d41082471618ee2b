//go:build !race

package dataplane_test

import "testing"

// TestAllocationsOfACallStayFew holds what one call allocates from the first byte of its body to the last of its answer,
// both connections of the gateway included. The race detector empties pools at random, so it is not counted there.
func TestAllocationsOfACallStayFew(t *testing.T) {
	h := newPath(t)
	bounds := map[string]float64{
		"execute_tool/http/legacy": 28, "execute_tool/http/modern": 22,
		"execute_tool/stdio/legacy": 24, "execute_tool/stdio/modern": 18,
		"list_servers": 10, "get_server_tools": 18, "tools_list": 4,
	}
	for _, p := range pathCalls() {
		bound, bounded := bounds[p.name]
		if !bounded {
			continue
		}
		if p.headers == nil {
			p.headers = []string{"Mcp-Session-Id", pathSession(t, h, p.path), "Mcp-Protocol-Version", "2025-11-25"}
		}
		a := newPathAgent(t.Context(), &p)
		failed := 0
		got := testing.AllocsPerRun(2000, func() {
			if !a.call(h) {
				failed++
			}
		})
		if got > bound || failed > 0 {
			t.Errorf("%s: %v allocations, want %v at most; %d calls failed", p.name, got, bound, failed)
		}
		t.Logf("%s: %v allocations, at most %v", p.name, got, bound)
	}
}
