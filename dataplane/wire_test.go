package dataplane_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// mirrorEnv makes the test binary a mirror on stdin and stdout; its value is the version that the mirror speaks.
const mirrorEnv = "DATAPLANE_TEST_MIRROR"

// mirror is an MCP server that says what it was asked, in words of which typed proxies lose some.
type mirror struct {
	version string

	mu    sync.Mutex // guards below
	heard []string   // notifications
}

// What a mirror says of its tools and its errors.
const (
	mirrorTools = `"tools":[ {"name":"a","icons":[{"src":"data:,x","sizes":["1x1"],"theme":"dark"}],"annotations":{"title":"T","readOnlyHint":true,"x/hint":1.0},` +
		`"inputSchema":{"type":"object","$comment":"\u00e9\/"},"outputSchema":{"type":"object"},"title":null,"x-vendor":{"n":1e400}} ],"x":[1,2.50]`
	mirrorError = `{"code":-31999,"message":"\u0041 fault","data":{"n":1e400,"z":null}}`
)

// answer is the answer to a message; empty where there is none.
func (m *mirror) answer(message []byte) string {
	var q struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	if json.Unmarshal(message, &q) != nil || q.Method == "" {
		return ""
	}
	if q.ID == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.heard = append(m.heard, q.Method+" "+string(q.Params))
		return ""
	}
	if q.Params == nil {
		q.Params = []byte("null")
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,%s}`, q.ID, m.result(q.Method, string(q.Params)))
}

// result is what stands beside the id of an answer.
func (m *mirror) result(method, params string) string {
	isModern := m.version == "2026-07-28"
	switch method {
	case "server/discover", "initialize":
		if isModern != (method == "server/discover") {
			return `"error":{"code":-32601,"message":"no such method"}`
		}
		return `"result":{"supportedVersions":["2026-07-28"],"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"m","version":"1"}}`
	case "tools/list":
		if isModern {
			return `"result":{"resultType":"complete","ttlMs":5,"cacheScope":"private",` + mirrorTools + `}`
		}
		return `"result":{` + mirrorTools + `}`
	case "vendor/fail":
		return `"error":` + mirrorError
	case "vendor/heard":
		m.mu.Lock()
		defer m.mu.Unlock()
		return `"result":{"heard":` + quoted(strings.Join(m.heard, "|")) + `}`
	}
	return `"result":{ "resultType":"complete","method":` + quoted(method) + ` , "params":` + params + `,"_meta":{"v/a":[1.0]},"big":9007199254740993,"none":null}`
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// ServeHTTP makes a mirror a server over Streamable HTTP.
func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	text := m.answer(body)
	if text == "" {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, text)
}

// servePipe makes a mirror a server over stdio.
func (m *mirror) servePipe() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if text := m.answer(lines.Bytes()); text != "" {
			fmt.Println(text)
		}
	}
}

// mirrors starts a proxy in front of mirrors over both transports, of one version.
func mirrors(t *testing.T, version string) *proxy {
	web := httptest.NewServer(&mirror{version: version})
	t.Cleanup(web.Close)
	exe, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	define := func(name string, s *gatehousev1.Server) *gatehousev1.Object {
		return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Server{Server: s}}
	}
	control := startControlPlane(t)
	control.apply(policy("a", "http", "stdio"),
		define("http", &gatehousev1.Server{Transport: &gatehousev1.Server_Http{Http: &gatehousev1.Http{Url: web.URL}}}),
		define("stdio", &gatehousev1.Server{Transport: &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{
			Command: exe, Env: map[string]string{mirrorEnv: version, "GORACE": "atexit_sleep_ms=0"},
		}}}))
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr, Auth: auth.None})
	p.waitReady()
	return p
}

// post sends a message to a single server with some headers, and returns the answer.
func (p *proxy) post(server, message string, headers ...string) (resp *http.Response, body string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.Addr()+"/mcp/"+server, strings.NewReader(message))
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Gatehouse-Agent", "a")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err = client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp, string(text)
}

// Ids keep their value and their type, as they are written.
var wireIDs = []string{`1`, `"1"`, `0`, `-7`, `9007199254740993`, `123456789012345678901234567890`, `""`, `"\u00e9\/ 1e3"`}

func TestEverythingPassesBetweenPeersOfOneEra(t *testing.T) {
	const (
		unknown = `"name":"a","Name2":1e400,"z":{"a":1,"a":2},"n":-0.0,"s":"\u0041\ud800\/"`
		vendor  = `"v/x":[ 1 , 2.50 ],"traceparent":"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01","io.modelcontextprotocol/strange":{"k":null}`
		own     = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"x/y":{ }},` +
			`"io.modelcontextprotocol/clientInfo":{"name":"agent","version":"1","icons":[]}`
	)
	for _, version := range []string{"2025-11-25", "2026-07-28"} {
		p := mirrors(t, version)
		meta, page := `"_meta":{`+vendor+`}`, `{`+mirrorTools+`}`
		if version == "2026-07-28" {
			meta, page = `"_meta":{`+own+`,`+vendor+`}`, `{"resultType":"complete","ttlMs":5,"cacheScope":"private",`+mirrorTools+`}`
		}
		ask := func(server, id, method, params string) string {
			headers := []string{"MCP-Protocol-Version", version}
			if version == "2026-07-28" {
				headers = append(headers, "Mcp-Method", method)
				if method == "tools/call" || method == "prompts/get" {
					headers = append(headers, "Mcp-Name", "a")
				}
			}
			_, body := p.post(server, `{"jsonrpc":"2.0","id":`+id+`,"method":"`+method+`","params":`+params+`}`, headers...)
			return body
		}
		for _, server := range []string{"http", "stdio"} {
			for _, method := range []string{"vendor/do", "tools/call", "prompts/get", "x"} {
				params := `{` + unknown + `,` + meta + `}`
				want := `{"jsonrpc":"2.0","id":1,"result":{ "resultType":"complete","method":"` + method + `" , "params":` + params +
					`,"_meta":{"v/a":[1.0]},"big":9007199254740993,"none":null}}`
				if got := ask(server, "1", method, params); got != want {
					t.Errorf("%s to a server of %s over %s:\n got %s\nwant %s", method, version, server, got, want)
				}
			}
			for _, id := range wireIDs {
				if got, want := ask(server, id, "vendor/fail", `{`+meta+`}`), `{"jsonrpc":"2.0","id":`+id+`,"error":`+strings.Replace(mirrorError, `\u0041`, "A", 1)+`}`; got != want {
					t.Errorf("error of a server of %s over %s:\n got %s\nwant %s", version, server, got, want)
				}
			}
			want := `{"jsonrpc":"2.0","id":1,"result":` + strings.Replace(strings.Replace(page, "[ {", "[{", 1), "} ]", "}]", 1) + `}`
			if got := ask(server, "1", "tools/list", `{`+meta+`}`); got != want {
				t.Errorf("tools/list of a server of %s over %s:\n got %s\nwant %s", version, server, got, want)
			}
		}
	}
}

func TestNotificationsOfASessionReachItsServer(t *testing.T) {
	p := mirrors(t, "2025-11-25")
	const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true}},"clientInfo":{"name":"a","version":"1"}}}`
	resp, _ := p.post("stdio", hello)
	session := []string{"Mcp-Session-Id", resp.Header.Get("Mcp-Session-Id")}
	for _, message := range []string{
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		`{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`,
		`{"jsonrpc":"2.0","method":"notifications/vendor","params":{"a":1e400,"_meta":{"v/x":1}}}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}`,
	} {
		if resp, body := p.post("stdio", message, session...); resp.StatusCode != http.StatusAccepted || body != "" {
			t.Errorf("%s = %s %s, want 202", message, resp.Status, body)
		}
	}
	_, got := p.post("stdio", `{"jsonrpc":"2.0","id":2,"method":"vendor/heard"}`, session...)
	want := `{"jsonrpc":"2.0","id":2,"result":{"heard":"notifications/initialized |notifications/roots/list_changed |notifications/vendor {\"a\":1e400,\"_meta\":{\"v/x\":1}}"}}`
	if got != want {
		t.Errorf("server heard %s, want %s", got, want)
	}
	if _, got := p.post("stdio", `{"jsonrpc":"2.0","id":2,"method":"vendor/heard"}`); strings.Contains(got, "vendor {") {
		t.Errorf("another session heard %s", got)
	}
}
