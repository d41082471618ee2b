package gateway_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// street is three servers, of which the agent sees two, and one that is out of service.
func street(t testing.TB, c gateway.Config) *world {
	remote := func(s *gatehousev1.Server) {
		s.Transport = &gatehousev1.Server_Http{Http: &gatehousev1.Http{
			Url: "https://secret.example/mcp", Headers: map[string]string{"Authorization": "secret-header"},
		}}
	}
	w := build(t, c, server("b"), edit("a", remote), server("c"), edit("d", func(s *gatehousev1.Server) { s.Disabled = true }),
		policy("researcher", []string{"[!c]"}, nil, nil))
	w.servers["a"] = &memory{state: upstream.Status{State: "ready"}}
	w.servers["b"] = &memory{state: upstream.Status{State: "unavailable", Error: "exited"}}
	return w
}

func TestListServersShowsWhatTheAgentMayUse(t *testing.T) {
	w := street(t, gateway.Config{})
	for _, test := range []struct{ more, want string }{
		{``, `{"result":[{"name":"a","description":"The a."},{"name":"b","description":"The b."}]}`},
		{`,"include_metadata":false`, `{"result":[{"name":"a","description":"The a."},{"name":"b","description":"The b."}]}`},
		{`,"include_metadata":true`, `{"result":[{"name":"a","description":"The a.","transport":"http","status":"ready"},` +
			`{"name":"b","description":"The b.","transport":"stdio","status":"unavailable"}]}`},
	} {
		r := w.call(gateway.ListServers, `{"agent_id":"researcher"`+test.more+`}`)
		if string(r.StructuredContent) != test.want {
			t.Errorf("%s: %s, want %s", test.more, r.StructuredContent, test.want)
		}
		if strings.Contains(r.raw, "secret") {
			t.Errorf("%s: %s holds a secret", test.more, r.raw)
		}
	}
	if e := w.journal.last(t); !e.Allow || e.Outcome != record.OK || e.Method != gateway.ListServers || e.BytesOut == 0 {
		t.Errorf("record = %+v, want an allowed list_servers", e)
	}
}

func TestListServersOfNobodysServersIsEmpty(t *testing.T) {
	w := build(t, gateway.Config{}, server("a"), policy("researcher", nil, nil, nil))
	if r := w.call(gateway.ListServers, `{"agent_id":"researcher"}`); string(r.StructuredContent) != `{"result":[]}` {
		t.Errorf("result = %s, want an empty array", r.raw)
	}
}

func TestListServersRefusesWrongArguments(t *testing.T) {
	w := street(t, gateway.Config{})
	for _, args := range []string{`{"agent_id":"researcher","include_metadata":"yes"}`, `{"agent_id":1}`, `{"agent":"researcher"}`} {
		if got := w.call(gateway.ListServers, args).refusal(t); got.Code != mcp.InvalidArgument {
			t.Errorf("%s: error = %+v, want INVALID_ARGUMENT", args, got)
		}
	}
}

func TestToolsListHoldsTheToolsInOrderAndIsSmall(t *testing.T) {
	for _, debug := range []bool{false, true} {
		w := build(t, gateway.Config{Debug: debug})
		var tools []struct {
			Name        string `json:"name"`
			Description string `json:"description"`
			InputSchema struct {
				Type       string                     `json:"type"`
				Properties map[string]json.RawMessage `json:"properties"`
				Required   []string                   `json:"required"`
			} `json:"inputSchema"`
		}
		if err := json.Unmarshal(w.ToolsList(), &tools); err != nil {
			t.Fatalf("ToolsList = %s: %v", w.ToolsList(), err)
		}
		var got []string
		for _, tool := range tools {
			got = append(got, tool.Name+"("+strings.Join(tool.InputSchema.Required, ",")+")")
			if tool.InputSchema.Type != "object" || tool.InputSchema.Properties["agent_id"] == nil || tool.Description == "" {
				t.Errorf("definition = %+v", tool)
			}
		}
		want := "list_servers() get_server_tools(server) execute_tool(server,tool)"
		if debug {
			want += " get_gateway_status()"
		}
		if strings.Join(got, " ") != want {
			t.Errorf("tools = %v, want %s", got, want)
		}
		if tokens := (len(w.ToolsList()) + 3) / 4; tokens >= 2000 {
			t.Errorf("the definitions take %d tokens, want less than 2000", tokens)
		}
	}
}

func TestStatusTellsOfTheSnapshotAndTheAgentsServers(t *testing.T) {
	since := time.Date(2026, 11, 24, 8, 30, 0, 0, time.UTC)
	w := street(t, gateway.Config{Debug: true, Status: func() gateway.Status {
		return gateway.Status{Since: since, LastAck: since.Add(time.Second), Warnings: []string{"mind the gap", "and more"}}
	}})
	r := w.call(gateway.GatewayStatus, `{"agent_id":"researcher"}`)
	want := `{"revision":1,"digest":"abcd","since":"2026-11-24T08:30:00Z","lastAck":"2026-11-24T08:30:01Z","lastNack":null,` +
		`"servers":[{"name":"a","state":"ready"},{"name":"b","state":"unavailable","error":"exited"},{"name":"d","state":"disabled"}],` +
		`"warnings":["mind the gap","and more"]}`
	if string(r.StructuredContent) != want {
		t.Errorf("status = %s, want %s", r.StructuredContent, want)
	}
	if got := w.call(gateway.GatewayStatus, `{}`).refusal(t); got.Code != mcp.InvalidAgentID {
		t.Errorf("error = %+v, want INVALID_AGENT_ID: status is for agents that are known", got)
	}
}

// Some clients write null where they have no arguments.
func TestNullArgumentsAreNone(t *testing.T) {
	w := build(t, gateway.Config{}, settings(false, "researcher"), policy("researcher", nil, nil, nil))
	if r := w.call(gateway.ListServers, `null`); r.IsError {
		t.Errorf("result = %s, want the servers", r.raw)
	}
}
