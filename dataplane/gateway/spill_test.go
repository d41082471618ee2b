package gateway_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
)

// spilled has an upstream answer with a result that is not in memory, to calls that take such.
func spilled(t *testing.T, result string) func(context.Context, *mcp.Call) (*mcp.Reply, error) {
	return func(_ context.Context, c *mcp.Call) (*mcp.Reply, error) {
		if !c.Large {
			return &mcp.Reply{Result: []byte(result)}, nil
		}
		message := []byte(`{"jsonrpc":"2.0","id":1,"result":` + result + `}`)
		o := mcp.NewOutline(mcp.SpillNames()...)
		_, err := o.Write(message)
		if err == nil {
			_, err = o.Close()
		}
		if err != nil {
			t.Errorf("outline of %s: %v", message, err)
		}
		return &mcp.Reply{Spill: mcp.NewSpill(bytes.NewReader(message), o)}, nil
	}
}

// all is the result of a reply, which must not be in memory.
func all(t *testing.T, reply *mcp.Reply) string {
	t.Helper()
	defer reply.Close()
	if reply.Spill == nil {
		t.Fatalf("reply = %s, %v, want a spill", reply.Result, reply.Error)
	}
	var b strings.Builder
	if _, err := reply.Spill.WriteTo(&b); err != nil {
		t.Errorf("WriteTo = %v", err)
	}
	return b.String()
}

func TestLargeResultsPassAsSmallOnesDo(t *testing.T) {
	for _, test := range []struct {
		era          mcp.Era
		result, want string
		outcome      record.Outcome
	}{
		{mcp.Legacy, `{"content":[]}`, `{"content":[]}`, record.OK},
		{mcp.Legacy, `{"isError":true}`, `{"isError":true}`, record.ToolError},
		{mcp.Modern, `{"content":[],"isError":true}`, `{"content":[],"isError":true,"resultType":"complete"}`, record.ToolError},
		{mcp.Modern, `{}`, `{"resultType":"complete"}`, record.OK},
		{mcp.Modern, `{"resultType":"task","a":1}`, `{"resultType":"task","a":1}`, record.OK},
		{mcp.Modern, `{"resultType":"a","resultType":"b"}`, `{"resultType":"a","resultType":"b"}`, record.OK},
	} {
		w := echoing(t, "", unchanged)
		w.servers["everything"].answer = spilled(t, test.result)
		call := &gateway.Call{Principal: everyone(), Name: gateway.ExecuteTool, Args: []byte(execute("")), Era: test.era}
		reply, err := w.CallTool(t.Context(), call)
		if err != nil {
			t.Fatalf("CallTool = %v", err)
		}
		if got := all(t, reply); got != test.want {
			t.Errorf("%v: result = %s, want %s", test.era, got, test.want)
		}
		if e := w.journal.last(t); e.Outcome != test.outcome || e.BytesOut != len(test.want) {
			t.Errorf("%s: recorded %v and %d bytes, want %v and %d", test.result, e.Outcome, e.BytesOut, test.outcome, len(test.want))
		}
	}
}

func TestLargeResultsOfAServerAsItself(t *testing.T) {
	w, m := single(t)
	for _, test := range []struct {
		era                  mcp.Era
		method, result, want string
	}{
		{mcp.Modern, "resources/read", `{"contents":[]}`, `{"contents":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}`},
		{mcp.Modern, "resources/read", `{"ttlMs":5,"cacheScope":"public","resultType":"complete"}`, `{"ttlMs":5,"cacheScope":"public","resultType":"complete"}`},
		{mcp.Legacy, "resources/read", `{"contents":[]}`, `{"contents":[]}`},
		{mcp.Modern, "prompts/get", `{"messages":[]}`, `{"messages":[],"resultType":"complete"}`},
	} {
		m.answer = spilled(t, test.result)
		d := request("s", "a", test.method, `{"name":"x","uri":"y"}`)
		d.Era, d.Subject = test.era, "x"
		reply, err := w.Direct(t.Context(), d)
		if err != nil {
			t.Fatalf("Direct = %v", err)
		}
		if got := all(t, reply); got != test.want {
			t.Errorf("%s for an agent of the %v era = %s, want %s", test.method, test.era, got, test.want)
		}
	}
	m.answer = spilled(t, `[]`)
	if got := w.direct(request("s", "a", "prompts/get", `{"name":"x"}`)); !strings.Contains(got, "UPSTREAM_ERROR") {
		t.Errorf("a large result that is no object = %s, want UPSTREAM_ERROR", got)
	}
	for _, result := range []string{`{"resultType":"input_required"}`, `{"resultType":"task"}`, `{"resultType":"a","resultType":"b"}`} {
		m.answer = spilled(t, result)
		if got := w.direct(request("s", "a", "prompts/get", `{"name":"x"}`)); !strings.Contains(got, "UPSTREAM_ERROR") {
			t.Errorf("large result %s, of which a part would have to be sealed, = %s, want UPSTREAM_ERROR", result, got)
		}
	}
}

func TestAnswerThatCannotBeKeptIsTheGatewaysFault(t *testing.T) {
	w := echoing(t, "", unchanged)
	w.servers["everything"].answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) { return nil, mcp.ErrStorage }
	if got := w.call(gateway.ExecuteTool, execute("")).refusal(t); got.Code != mcp.Internal {
		t.Errorf("error = %+v, want INTERNAL", got)
	}
}
