package gateway_test

import (
	"encoding/json"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// FuzzArguments holds the tools against whatever a caller sends as arguments that the front has checked to be JSON: there
// is always a result, it is JSON, it is recorded, and nothing but a call that policy allowed reaches the upstream.
func FuzzArguments(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `null`, `7`, `{"agent_id":"researcher"}`, execute(``), execute(`,"args":{"a":[1,{"b":null}]},"timeout_ms":1e3`),
		`{"agent_id":"researcher","server":"everything","tool":"drop_all"}`, `{"agent_id":"\ud800","server":"\u0000"}`,
		`{"agent_id":"researcher","server":"everything","names":"a,b","pattern":"[!a]*","max_schema_tokens":5}`,
		`{"agent_id":"researcher","server":"everything","names":["a","b"],"pattern":"[","max_schema_tokens":0}`,
		`{"agent_id":"researcher","include_metadata":true}`, `{"a":1,"a":1}`, `{"Agent_id":"x"}`, `{"agent_i\u0064":"researcher"}`,
	} {
		f.Add([]byte(seed), []byte(`{"progressToken":1,"x":"y"}`))
	}
	w := build(f, gateway.Config{Debug: true}, office()...)
	answers(w)
	f.Fuzz(func(t *testing.T, args, meta []byte) {
		if mcp.Check(args) != nil || mcp.Check(meta) != nil || meta[0] != '{' {
			t.Skip()
		}
		for _, name := range gateway.Operations() {
			for _, era := range []mcp.Era{mcp.Legacy, mcp.Modern} {
				w.fuzzed(t, &gateway.Call{Principal: everyone(), Name: name, Args: args, Meta: meta, Era: era})
			}
		}
	})
}

func (w *world) fuzzed(t *testing.T, c *gateway.Call) {
	w.journal.entries, w.servers["everything"].calls = nil, nil
	reply, err := w.CallTool(t.Context(), c)
	if err != nil {
		t.Fatalf("CallTool(%s %s) = %v, want a result", c.Name, c.Args, err)
	}
	defer reply.Close()
	if !json.Valid(reply.Result) {
		t.Errorf("CallTool(%s %s) = %s, which is no JSON", c.Name, c.Args, reply.Result)
	}
	if n := len(w.journal.entries); n != 1 {
		t.Errorf("CallTool(%s %s) kept %d records, want 1", c.Name, c.Args, n)
	}
	for _, call := range w.servers["everything"].called() {
		if e := w.journal.last(t); !e.Allow || e.Tool != call.Name || !json.Valid(call.Params) {
			t.Errorf("CallTool(%s %s) sent %s, record %+v", c.Name, c.Args, call.Params, e)
		}
	}
}
