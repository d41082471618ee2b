package interop_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// upstreamTool is what a test needs to know of a tool in order to call it.
type upstreamTool struct {
	Name        string `json:"name"`
	InputSchema struct {
		Properties map[string]struct {
			Type   any             `json:"type"`
			Enum   []any           `json:"enum"`
			Header string          `json:"x-mcp-header"`
			Min    json.RawMessage `json:"minimum"`
		} `json:"properties"`
		Required []string `json:"required"`
	} `json:"inputSchema"`
}

// args makes arguments that the tool's schema lets pass, and the headers that mirror them.
func (u *upstreamTool) args() (args object, header []string) {
	args = object{}
	for _, name := range u.InputSchema.Required {
		p := u.InputSchema.Properties[name]
		switch {
		case len(p.Enum) > 0:
			args[name] = p.Enum[0]
		case p.Type == "number", p.Type == "integer":
			args[name] = 2
		case p.Type == "boolean":
			args[name] = true
		case p.Type == "array":
			args[name] = []any{}
		case p.Type == "object":
			args[name] = object{}
		default:
			args[name] = "naïve"
		}
		if p.Header != "" {
			header = append(header, "Mcp-Param-"+p.Header, "=?base64?bmHDr3Zl?=")
		}
	}
	return args, header
}

// speaker sends a request to a server, without a gateway in between, and returns the message that answers it; nil says that
// none came.
type speaker func(method string, params object, header ...string) []byte

// modernParams adds what each request of the modern era says.
func modernParams(params object) object {
	params["_meta"] = object{
		"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": object{},
	}
	return params
}

// overHTTP speaks to a server's URL in an era.
func overHTTP(t *testing.T, url string, isModern bool) speaker {
	session, id := "", 0
	post := func(body object, header ...string) *http.Response {
		req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(compact(t, body)))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		if session != "" {
			req.Header.Set("Mcp-Session-Id", session)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		session = cmp.Or(resp.Header.Get("Mcp-Session-Id"), session)
		return resp
	}
	speak := func(method string, params object, header ...string) []byte {
		body := object{"jsonrpc": "2.0", "method": method, "params": params}
		if !strings.HasPrefix(method, "notifications/") {
			id++ // the server may never answer one
			body["id"] = id
		}
		resp := post(body, header...)
		defer resp.Body.Close()
		return answerIn(resp.Body, func(refusal object) { post(refusal).Body.Close() })
	}
	if isModern {
		return func(method string, params object, header ...string) []byte {
			header = append(header, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", method)
			if name, ok := params["name"].(string); ok {
				header = append(header, "Mcp-Name", name)
			}
			return speak(method, modernParams(params), header...)
		}
	}
	speak("initialize", object{"protocolVersion": "2025-11-25", "capabilities": object{}, "clientInfo": object{"name": "direct", "version": "1"}})
	speak("notifications/initialized", object{})
	return speak
}

// answerIn finds the answer to a request in a body, which may be a stream with other messages before it. What the server asks
// meanwhile is refused, as the gateway does.
func answerIn(body io.Reader, refuse func(object)) []byte {
	lines := bufio.NewReader(body)
	for {
		line, err := lines.ReadBytes('\n')
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			line = data
		}
		var m struct {
			ID     any
			Method string
		}
		if json.Unmarshal(line, &m) == nil && m.ID != nil {
			if m.Method == "" {
				return bytes.TrimSpace(line)
			}
			refuse(object{"jsonrpc": "2.0", "id": m.ID, "error": object{"code": -32601, "message": "the gateway does not offer " + m.Method}})
		}
		if err != nil {
			return nil
		}
	}
}

// overPipe speaks to a server that it starts, in an era.
func overPipe(t *testing.T, argv []string, isModern bool) speaker {
	cmd := exec.Command(argv[0], argv[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines, id := bufio.NewReader(out), 0
	speak := func(method string, params object, _ ...string) []byte {
		id++
		if isModern {
			params = modernParams(params)
		}
		fmt.Fprintln(in, compact(t, object{"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
		return answer(t, lines, id)
	}
	if !isModern {
		speak("initialize", object{"protocolVersion": "2025-11-25", "capabilities": object{}, "clientInfo": object{"name": "direct", "version": "1"}})
		fmt.Fprintln(in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	}
	return speak
}

// TestEveryToolAnswersThroughExecuteToolAsItDoesDirectly calls each tool of the fixture, which nobody can answer here where it
// asks something, with and without the gateway in between, and compares the bytes of the results. The suite cannot see that.
func TestEveryToolAnswersThroughExecuteToolAsItDoesDirectly(t *testing.T) {
	fixture := filepath.Join(t.TempDir(), "everything-server")
	run(t, []string{"go", "build", "-o", fixture, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"})
	npm := npmServer(t, "server-everything", "stdio")
	t.Run("HTTP with sessions", func(t *testing.T) {
		url := serveFixture(t, fixture, "-stateless=false")
		replay(t, object{"type": "http", "url": url}, overHTTP(t, url, false))
	})
	t.Run("HTTP without sessions", func(t *testing.T) {
		url := serveFixture(t, fixture, "-stateless=true")
		replay(t, object{"type": "http", "url": url}, overHTTP(t, url, true))
	})
	t.Run("stdio", func(t *testing.T) {
		replay(t, stdioServer([]string{fixture}, object{}), overPipe(t, []string{fixture}, true))
	})
	t.Run("npm over stdio", func(t *testing.T) {
		replay(t, stdioServer(npm, object{}), overPipe(t, npm, false),
			"get-env",                                               // says where the server runs
			"gzip-file-as-resource",                                 // fetches from the network
			"toggle-simulated-logging", "toggle-subscriber-updates", // say the opposite each time
			"trigger-long-running-operation", // takes as long as it is told
			"simulate-research-query",        // has to be called as a task
		)
	})
}

// replay calls all tools but some.
func replay(t *testing.T, server object, direct speaker, but ...string) {
	url := startWith(t, object{"fixture": server}, anybody)
	var list struct{ Tools []upstreamTool }
	if err := json.Unmarshal(resultOf(t, direct("tools/list", object{})), &list); err != nil || len(list.Tools) < 5 {
		t.Fatalf("the server lists %d tools: %v", len(list.Tools), err)
	}
	for _, tool := range list.Tools {
		if slices.Contains(but, tool.Name) {
			continue
		}
		args, header := tool.args()
		want := direct("tools/call", object{"name": tool.Name, "arguments": args}, header...)
		params := object{"name": "execute_tool", "arguments": object{"server": "fixture", "tool": tool.Name, "args": args}}
		legacy := rawCall(t, url, "tools/call", params)
		compare(t, tool.Name+" for a legacy agent", want, legacy, "")
		compare(t, tool.Name+" for a modern agent", want, rawCall(t, url, "tools/call", modernParams(params), modern...), `,"resultType":"complete"}`)
	}
}

// compare holds a result of execute_tool against what the server said itself, which may be an error, or nothing: those are
// results too. Only what is appended may differ.
func compare(t *testing.T, name string, want []byte, got json.RawMessage, appended string) {
	t.Helper()
	var said struct{ Result, Error json.RawMessage }
	if want != nil {
		if err := json.Unmarshal(want, &said); err != nil {
			t.Fatalf("%s: %v in %s", name, err, want)
		}
	}
	if said.Result != nil {
		if whole := string(said.Result); string(got) != whole && (appended == "" || string(got) != strings.TrimSuffix(whole, "}")+appended) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, whole)
		}
		return
	}
	var refused struct {
		StructuredContent struct {
			Error struct {
				Code     string
				Upstream json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(got, &refused); err != nil {
		t.Fatalf("%s: %v in %s", name, err, got)
	}
	e := refused.StructuredContent.Error
	if said.Error == nil && e.Code != "SERVER_UNAVAILABLE" || said.Error != nil && (e.Code != "UPSTREAM_ERROR" || string(e.Upstream) != string(said.Error)) {
		t.Errorf("%s:\n got %s\nwant the error %s", name, got, said.Error)
	}
}
