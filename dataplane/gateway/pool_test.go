package gateway_test

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// overPool is a gateway over a real pool, whose server is a child process.
func overPool(t testing.TB, objects ...*gatehousev1.Object) (*world, *upstream.Pool) {
	pool := newPool(t)
	w := build(t, gateway.Config{})
	c := gateway.Config{
		Live: w.live, Auth: w.auth, Records: w.journal,
		Upstream: func(s *table.Server) gateway.Upstream { return pool.Upstream(s) },
	}
	w.Gateway = gateway.New(c)
	w.apply(2, objects...)
	pool.Prepare(w.live.Load())
	return w, pool
}

func TestCallThroughARealServer(t *testing.T) {
	w, _ := overPool(t, child(t, "everything", tool("echo"), tool("exit")), policy("researcher", []string{"everything"}, nil, nil))
	if l := w.list(``); l.names(t) != "echo exit" {
		t.Errorf("tools = %s, want echo exit", l.names(t))
	}
	r := w.call(gateway.ExecuteTool, execute(`,"args":{"n":9007199254740993}`))
	if want := `{"content":[],"params":{"name":"echo","arguments":{"n":9007199254740993}}}`; r.raw != want {
		t.Errorf("result = %s, want %s", r.raw, want)
	}
	got := w.call(gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"nope"}`).refusal(t)
	if got.Code != mcp.ToolNotFound {
		t.Errorf("error = %+v, want TOOL_NOT_FOUND", got)
	}
}

func TestServerThatDiesInACallIsUnavailableAndComesBack(t *testing.T) {
	w, _ := overPool(t, child(t, "everything", tool("echo"), tool("exit")), policy("researcher", []string{"everything"}, nil, nil))
	got := w.call(gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"exit"}`).refusal(t)
	if got.Code != mcp.ServerUnavailable {
		t.Errorf("error = %+v, want SERVER_UNAVAILABLE", got)
	}
	if r := w.call(gateway.ExecuteTool, execute("")); r.IsError {
		t.Errorf("result = %s, want an answer of the server started anew", r.raw)
	}
}

func TestServerThatDoesNotStartHurtsOnlyItself(t *testing.T) {
	w, _ := overPool(t, child(t, "everything", tool("echo")), server("broken"), policy("researcher", []string{"*"}, nil, nil))
	got := w.call(gateway.GetServerTools, `{"agent_id":"researcher","server":"broken"}`).refusal(t)
	if got.Code != mcp.ServerUnavailable {
		t.Errorf("error = %+v, want SERVER_UNAVAILABLE", got)
	}
	if r := w.call(gateway.ExecuteTool, execute("")); r.IsError {
		t.Errorf("result = %s, want an answer", r.raw)
	}
}

func TestCallUnderWayEndsOnItsOldServer(t *testing.T) {
	w, pool := overPool(t, child(t, "everything", tool("echo")), policy("researcher", []string{"*"}, nil, nil))
	call := &gateway.Call{Principal: everyone(), Name: gateway.ExecuteTool, Args: []byte(execute(""))}
	reply, err := w.CallTool(t.Context(), call) // under way until it is closed
	if err != nil {
		t.Fatal(err)
	}
	prev := w.apply(3, policy("researcher", []string{"*"}, nil, nil))
	pool.Prepare(w.live.Load())
	pool.Release(prev)
	if state := pool.Upstream(prev.Server("everything")).Status().State; state != "ready" {
		t.Errorf("state = %s while a call of the old revision is under way, want ready", state)
	}
	if got := w.call(gateway.ExecuteTool, execute("")).refusal(t); got.Code != mcp.ServerUnavailable || got.Revision != 3 {
		t.Errorf("error = %+v, want SERVER_UNAVAILABLE of revision 3", got)
	}
	reply.Close()
	<-prev.Drained()
}
