package gateway_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const question = `{"resultType":"input_required","requestState":"s1","inputRequests":{"r":{"method":"elicitation/create","params":{"message":"who?"}}}}`

// asks has a server ask once, and answer then.
func asks(m *memory) {
	m.answer = func(_ context.Context, c *mcp.Call) (*mcp.Reply, error) {
		if strings.Contains(string(c.Params), "inputResponses") {
			return &mcp.Reply{Result: []byte(`{"content":[]}`)}, nil
		}
		return &mcp.Reply{Result: []byte(question)}, nil
	}
}

func TestLegacyAgentAnswersAModernServer(t *testing.T) {
	w, m := single(t)
	asks(m)
	l := new(listener)
	d := request("s", "a", "tools/call", `{"name":"echo","arguments":{}}`)
	d.Stream, d.Client = l, &mcp.Client{Capabilities: []byte(`{"elicitation":{}}`)}
	if got, want := w.direct(d), `{"content":[]}`; got != want {
		t.Errorf("tools/call = %s, want %s", got, want)
	}
	if got := strings.Join(l.heard, "|"); got != "ask elicitation/create" {
		t.Errorf("agent heard %s, want one question", got)
	}
	const want = `{"name":"echo","arguments":{},"inputResponses":{"r":{}},"requestState":"s1"}`
	if calls := m.called(); len(calls) != 2 || string(calls[1].Params) != want {
		t.Errorf("server got %s, want %s", calls[len(calls)-1].Params, want)
	}
}

func TestModernAgentGetsTheQuestionItself(t *testing.T) {
	w, m := single(t)
	asks(m)
	d := request("s", "a", "tools/call", `{"name":"echo"}`)
	d.Era = mcp.Modern
	got := w.direct(d)
	if state := stateIn(t, got); strings.Replace(got, state, `"s1"`, 1) != question {
		t.Errorf("tools/call = %s, want %s but for the state", got, question)
	}
}

func TestQuestionsNeedAClientThatTakesThem(t *testing.T) {
	w, m := single(t)
	asks(m)
	d := request("s", "a", "tools/call", `{"name":"echo"}`)
	d.Stream, d.Client = new(listener), &mcp.Client{Capabilities: []byte(`{"sampling":{}}`)}
	if got := w.direct(d); !strings.Contains(got, "UPSTREAM_ERROR") {
		t.Errorf("tools/call = %s, want UPSTREAM_ERROR", got)
	}
	m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
		return &mcp.Reply{Result: []byte(question)}, nil
	}
	d.Client = &mcp.Client{Capabilities: []byte(`{"elicitation":{}}`)}
	if got := w.direct(d); !strings.Contains(got, "asked more than 10 times") {
		t.Errorf("tools/call = %s, want an end of the questions", got)
	}
}
