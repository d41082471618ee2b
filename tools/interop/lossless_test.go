package interop_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// modern are the headers of a 2026-07-28 tools/call of execute_tool.
var modern = []string{"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "execute_tool"}

func execute(server, tool string, args any) object {
	return object{"name": "execute_tool", "arguments": object{"agent_id": "researcher", "server": server, "tool": tool, "args": args}}
}

func executeModern(server, tool string, args any) object {
	p := execute(server, tool, args)
	p["_meta"] = object{"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": object{}}
	return p
}

// TestResultsComeThroughByteForByte calls each odd tool through the gateway and compares with what the server wrote. In
// the modern era resultType is appended, and nothing else changes.
func TestResultsComeThroughByteForByte(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	url := start(t, object{"odd": stdioServer([]string{self}, object{"INTEROP_ODD_SERVER": "1"})})
	for name, want := range oddResults {
		if got := rawCall(t, url, "tools/call", execute("odd", name, object{})); string(got) != want {
			t.Errorf("%s, legacy:\n got %s\nwant %s", name, got, want)
		}
		got := string(rawCall(t, url, "tools/call", executeModern("odd", name, object{}), modern...))
		rest, ok := strings.CutPrefix(got, strings.TrimRight(strings.TrimSuffix(want, "}"), " "))
		if !ok || strings.ReplaceAll(rest, " ", "") != `,"resultType":"complete"}` {
			t.Errorf("%s, modern:\n got %s\nwant %s with resultType appended", name, got, want)
		}
	}
}

// TestNpmServersAnswerAsTheyDoDirectly compares results of the npm servers with and without the gateway in between.
func TestNpmServersAnswerAsTheyDoDirectly(t *testing.T) {
	servers, file := npmServers(t)
	url := start(t, servers)
	calls := []struct {
		server, tool string
		args         object
		argv         []string
	}{
		{"everything", "echo", object{"message": "naïve \u2028 <tag>"}, npmServer(t, "server-everything", "stdio")},
		{"everything", "get-sum", object{"a": 40, "b": 2}, npmServer(t, "server-everything", "stdio")},
		{"everything", "get-tiny-image", object{}, npmServer(t, "server-everything", "stdio")},
		{"everything", "get-structured-content", object{"location": "New York"}, npmServer(t, "server-everything", "stdio")},
		{"everything", "get-annotated-message", object{"messageType": "error", "includeImage": true}, npmServer(t, "server-everything", "stdio")},
		{"everything", "get-resource-links", object{"count": 3}, npmServer(t, "server-everything", "stdio")},
		{"everything", "echo", object{}, npmServer(t, "server-everything", "stdio")}, // refused by the tool: isError
		{"filesystem", "read_text_file", object{"path": file}, npmServer(t, "server-filesystem", file[:strings.LastIndex(file, "/")])},
	}
	for _, c := range calls {
		want := directCall(t, c.argv, nil, c.tool, c.args)
		if got := rawCall(t, url, "tools/call", execute(c.server, c.tool, c.args)); string(got) != string(want) {
			t.Errorf("%s %s:\n got %s\nwant %s", c.server, c.tool, got, want)
		}
	}
}

// TestStreamableHTTPUpstream reaches npm's everything server over Streamable HTTP.
func TestStreamableHTTPUpstream(t *testing.T) {
	addr := freeAddr(t)
	argv := npmServer(t, "server-everything", "streamableHttp")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "PORT="+addr[strings.LastIndex(addr, ":")+1:])
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	url := start(t, object{"everything-http": object{"type": "http", "url": "http://" + addr + "/mcp"}})
	want := directCall(t, npmServer(t, "server-everything", "stdio"), nil, "get-sum", object{"a": 1, "b": 2})
	var got string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if got = string(rawCall(t, url, "tools/call", execute("everything-http", "get-sum", object{"a": 1, "b": 2}))); got == string(want) {
			break
		}
	}
	if got != string(want) {
		t.Errorf("over HTTP:\n got %s\nwant %s\n%s", got, want, out.String())
	}
	for i := range 20 {
		args := object{"message": fmt.Sprint("again ", i)}
		if got := rawCall(t, url, "tools/call", execute("everything-http", "echo", args)); !strings.Contains(string(got), fmt.Sprint("again ", i)) {
			t.Errorf("call %d answered %s", i, got)
		}
	}
}
