package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// listener keeps what an upstream says during a call.
type listener struct{ heard []string }

func (l *listener) Notify(method string, params []byte) {
	l.heard = append(l.heard, method+" "+string(params))
}

func (l *listener) Ask(_ context.Context, method string, _ []byte) (*mcp.Reply, error) {
	l.heard = append(l.heard, "ask "+method)
	return &mcp.Reply{Result: []byte(`{}`)}, nil
}

// request is a request to a server of a caller who may act as everybody.
func request(server, agent, method, params string) *gateway.Direct {
	d := &gateway.Direct{Server: server, Agent: agent}
	d.Principal, d.Name = table.Everyone("anonymous"), method
	if params == "" {
		return d
	}
	d.Params, d.Args = []byte(params), []byte(params)
	var v struct {
		Name, URI string
		Meta      json.RawMessage `json:"_meta"`
	}
	if json.Unmarshal(d.Params, &v) == nil {
		d.Subject, d.Meta = v.Name+v.URI, v.Meta
	}
	return d
}

// direct performs it, and returns the result or the error as text.
func (w *world) direct(d *gateway.Direct) string {
	w.t.Helper()
	reply, err := w.Direct(w.t.Context(), d)
	if err != nil {
		w.t.Fatalf("Direct(%s) = %v, want a reply", d.Name, err)
	}
	defer reply.Close()
	if reply.Error != nil {
		text, _ := json.Marshal(reply.Error)
		return string(text)
	}
	return string(reply.Result)
}

// single is one server with tools that one agent may not all use.
func single(t testing.TB) (*world, *memory) {
	w := build(t, gateway.Config{}, server("s"), server("hidden"), settings(true, ""),
		policy("a", []string{"s"}, nil, map[string][]string{"s": {"drop_*"}}))
	m := &memory{tools: catalogue(t, tool("echo"))}
	w.servers["s"], w.servers["hidden"] = m, m
	return w, m
}

func TestDirectListsPermittedToolsAsTheyStand(t *testing.T) {
	w, m := single(t)
	const page = `{ "x":1e400,"tools":[{"name":"drop_all"}, {"x-vendor":null, "name":"ech\u006f"},{"name":"n","name":"m"},7],"cacheScope":"public","nextCursor":null}`
	m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) { return &mcp.Reply{Result: []byte(page)}, nil }
	d := request("s", "a", "tools/list", `{"y":1}`)
	want := `{"x":1e400,"tools":[{"x-vendor":null, "name":"ech\u006f"}],"cacheScope":"private","nextCursor":null}`
	if got := w.direct(d); got != want {
		t.Errorf("tools/list = %s, want %s", got, want)
	}
	if c := m.called()[0]; c.Method != "tools/list" || string(c.Params) != `{"y":1}` {
		t.Errorf("upstream got %s %s", c.Method, c.Params)
	}
	d.Era = mcp.Modern
	want = want[:len(want)-1] + `,"resultType":"complete","ttlMs":0}`
	if got := w.direct(d); got != want {
		t.Errorf("tools/list = %s, want %s", got, want)
	}
	if e := w.journal.last(t); e.Method != "tools/list" || e.Server != "s" || e.Agent != "a" || e.Outcome != record.OK || !e.Allow {
		t.Errorf("record = %+v", e)
	}
}

func TestDirectHidesToolsBehindEscapesToo(t *testing.T) {
	w, m := single(t)
	for page, want := range map[string]string{
		`{"tool\u0073":[{"name":"drop_all"}]}`: `{"tool\u0073":[]}`,
		`{"tools":[{"name":"drop_\u0061"}]}`:   `{"tools":[]}`,
		`{"tools":7}`:                          `UPSTREAM_ERROR`,
		`{"tools":[],"tools":[]}`:              `UPSTREAM_ERROR`,
		`[]`:                                   `UPSTREAM_ERROR`,
	} {
		m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) { return &mcp.Reply{Result: []byte(page)}, nil }
		if got := w.direct(request("s", "a", "tools/list", "")); got != want && (want[0] != 'U' || !strings.Contains(got, want)) {
			t.Errorf("tools/list of %s = %s, want %s", page, got, want)
		}
	}
}

func TestDirectRefusalsHaveTheirForm(t *testing.T) {
	w, m := single(t)
	for _, test := range []struct{ server, agent, method, params, want string }{
		{"s", "a", "tools/call", `{"name":"drop_all"}`, `"isError":true`},
		{"hidden", "a", "tools/call", `{"name":"x"}`, `"isError":true`},
		{"hidden", "a", "tools/list", ``, `"code":-32602,"message":"agent \"a\" may not use server \"hidden\"","data":{"error":{"code":"DENIED_BY_POLICY"`},
		{"nowhere", "a", "resources/list", ``, `"data":{"error":{"code":"DENIED_BY_POLICY"`},
		{"hidden", "a", "initialize", `{}`, `"data":{"error":{"code":"DENIED_BY_POLICY"`},
		{"s", "ghost", "prompts/get", `{"name":"p"}`, `"data":{"error":{"code":"INVALID_AGENT_ID"`},
		{"s", "", "prompts/get", `{"name":"p"}`, `"data":{"error":{"code":"INVALID_AGENT_ID"`},
	} {
		if got := w.direct(request(test.server, test.agent, test.method, test.params)); !strings.Contains(got, test.want) {
			t.Errorf("%s to %s as %q = %s, want %s", test.method, test.server, test.agent, got, test.want)
		}
		if e := w.journal.last(t); e.Allow || e.Method != test.method || e.Server != test.server {
			t.Errorf("record of %s = %+v", test.method, e)
		}
	}
	if calls := m.called(); len(calls) > 0 {
		t.Errorf("upstream got %v, want nothing", calls)
	}
}

func TestDirectPassesErrorsOfTheUpstream(t *testing.T) {
	w, m := single(t)
	m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
		return &mcp.Reply{Error: &mcp.Error{Code: -32002, Message: "gone", Data: []byte(`{"uri":"u"}`)}}, nil
	}
	d := request("s", "a", "resources/read", `{"uri":"u"}`)
	if got, want := w.direct(d), `{"code":-32002,"message":"gone","data":{"uri":"u"}}`; got != want {
		t.Errorf("resources/read = %s, want %s", got, want)
	}
	if e := w.journal.last(t); e.Outcome != record.Outcome(mcp.UpstreamError) || !e.Allow {
		t.Errorf("record = %+v", e)
	}
	d.Era = mcp.Modern
	if got := w.direct(d); !strings.Contains(got, "-32602") {
		t.Errorf("resources/read = %s, want the code that the modern era has", got)
	}
	m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) { return nil, mcp.ErrUnavailable }
	if got := w.direct(d); !strings.Contains(got, "SERVER_UNAVAILABLE") {
		t.Errorf("resources/read = %s, want SERVER_UNAVAILABLE", got)
	}
}

func TestCallThatWasTakenAndNotAnsweredIsAnErrorOfTheServers(t *testing.T) {
	w, m := single(t)
	for _, test := range []struct {
		err          error
		method, want string
	}{
		{errors.Join(mcp.ErrUnavailable, mcp.ErrUnanswered), "tools/call", `{"code":-32603,`},
		{errors.Join(mcp.ErrUnavailable, mcp.ErrUnanswered), "prompts/get", `{"code":-32603,`},
		{mcp.ErrUnavailable, "tools/call", `{"isError":true,`},
		{mcp.ErrUnavailable, "prompts/get", `{"code":-32602,`},
	} {
		m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) { return nil, test.err }
		for _, era := range []mcp.Era{mcp.Legacy, mcp.Modern} {
			d := request("s", "a", test.method, `{"name":"echo"}`)
			d.Era = era
			if got := w.direct(d); !strings.HasPrefix(got, test.want) || !strings.Contains(got, `{"error":{"code":"SERVER_UNAVAILABLE"`) {
				t.Errorf("%s in the %s era after %v = %s, want %s with SERVER_UNAVAILABLE", test.method, era, test.err, got, test.want)
			}
			if e := w.journal.last(t); e.Outcome != record.Outcome(mcp.ServerUnavailable) {
				t.Errorf("record = %+v", e)
			}
		}
	}
}

func TestDirectKeepsArgumentsAndOwnTokens(t *testing.T) {
	w, m := single(t)
	const params = `{"name":"echo","arguments":{"agent_id":"x", "n":1e400},"_meta":{"progressToken":7,"io.modelcontextprotocol/protocolVersion":"2026-07-28","trace":1},"z":0}`
	m.answer = func(ctx context.Context, c *mcp.Call) (*mcp.Reply, error) {
		own := string(c.Params[strings.Index(string(c.Params), `"gatehouse-`):strings.Index(string(c.Params), `,"trace"`)])
		for _, token := range []string{own, `"other"`} {
			c.Stream.Notify("notifications/progress", []byte(`{"progress":0.50,"progressToken":`+token+`}`))
		}
		c.Stream.Notify("notifications/message", []byte(`{"level":"info"}`))
		if _, err := c.Stream.Ask(ctx, "roots/list", nil); err != nil {
			t.Errorf("Ask: %v", err)
		}
		return &mcp.Reply{Result: []byte(`{"content":[]}`)}, nil
	}
	for era, want := range map[mcp.Era]string{
		mcp.Legacy: `notifications/progress {"progress":0.50,"progressToken":7}|notifications/message {"level":"info"}|ask roots/list`,
		mcp.Modern: `notifications/progress {"progress":0.50,"progressToken":7}`,
	} {
		l := new(listener)
		d := request("s", "a", "tools/call", params)
		d.Era, d.Stream = era, l
		w.direct(d)
		if got := strings.Join(l.heard, "|"); got != want {
			t.Errorf("%v agent heard %s, want %s", era, got, want)
		}
	}
	got := string(m.called()[0].Params)
	if !strings.HasPrefix(got, `{"name":"echo","arguments":{"agent_id":"x", "n":1e400},"z":0,"_meta":{"progressToken":"gatehouse-`) || !strings.HasSuffix(got, `,"trace":1}}`) {
		t.Errorf("upstream got %s", got)
	}
}

func TestDirectGreetsInTheAgentsEra(t *testing.T) {
	w, m := single(t)
	legacy := &upstream.Hello{Result: []byte(`{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"x"},"instructions":"i"}`)}
	modern := &upstream.Hello{Era: mcp.Modern, Result: []byte(`{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"cacheScope":"public","ttlMs":9,"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"x"}}}`)}
	discover := `{"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"x"}},"capabilities":{"tools":{}}`
	for _, test := range []struct {
		era    mcp.Era
		method string
		hello  *upstream.Hello
		want   string
	}{
		{mcp.Legacy, "initialize", legacy, `{"protocolVersion":"2025-06-18","serverInfo":{"name":"x"},"capabilities":{"tools":{}},"instructions":"i"}`},
		{mcp.Legacy, "initialize", modern, `{"protocolVersion":"2025-11-25","serverInfo":{"name":"x"},"capabilities":{"tools":{}}}`},
		{mcp.Modern, "server/discover", legacy, discover + `,"instructions":"i"}`},
		{mcp.Modern, "server/discover", modern, discover + `}`},
	} {
		m.hello = test.hello
		d := request("s", "a", test.method, `{"protocolVersion":"2025-11-25"}`)
		d.Era = test.era
		if got := w.direct(d); got != test.want {
			t.Errorf("%s of a %v server = %s, want %s", test.method, test.hello.Era, got, test.want)
		}
	}
}

func TestDirectProvesTheCallerInItsTable(t *testing.T) {
	w, _ := single(t)
	d := request("s", "a", "tools/list", "")
	d.Authorization = "Bearer gwk_revoked"
	if _, err := w.Direct(t.Context(), d); !errors.Is(err, auth.ErrWrongKey) {
		t.Errorf("Direct = %v, want %v", err, auth.ErrWrongKey)
	}
	if e := w.journal.last(t); e.Outcome != record.Unauthenticated || e.Method != "tools/list" {
		t.Errorf("record = %+v", e)
	}
}
