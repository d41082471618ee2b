package dataplane_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestLimitsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([^ ]+) \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, row[1]+"="+row[2])
	}
	if got, want := strings.Join(documented, ", "), dataplane.LimitNames(); got != want {
		t.Errorf("docs/limits.md says\n%s\nthe code says\n%s", got, want)
	}
}

func TestLimitsAreReadAndWritten(t *testing.T) {
	var l dataplane.Limits
	for _, text := range []string{"body=1MiB,calls=7", " streams=3", "patience=1500ms", "held=1000", "message=2GiB"} {
		if err := l.Set(text); err != nil {
			t.Errorf("Set(%q) = %v", text, err)
		}
	}
	if got, want := l.String(), "body=1MiB,patience=1.5s,calls=7,streams=3,held=1000,message=2GiB"; got != want {
		t.Errorf("limits = %s, want %s", got, want)
	}
	all := dataplane.DefaultLimits()
	if err := l.Set(all.String()); err != nil || l != all {
		t.Errorf("Set(%q) = %v, limits %+v", all.String(), err, l)
	}
	for text, want := range map[string]string{
		"": "not name=value", "body": "not name=value", "bodies=1": `no limit "bodies"`, "body=0": "number of bytes", "body=-1": "number of bytes",
		"body=1MB": "number of bytes", "body=9999999999GiB": "number of bytes", "calls=1.5": "whole number", "calls=0": "whole number",
		"patience=5": "duration", "patience=-1s": "duration", "body=1,nope=2": `no limit "nope"`,
	} {
		if err := l.Set(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "header-names=100") {
			t.Errorf("Set(%q) = %v, want %q and the names", text, err, want)
		}
	}
}

func FuzzLimits(f *testing.F) {
	for _, seed := range []string{"body=1MiB,calls=7", "held=1023GiB", "patience=1h1m0s", "=", ",", "body=01", "notifications=9223372036854775807"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l, again dataplane.Limits
		if l.Set(text) != nil {
			return
		}
		if err := again.Set(l.String()); err != nil || again != l {
			t.Errorf("Set(%q) = %+v, and what it writes, %q, reads as %+v, %v", text, l, l.String(), again, err)
		}
	})
}

// limited starts a proxy with limits, whose servers are "everything" and those given; the key "k" is alice's.
func limited(t *testing.T, limits string, objects ...*gatehousev1.Object) (*proxy, *plane) {
	t.Helper()
	control := startControlPlane(t)
	servers := []string{"everything"}
	for _, o := range objects {
		servers = append(servers, o.GetName())
	}
	control.apply(append(objects, child("everything"), policy("alice", servers...), credential("laptop", "k", "alice"),
		credential("other", "k2", "alice"))...)
	var l dataplane.Limits
	if err := l.Set(limits); err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr, Auth: auth.Key, Limits: l, DrainTimeout: time.Second})
	p.waitReady()
	return p, control
}

// refusals waits until the metrics count so many refusals for a limit.
func (p *proxy) refusals(name string, want int) {
	p.t.Helper()
	line := fmt.Sprintf("gatehouse_limit_refusals_total{limit=%q} %d\n", name, want)
	eventually(p.t, line, func() bool { _, metrics := p.get("/metrics"); return strings.Contains(metrics, line) })
}

// raw sends text on a new connection, which the test closes at its end.
func (p *proxy) raw(text string) *conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, text); err != nil {
		p.t.Fatal(err)
	}
	return &conn{Conn: c, in: bufio.NewReader(c)}
}

// conn is a connection of an agent.
type conn struct {
	net.Conn
	in *bufio.Reader
}

// answer reads one response.
func (c *conn) answer() (status int, body string) {
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, err.Error()
	}
	return res.StatusCode, string(text)
}

// ends says whether nothing more comes and the connection is closed.
func (c *conn) ends() bool {
	_, err := io.Copy(io.Discard, c.in)
	return err == nil || !os.IsTimeout(err)
}

// head is a request's beginning, with key and JSON.
func head(request string, headers ...string) string {
	return request + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
}

const pingBody = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

var pingRequest = head("POST /mcp", "Content-Length: 40") + pingBody

func TestConnectionsAreBounded(t *testing.T) {
	p, _ := limited(t, "connections=3")
	var open []*conn
	for range 3 {
		c := p.raw(pingRequest)
		if status, body := c.answer(); status != http.StatusOK {
			t.Fatalf("answer = %d %s", status, body)
		}
		open = append(open, c)
	}
	for range 2 {
		if status, body := p.raw(pingRequest).answer(); status != http.StatusServiceUnavailable || !json.Valid([]byte(body)) {
			t.Errorf("answer over the bound = %d %s, want 503 and JSON", status, body)
		}
	}
	p.refusals("connections", 2)
	if _, err := io.WriteString(open[1], pingRequest); err != nil {
		t.Fatal(err)
	}
	if status, body := open[1].answer(); status != http.StatusOK {
		t.Errorf("answer on a connection that was there = %d %s", status, body)
	}
	open[0].Close()
	eventually(t, "a place is free", func() bool { status, _ := p.raw(pingRequest).answer(); return status == http.StatusOK })
}

func TestRequestsAreBounded(t *testing.T) {
	p, _ := limited(t, "headers=8KiB,header-names=20,body=1000,header-timeout=3s,idle-timeout=3s,patience=3s")
	// These three wait for a time to pass, together and long enough for the requests below to be there in time.
	half, slow, idle := p.raw("POST /mcp HTTP/1.1\r\nHost: loc"), p.raw(head("POST /mcp", "Content-Length: 40")+"{"), p.raw(pingRequest)
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("X-%d: y", i))
	}
	for _, c := range []struct {
		limit, request string
		status         int
	}{
		{"", head("POST /mcp", "X-Long: "+strings.Repeat("x", 20_000)), http.StatusRequestHeaderFieldsTooLarge},
		{"header-names", head("POST /mcp", many...), http.StatusRequestHeaderFieldsTooLarge},
		{"body", head("POST /mcp", "Content-Length: 1001") + strings.Repeat(" ", 1001), http.StatusRequestEntityTooLarge},
		{"", head("POST /mcp", "Content-Length: 200") + strings.Repeat("[", 200), http.StatusBadRequest}, // too deep
	} {
		if status, body := p.raw(c.request).answer(); status != c.status {
			t.Errorf("limit %s: answer = %d %s, want %d", c.limit, status, body, c.status)
		}
		if c.limit != "" {
			p.refusals(c.limit, 1)
		}
	}
	if status, body := slow.answer(); status != http.StatusRequestTimeout {
		t.Errorf("half a body: answer = %d %s, want 408", status, body)
	}
	p.refusals("patience", 1)
	if !half.ends() {
		t.Error("half a header stays, want the connection closed")
	}
	if status, _ := idle.answer(); status != http.StatusOK || !idle.ends() {
		t.Errorf("answer = %d, want 200 and then the end of an idle connection", status)
	}
}

// begin opens an agent's session and returns its id.
func (p *proxy) begin(key string) (session string) {
	p.t.Helper()
	hello := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}`
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.Addr()+"/mcp", strings.NewReader(hello))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.Header.Get("Mcp-Session-Id")
}

func TestStreamsOfAPrincipalAreBounded(t *testing.T) {
	p, control := limited(t, "streams=2")
	get := func(key string) *conn {
		text := "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer " + key + "\r\nMcp-Session-Id: " + p.begin(key) + "\r\n\r\n"
		return p.raw(text)
	}
	open := []*conn{get("k"), get("k")}
	for _, c := range open {
		if res, err := http.ReadResponse(c.in, nil); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("stream = %v, %v", res, err)
		}
	}
	refused := func(when string) {
		if status, body := get("k").answer(); status != http.StatusTooManyRequests || !strings.Contains(body, `"code":"RATE_LIMITED"`) {
			t.Errorf("stream over the bound, %s = %d %s, want 429 and RATE_LIMITED", when, status, body)
		}
	}
	refused("at first")
	revision := control.apply(policy("bob", "everything"))
	eventually(t, "the new revision is live", func() bool {
		_, metrics := p.get("/metrics")
		return strings.Contains(metrics, fmt.Sprintf("gatehouse_snapshot_revision %d\n", revision))
	})
	refused("after a change of the configuration")
	p.refusals("streams", 2)
	if res, err := http.ReadResponse(get("k2").in, nil); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("stream of another principal = %v, %v, want 200", res, err)
	}
	open[0].Close()
	eventually(t, "a stream may be opened again", func() bool {
		res, err := http.ReadResponse(get("k").in, nil)
		return err == nil && res.StatusCode == http.StatusOK
	})
}

func TestCallsOfAPrincipalAreBounded(t *testing.T) {
	p, control := limited(t, "calls=2")
	stuck := `{"server":"everything","tool":"stuck","timeout_ms":60000}`
	for range 2 {
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"execute_tool","arguments":` + stuck + `}}`
		p.raw(head("POST /mcp", fmt.Sprintf("Content-Length: %d", len(body))) + body)
	}
	eventually(t, "both calls are under way", func() bool {
		_, metrics := p.get("/metrics")
		return strings.Contains(metrics, "gatehouse_calls_under_way 2\n")
	})
	if got := p.call("k", "execute_tool", stuck); got.status != http.StatusOK || !strings.Contains(got.body, `"isError":true`) || !strings.Contains(got.body, `"code":"RATE_LIMITED"`) {
		t.Errorf("call over the bound = %+v, want a result RATE_LIMITED", got)
	}
	revision := control.apply(policy("bob", "everything"))
	eventually(t, "the new revision is live", func() bool {
		_, metrics := p.get("/metrics")
		return strings.Contains(metrics, fmt.Sprintf("gatehouse_snapshot_revision %d\n", revision))
	})
	for message, want := range map[string]string{
		`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"echo"}}`: `"isError":true`,
		`{"jsonrpc":"2.0","id":3,"method":"prompts/list"}`:                        `"error":{"code":-32602,`,
	} {
		_, body := p.raw(head("POST /mcp/everything", fmt.Sprintf("Content-Length: %d", len(message))) + message).answer()
		if !strings.Contains(body, want) || !strings.Contains(body, `"code":"RATE_LIMITED"`) {
			t.Errorf("%s over the bound, in the next revision = %s, want %s and RATE_LIMITED", message, body, want)
		}
	}
	p.refusals("calls", 3)
	if got := p.call("k2", "execute_tool", echo); !strings.Contains(got.body, `"content"`) {
		t.Errorf("call of another principal = %+v", got)
	}
}

// talker is an MCP server over HTTP; its tools are what it does with a call, given the call's id.
func talker(t *testing.T, tools map[string]func(w http.ResponseWriter, r *http.Request, id string)) *gatehousev1.Object {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     json.RawMessage
			Method string
			Params struct{ Name string }
		}
		if json.NewDecoder(r.Body).Decode(&m) != nil || m.ID == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		switch {
		case m.Method == "initialize":
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"t","version":"1"}}}`, m.ID)
		case m.Method == "tools/list" && tools["tools/list"] == nil:
			names := []string{}
			for name := range tools {
				names = append(names, `{"name":"`+name+`","inputSchema":{"type":"object"}}`)
			}
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"tools":[%s]}}`, m.ID, strings.Join(names, ","))
		case m.Method == "tools/list":
			tools["tools/list"](w, r, string(m.ID))
		case m.Method == "tools/call":
			tools[m.Params.Name](w, r, string(m.ID))
		default:
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`, m.ID)
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return remote(strings.Split(strings.TrimPrefix(t.Name(), "Test"), "/")[0], s.URL)
}

// remote defines a server behind a URL.
func remote(name, url string) *gatehousev1.Object {
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Server{Server: &gatehousev1.Server{
		Transport: &gatehousev1.Server_Http{Http: &gatehousev1.Http{Url: url, Transport: gatehousev1.HttpTransport_HTTP_TRANSPORT_STREAMABLE_HTTP}},
	}}}
}

func TestServersAreBounded(t *testing.T) {
	text := func(n int) string { return `{"content":[{"type":"text","text":"` + strings.Repeat("x", n) + `"}]}` }
	started, release := make(chan struct{}), make(chan struct{})
	server := talker(t, map[string]func(http.ResponseWriter, *http.Request, string){
		"big": func(w http.ResponseWriter, _ *http.Request, id string) {
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, id, text(70_000))
		},
		"headers": func(w http.ResponseWriter, _ *http.Request, id string) {
			w.Header().Set("X-Long", strings.Repeat("x", 20_000))
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, id, text(1))
		},
		"chatter": func(w http.ResponseWriter, _ *http.Request, id string) {
			w.Header().Set("Content-Type", "text/event-stream")
			for range 12 {
				fmt.Fprint(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":1}}\n\n")
			}
			fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}\n\n", id, text(1))
		},
		"away": func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
		},
		"wait": func(w http.ResponseWriter, r *http.Request, id string) {
			close(started)
			select {
			case <-release:
			case <-r.Context().Done():
			}
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, id, text(1))
		},
	})
	p, _ := limited(t, "message=64KiB,answer-headers=4KiB,notifications=10,redirects=2,server-calls=1", server)
	execute := func(tool string) string {
		return p.call("k", "execute_tool", `{"server":"ServersAreBounded","tool":"`+tool+`"}`).body
	}
	for tool, c := range map[string]struct{ code, message, limit string }{
		"big":     {"UPSTREAM_ERROR", "too big", "message"},
		"headers": {"SERVER_UNAVAILABLE", "", ""},
		"chatter": {"UPSTREAM_ERROR", "talks without end", "notifications"},
		"away":    {"SERVER_UNAVAILABLE", "redirects without end", "redirects"},
	} {
		if got := execute(tool); !strings.Contains(got, `"code":"`+c.code+`"`) || !strings.Contains(got, c.message) {
			t.Errorf("%s = %.300s, want %s and %q", tool, got, c.code, c.message)
		}
		if c.limit != "" {
			p.refusals(c.limit, 1)
		}
	}
	done := make(chan string)
	go func() { done <- execute("wait") }()
	<-started
	if got := execute("big"); !strings.Contains(got, `"code":"RATE_LIMITED"`) {
		t.Errorf("call over the bound = %.300s, want RATE_LIMITED", got)
	}
	close(release)
	if got := <-done; !strings.Contains(got, `"content"`) {
		t.Errorf("the first call = %.300s", got)
	}
}
