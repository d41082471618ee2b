package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func everyone() *table.Principal { return table.Everyone("anonymous") }

// echoing is a gateway with one server whose one tool answers with result.
func echoing(t testing.TB, result string, change func(*gatehousev1.Server)) *world {
	w := build(t, gateway.Config{}, edit("everything", change), policy("researcher", []string{"*"}, nil, nil))
	w.servers["everything"] = &memory{tools: catalogue(t, tool("echo"))}
	w.servers["everything"].answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
		return &mcp.Reply{Result: []byte(result)}, nil
	}
	return w
}

func unchanged(*gatehousev1.Server) {}

// execute is the arguments of a call of echo, with more members.
func execute(more string) string {
	return `{"agent_id":"researcher","server":"everything","tool":"echo"` + more + `}`
}

func TestExecuteReturnsTheResultByteForByte(t *testing.T) {
	for _, want := range []string{
		`{"content":[{"type":"image","data":"AA==","mimeType":"image/png"}]}`,
		`{ "z" : 9007199254740993 , "content":[ ], "isError":true,"a":1.0e5,"_meta":{"x":null},"unknown":{"ü":"\u00e4"}}`,
		`{"structuredContent":{"b":1,"a":2},"content":[],"isError":false}`,
		`{}`,
	} {
		w := echoing(t, want, unchanged)
		if got := w.call(gateway.ExecuteTool, execute("")).raw; got != want {
			t.Errorf("result = %s, want %s", got, want)
		}
	}
}

func TestExecuteAppendsAResultTypeOnlyWhereItIsMissing(t *testing.T) {
	for _, test := range []struct{ result, want string }{
		{`{"content":[]}`, `{"content":[],"resultType":"complete"}`},
		{`{}`, `{"resultType":"complete"}`},
		{`{"resultType":"input_required","a":1}`, `{"resultType":"input_required","a":1}`},
		{`{"a":{"resultType":"x"}}`, `{"a":{"resultType":"x"},"resultType":"complete"}`},
	} {
		w := echoing(t, test.result, unchanged)
		call := &gateway.Call{Principal: everyone(), Name: gateway.ExecuteTool, Args: []byte(execute("")), Era: mcp.Modern}
		if got := w.perform(call).raw; got != test.want {
			t.Errorf("result of %s = %s, want %s", test.result, got, test.want)
		}
	}
}

func TestExecuteForwardsTheArgumentsAsTheyStand(t *testing.T) {
	w := echoing(t, `{}`, unchanged)
	for _, test := range []struct{ more, meta, want string }{
		{``, ``, `{"name":"echo","arguments":{}}`},
		{`,"args":null`, ``, `{"name":"echo","arguments":{}}`},
		{`,"args":{ "n" : 9007199254740993, "agent_id":"x","agent_id":"y"}`, ``,
			`{"name":"echo","arguments":{ "n" : 9007199254740993, "agent_id":"x","agent_id":"y"}}`},
		{``, `{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`, `{"name":"echo","arguments":{}}`},
		{``, `{"progressToken":7,"traceparent":"00-1"}`, `{"name":"echo","arguments":{},"_meta":{"traceparent":"00-1"}}`},
	} {
		call := &gateway.Call{Principal: everyone(), Name: gateway.ExecuteTool, Args: []byte(execute(test.more)), Session: "s1"}
		if test.meta != "" {
			call.Meta = []byte(test.meta)
		}
		w.perform(call)
		calls := w.servers["everything"].called()
		got := calls[len(calls)-1]
		if string(got.Params) != test.want {
			t.Errorf("params = %s, want %s", got.Params, test.want)
		}
		if got.Method != "tools/call" || got.Name != "echo" || got.Agent != "researcher" || got.Session != "s1" {
			t.Errorf("call = %+v", got)
		}
	}
}

func TestExecuteSendsTheNameThatPolicyRead(t *testing.T) {
	w := echoing(t, `{}`, unchanged)
	w.servers["everything"].tools = catalogue(t, tool("e\ufffdo"))
	for _, name := range []string{`"e\ud800o"`, `"\u0065\ufffdo"`} {
		r := w.call(gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":`+name+`}`)
		if r.IsError {
			t.Fatalf("result = %s", r.raw)
		}
		calls := w.servers["everything"].called()
		if got := string(calls[len(calls)-1].Params); got != "{\"name\":\"e\ufffdo\",\"arguments\":{}}" {
			t.Errorf("params = %s", got)
		}
	}
}

func TestExecuteRefusesWrongArguments(t *testing.T) {
	w := echoing(t, `{}`, unchanged)
	for _, test := range []struct{ args, message string }{
		{execute(`,"timeout_ms":0`), "timeout_ms must be greater than 0"},
		{execute(`,"timeout_ms":-5`), "timeout_ms must be greater than 0"},
		{execute(`,"timeout_ms":1.5`), "timeout_ms must be a whole number"},
		{execute(`,"timeout_ms":"5"`), "timeout_ms must be a whole number"},
		{execute(`,"args":"{}"`), "args must be an object"},
		{execute(`,"args":[1]`), "args must be an object"},
		{execute(`,"arguments":{}`), `unknown argument "arguments"; there are agent_id, server, tool, args, timeout_ms`},
		{execute(`,"Server":"x"`), "arguments"},
		{execute(`,"server":"x"`), "arguments"},
		{`{"agent_id":7,"server":"everything","tool":"echo"}`, "agent_id must be a string"},
		{`{"agent_id":"researcher","server":null,"tool":"echo"}`, "server is missing"},
		{`{"agent_id":"researcher","server":"everything","tool":["echo"]}`, "tool must be a string"},
		{`[]`, "arguments"},
	} {
		got := w.call(gateway.ExecuteTool, test.args).refusal(t)
		if got.Code != mcp.InvalidArgument || !strings.Contains(got.Message, test.message) {
			t.Errorf("%s: error = %+v, want INVALID_ARGUMENT with %q", test.args, got, test.message)
		}
	}
	if n := len(w.servers["everything"].called()); n > 0 {
		t.Errorf("%d calls reached the server", n)
	}
}

func TestExecuteGivesUpInTime(t *testing.T) {
	catalogue(t, tool("echo")) // its process belongs outside the bubble
	bounded := func(s *gatehousev1.Server) { s.CallTimeout, s.MaxCallTimeout = "20s", "30s" }
	for _, test := range []struct {
		more string
		want time.Duration
	}{
		{``, 20 * time.Second},
		{`,"timeout_ms":50`, 50 * time.Millisecond},
		{`,"timeout_ms":5e1`, 50 * time.Millisecond},
		{`,"timeout_ms":25000`, 25 * time.Second},
		{`,"timeout_ms":9999999999999999999999`, 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := echoing(t, ``, bounded)
			w.servers["everything"].answer = func(ctx context.Context, _ *mcp.Call) (*mcp.Reply, error) {
				<-ctx.Done()
				return nil, fmt.Errorf("waiting: %w", ctx.Err())
			}
			began := time.Now()
			got := w.call(gateway.ExecuteTool, execute(test.more)).refusal(t)
			if took := time.Since(began); got.Code != mcp.Timeout || took != test.want {
				t.Errorf("%s: %s after %v, want TIMEOUT after %v", test.more, got.Code, took, test.want)
			}
			if e := w.journal.last(t); e.Took != test.want {
				t.Errorf("record: took %v, want %v", e.Took, test.want)
			}
		})
	}
}

func TestExecuteEndsWhenTheAgentGoesAway(t *testing.T) {
	w := echoing(t, ``, unchanged)
	ctx, cancel := context.WithCancel(t.Context())
	w.servers["everything"].answer = func(inner context.Context, _ *mcp.Call) (*mcp.Reply, error) {
		cancel()
		<-inner.Done()
		return nil, fmt.Errorf("waiting: %w", inner.Err())
	}
	_, err := w.CallTool(ctx, &gateway.Call{Principal: everyone(), Name: gateway.ExecuteTool, Args: []byte(execute(""))})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("CallTool = %v, want the context's error", err)
	}
	if e := w.journal.last(t); e.Outcome != record.Cancelled || !e.Allow {
		t.Errorf("record = %+v, want an allowed call that was cancelled", e)
	}
	if n := w.live.Load().Calls(); n != 0 {
		t.Errorf("%d calls under way, want 0", n)
	}
}

func TestExecuteReadsTheCatalogueOnceMoreBeforeItMissesATool(t *testing.T) {
	w := echoing(t, `{}`, unchanged)
	m := w.servers["everything"]
	m.fresh = catalogue(t, tool("echo"), tool("new"))
	w.call(gateway.ExecuteTool, execute(""))
	if m.refreshed != 0 {
		t.Errorf("%d refreshes for a known tool, want 0", m.refreshed)
	}
	if r := w.call(gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"new"}`); r.IsError {
		t.Errorf("result = %s, want the new tool's", r.raw)
	}
	got := w.call(gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"gone"}`).refusal(t)
	if got.Code != mcp.ToolNotFound || m.refreshed != 2 {
		t.Errorf("error = %+v after %d refreshes, want TOOL_NOT_FOUND after 2", got, m.refreshed)
	}
}

func TestCallKeepsItsTableUntilTheReplyIsClosed(t *testing.T) {
	w := echoing(t, `{}`, unchanged)
	freed := 0
	w.servers["everything"].answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
		w.apply(2) // everything is gone, even the policy
		return &mcp.Reply{Result: []byte(`{"content":[]}`), Free: func() { freed++ }}, nil
	}
	prev := w.live.Load()
	reply, err := w.CallTool(t.Context(), &gateway.Call{Principal: everyone(), Name: gateway.ExecuteTool, Args: []byte(execute(""))})
	if err != nil {
		t.Fatal(err)
	}
	if prev.Calls() != 1 || freed != 0 {
		t.Errorf("%d calls on the old table, upstream's reply freed %d times, want 1 and 0", prev.Calls(), freed)
	}
	reply.Close()
	reply.Close()
	<-prev.Drained()
	if freed != 1 || w.journal.last(t).Revision != 1 {
		t.Errorf("freed %d times at revision %d, want once at 1", freed, w.journal.last(t).Revision)
	}
}
