package upstream_test

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// A server of the legacy era that keeps tasks tells whose they are by the session alone.
func TestServersThatKeepTasksHaveASessionForEachAgents(t *testing.T) {
	for keeps, want := range map[bool]int{false: 1, true: 3} {
		w := &web{stateful: true, tasks: keeps}
		u := one(t, upstream.Config{}, w.start(t))
		mustCall(t, u, tool("x")) // of the gateway's own tools, whose sessions are shared
		for _, session := range []string{"s1", "s2", "s1"} {
			mustCall(t, u, &mcp.Call{
				Method: "tools/call", Params: []byte(`{"name":"x"}`), Name: "x", Agent: "a", Session: session,
				Client: &mcp.Client{Version: "2025-11-25"},
			})
		}
		mustCall(t, u, tool("x"))
		mustCall(t, u, &mcp.Call{ // where there is no session there can be no task
			Method: "tools/call", Params: []byte(`{"name":"x"}`), Name: "x", Agent: "a", Client: &mcp.Client{Version: "2025-11-25"},
		})
		if got := len(w.requests("initialize")); got != want {
			t.Errorf("%d sessions at a server that keeps tasks = %v, want %d", got, keeps, want)
		}
	}
}

func TestNotificationsGoToSessionsOfTheAgentsOwn(t *testing.T) {
	w := &web{stateful: true}
	u := one(t, upstream.Config{}, w.start(t))
	for _, c := range []*mcp.Call{
		{Method: "notifications/shared", Session: "s1", Client: &mcp.Client{Version: "2025-11-25"}},
		{Method: "notifications/modern", Client: &mcp.Client{Version: mcp.ModernVersion, Capabilities: []byte(`{"roots":{}}`)}},
		{Method: "notifications/own", Session: "s1", Client: &mcp.Client{Version: "2025-11-25", Capabilities: []byte(`{"roots":{}}`)}},
		{Method: "notifications/task", Session: "s1", Own: true, Client: new(mcp.Client)},
	} {
		if err := u.Notify(soon(t), c); err != nil {
			t.Errorf("Notify(%s) = %v", c.Method, err)
		}
	}
	for method, want := range map[string]int{"notifications/shared": 0, "notifications/modern": 0, "notifications/own": 1, "notifications/task": 1} {
		if got := len(w.requests(method)); got != want {
			t.Errorf("server got %s %d times, want %d", method, got, want)
		}
	}
}
