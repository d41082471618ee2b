package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// stateIn is the raw requestState of a question.
func stateIn(t *testing.T, result string) string {
	t.Helper()
	var v struct {
		RequestState json.RawMessage `json:"requestState"`
	}
	if err := json.Unmarshal([]byte(result), &v); err != nil || v.RequestState == nil {
		t.Fatalf("result = %s, %v, want one with a requestState", result, err)
	}
	return string(v.RequestState)
}

// A state is whose it was given to, for the request that it was given for, and nobody else's.
func TestStateOfAQuestionIsBoundToItsRequest(t *testing.T) {
	w := build(t, gateway.Config{}, server("s"), server("other"), settings(true, ""),
		policy("a", []string{"s", "other"}, nil, nil), policy("b", []string{"s", "other"}, nil, nil))
	const raw = `"the \u0073erver's, with \/ and é"`
	m := &memory{hello: &upstream.Hello{Era: mcp.Modern}}
	m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
		return &mcp.Reply{Result: []byte(`{ "resultType":"input_required" , "requestState" : ` + raw + `, "x":1.0 }`)}, nil
	}
	w.servers["s"], w.servers["other"] = m, m
	modern := func(server, agent, method, params string) *gateway.Direct {
		d := request(server, agent, method, params)
		d.Era = mcp.Modern
		return d
	}
	first := w.direct(modern("s", "a", "tools/call", `{"name":"x"}`))
	state := stateIn(t, first)
	if want := `{ "resultType":"input_required" , "requestState" : ` + state + `, "x":1.0 }`; first != want || strings.Contains(first, "server's") {
		t.Errorf("question = %s, want %s", first, want)
	}
	retry := `{"name":"x","requestState":` + state + `,"inputResponses":{}}`
	w.direct(modern("s", "a", "tools/call", retry))
	calls := m.called()
	if got, want := string(calls[len(calls)-1].Params), strings.Replace(retry, state, raw, 1); got != want {
		t.Errorf("server got %s, want its own bytes: %s", got, want)
	}
	before := sent(m)
	stranger := modern("s", "a", "tools/call", retry)
	stranger.Principal = table.Everyone("somebody else")
	for name, d := range map[string]*gateway.Direct{
		"principal": stranger,
		"agent":     modern("s", "b", "tools/call", retry),
		"server":    modern("other", "a", "tools/call", retry),
		"method":    modern("s", "a", "prompts/get", retry),
		"name":      modern("s", "a", "tools/call", strings.Replace(retry, `"x"`, `"y"`, 1)),
		"changed":   modern("s", "a", "tools/call", strings.Replace(retry, state, state[:20]+"A"+state[21:], 1)),
		"forged":    modern("s", "a", "tools/call", strings.Replace(retry, state, raw, 1)),
		"hidden":    modern("s", "a", "tools/call", strings.NewReplacer("requestState", `request\u0053tate`, state, raw).Replace(retry)),
		"no string": modern("s", "a", "tools/call", strings.Replace(retry, state, "7", 1)),
		"two":       modern("s", "a", "tools/call", strings.Replace(retry, `"name"`, `"requestState":"z","name"`, 1)),
	} {
		if got := w.direct(d); !strings.Contains(got, `"code":-32602`) {
			t.Errorf("state of another %s: %s, want -32602", name, got)
		}
	}
	if n := sent(m); n != before {
		t.Errorf("server got %d requests with states that were not theirs", n-before)
	}
}

// sent counts the requests that are no handshake.
func sent(m *memory) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests
}

func TestUnknownResultTypesNeedAnExtension(t *testing.T) {
	w, m := single(t)
	for _, test := range []struct{ kind, capabilities, want string }{
		{`"hologram"`, `{}`, "UPSTREAM_ERROR"},
		{`"hologram"`, `{"extensions":{}}`, "UPSTREAM_ERROR"},
		{`"hologram"`, `{"extensions":{"com.example/h":{}}}`, `{"resultType":"hologram","content":[]}`},
		{`7`, `{}`, "UPSTREAM_ERROR"},
		{`"task"`, `{}`, "UPSTREAM_ERROR"},
		{`"complete"`, `{}`, `{"resultType":"complete","content":[]}`},
	} {
		result := `{"resultType":` + test.kind + `,"content":[]}`
		m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) { return &mcp.Reply{Result: []byte(result)}, nil }
		d := request("s", "a", "tools/call", `{"name":"echo"}`)
		d.Era, d.Client = mcp.Modern, &mcp.Client{Capabilities: []byte(test.capabilities)}
		if got := w.direct(d); !strings.Contains(got, test.want) {
			t.Errorf("resultType %s to a client of %s = %s, want %s", test.kind, test.capabilities, got, test.want)
		}
	}
}

// A server on stdio is a process of each proxy's own, so what it keeps for an agent is asked for where it was given.
func TestStateOfAProcessIsWithItsProxy(t *testing.T) {
	inHTTP := edit("web", func(s *gatehousev1.Server) {
		s.Transport = &gatehousev1.Server_Http{Http: &gatehousev1.Http{Url: "http://127.0.0.1:1/mcp"}}
	})
	w := build(t, gateway.Config{Address: "10.0.0.1:8080"}, server("pipe"), inHTTP, settings(true, ""),
		policy("a", []string{"*"}, nil, nil))
	m := &memory{hello: &upstream.Hello{Era: mcp.Modern}}
	m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
		return &mcp.Reply{Result: []byte(`{"resultType":"input_required","requestState":"s"}`)}, nil
	}
	w.servers["pipe"], w.servers["web"] = m, m
	other := gateway.New(gateway.Config{
		Live: w.live, Auth: w.auth, Records: w.journal, Address: "10.0.0.2:8080",
		Upstream: func(*table.Server) gateway.Upstream { return m },
	})
	t.Cleanup(other.Close)
	for name, want := range map[string]string{"pipe": "10.0.0.1:8080", "web": ""} {
		d := request(name, "a", "tools/call", `{"name":"x"}`)
		d.Era = mcp.Modern
		state := stateIn(t, w.direct(d))
		for _, lost := range []bool{false, true} {
			again := request(name, "a", "tools/call", `{"name":"x","requestState":`+state+`}`)
			again.Era, again.Lost = mcp.Modern, lost
			reply, err := other.Direct(t.Context(), again)
			reply.Close()
			elsewhere, ok := errors.AsType[*gateway.ElsewhereError](err)
			if isThere := want != "" && !lost; ok != isThere || ok && elsewhere.Address != want || !ok && err != nil {
				t.Errorf("%s, lost %v: %v, want it elsewhere: %v", name, lost, err, isThere)
			}
		}
	}
}
