package interop_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// client calls one tool of the gateway and returns its result as JSON.
type client func(t *testing.T, name string, args object) string

// TestAgentSeesAndDoesWhatItsPolicyAllows runs the same story through every client, in each era that it speaks:
// researcher sees two of the three servers and their permitted tools, executes one on each, and is denied the rest.
func TestAgentSeesAndDoesWhatItsPolicyAllows(t *testing.T) {
	servers, file := npmServers(t)
	url := start(t, servers)
	clients := map[string]client{
		"go-sdk legacy":         goSDK(url, "2025-11-25"),
		"go-sdk modern":         goSDK(url, "2026-07-28"),
		"typescript-sdk legacy": typeScriptSDK(url),
		"inspector legacy":      inspector(url, "legacy"),
		"inspector modern":      inspector(url, "modern"),
	}
	for name, call := range clients {
		t.Run(name, func(t *testing.T) { story(t, call, file) })
	}
}

func story(t *testing.T, call client, file string) {
	me := "researcher"
	expect(t, call(t, "list_servers", object{"agent_id": me}), []string{`everything`, `filesystem`}, []string{"memory", "isError\":true"})
	expect(t, call(t, "get_server_tools", object{"agent_id": me, "server": "everything"}),
		[]string{`"echo"`, `get-sum`, `total_available`}, []string{"get-env", "toggle-simulated-logging"})
	expect(t, call(t, "execute_tool", object{"agent_id": me, "server": "everything", "tool": "get-sum", "args": object{"a": 40, "b": 2}}),
		[]string{"The sum of 40 and 2 is 42"}, []string{`"isError":true`})
	expect(t, call(t, "execute_tool", object{"agent_id": me, "server": "filesystem", "tool": "read_text_file", "args": object{"path": file}}),
		[]string{"hello from a file"}, []string{`"isError":true`})
	for _, denied := range [][2]string{{"everything", "get-env"}, {"filesystem", "write_file"}, {"memory", "read_graph"}, {"nowhere", "x"}} {
		expect(t, call(t, "execute_tool", object{"agent_id": me, "server": denied[0], "tool": denied[1]}), []string{"DENIED_BY_POLICY", `"isError":true`}, nil)
	}
	expect(t, call(t, "execute_tool", object{"agent_id": "stranger", "server": "everything", "tool": "echo"}), []string{"INVALID_AGENT_ID"}, nil)
}

// expect checks a result, white space aside, for what it must and must not hold.
func expect(t *testing.T, got string, want, never []string) {
	t.Helper()
	for _, s := range want {
		if !strings.Contains(got, s) {
			t.Errorf("result lacks %q:\n%s", s, got)
		}
	}
	for _, s := range never {
		if strings.Contains(got, s) {
			t.Errorf("result holds %q:\n%s", s, got)
		}
	}
}

// goSDK is the official Go SDK.
func goSDK(url, version string) client {
	return func(t *testing.T, name string, args object) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := mcp.NewClient(&mcp.Implementation{Name: "interop", Version: "1"}, nil)
		session, err := c.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: url}, &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if got := session.InitializeResult().ProtocolVersion; got != "" && got != version {
			t.Errorf("negotiated %s, want %s", got, version)
		}
		result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: args})
		if err != nil {
			t.Fatal(err)
		}
		return compact(t, result)
	}
}

func compact(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// typeScriptSDK is the TypeScript SDK; the pinned release speaks the legacy era.
func typeScriptSDK(url string) client {
	return func(t *testing.T, name string, args object) string {
		out := run(t, []string{node(t), path(t, "client.mjs"), url, name, compact(t, args)})
		return recompact(t, out)
	}
}

// inspector is the Inspector CLI. It exits with 5 where a tool says isError.
func inspector(url, era string) client {
	return func(t *testing.T, name string, args object) string {
		argv := []string{node(t), path(t, "node_modules", "@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js"),
			"--cli", "--format", "json", "--protocol-era", era, "--server-url", url, "--transport", "http",
			"--method", "tools/call", "--tool-name", name}
		for key, value := range args {
			text, ok := value.(string)
			if !ok {
				text = compact(t, value)
			}
			argv = append(argv, "--tool-arg", key+"="+text)
		}
		return recompact(t, run(t, argv, 5))
	}
}

// recompact takes insignificant white space out of a JSON document.
func recompact(t *testing.T, doc []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatalf("%v in %q", err, doc)
	}
	return compact(t, v)
}
