package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// anybody lets callers that name no agent use everything: the suite knows nothing of agents.
var anybody = object{
	"agents":   object{"default": object{"allow": object{"servers": []string{"*"}}}},
	"defaults": object{"deny_on_missing_agent": false},
}

// TestConformance runs the MCP conformance suite against /mcp/{server}, in front of the Go SDK's everything server, through
// one gateway and through three behind a balancer that deals requests out in turn. The gate is the suite's own: no scored
// scenario fails. It can be run against the server alone with the same commands.
func TestConformance(t *testing.T) {
	fixture := filepath.Join(t.TempDir(), "everything-server")
	run(t, []string{"go", "build", "-o", fixture, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"})
	for _, gateways := range []struct {
		name  string
		start func(t *testing.T, servers, rules object) (url string)
	}{
		{"one gateway", startWith},
		{"three gateways", startThree},
	} {
		for _, c := range []struct {
			name, requirements string
			stateless          string // the fixture's flag over HTTP; empty runs it over stdio
		}{
			{"legacy over HTTP", "2025-11-25", "-stateless=false"},
			{"legacy over stdio", "2025-11-25", ""},
			{"modern over HTTP", "2026-07-28", "-stateless=true"},
			{"modern over stdio", "2026-07-28", ""},
		} {
			t.Run(gateways.name+"/"+c.name, func(t *testing.T) {
				server := stdioServer([]string{fixture}, object{})
				if c.stateless != "" {
					server = object{"type": "http", "url": serveFixture(t, fixture, c.stateless)}
				}
				url := gateways.start(t, object{"fixture": server}, anybody)
				suite := path(t, "node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")
				run(t, []string{node(t), suite, "server", "--url", url + "/fixture", "--requirements", c.requirements, "-o", t.TempDir()})
			})
		}
	}
}

// serveFixture runs the fixture over Streamable HTTP and returns its URL once it answers.
func serveFixture(t *testing.T, fixture, stateless string) string {
	t.Helper()
	addr := freeAddr(t)
	cmd := exec.Command(fixture, "-http", addr, stateless)
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = os.Environ()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c, err := dial(addr); err == nil {
			c.Close()
			return "http://" + addr + "/mcp"
		}
	}
	t.Fatalf("the fixture does not listen:\n%s", out.String())
	return ""
}
