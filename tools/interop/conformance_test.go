package interop_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// anybody lets callers that name no agent use everything: the suite knows nothing of agents.
var anybody = object{
	"agents":   object{"default": object{"allow": object{"servers": []string{"*"}}}},
	"defaults": object{"deny_on_missing_agent": false},
}

// intermediaries are the scenarios that the suite runs without scoring them, and that are made for what stands in between.
var intermediaries = []string{"http-header-validation", "http-custom-header-server-validation"}

// apart are checks of one server that changes, which three processes are not: over stdio each gateway has one of its own, and
// what a call does to it the other two do not know. The third compares lists after calls that added a tool to one of the
// three; while no call has changed them, it has to pass as well.
var apart = []string{
	"server-stateless: sep-2575-server-sends-prompts-list-changed-on-subscription",
	"server-stateless: sep-2575-server-sends-tools-list-changed-on-subscription",
	"tools-list: tools-list-deterministic-order",
}

// TestConformance runs the MCP conformance suite against the Go SDK's everything server, alone and behind /mcp/{server},
// through one gateway and through three behind a balancer that deals requests out in turn. Two gates: the suite's own, that no
// scored scenario fails, and that nothing which passes against the server alone does not pass through the gateway, whether it
// is scored or not. Over stdio the server is held to what it does over HTTP.
func TestConformance(t *testing.T) {
	fixture := filepath.Join(t.TempDir(), "everything-server")
	run(t, []string{"go", "build", "-o", fixture, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"})
	for _, era := range []struct {
		name, requirements, stateless string
		but                           []string // with three gateways over stdio; a legacy session has one home
	}{
		{"legacy", "2025-11-25", "-stateless=false", nil},
		{"modern", "2026-07-28", "-stateless=true", apart},
	} {
		t.Run(era.name, func(t *testing.T) {
			direct := conform(t, serveFixture(t, fixture, era.stateless), era.requirements)
			for _, c := range []struct {
				name  string
				start func(t *testing.T, servers, rules object) (url string)
				stdio bool
				but   []string
			}{
				{"HTTP", startWith, false, nil},
				{"stdio", startWith, true, nil},
				{"HTTP, three gateways", startThree, false, nil},
				{"stdio, three gateways", startThree, true, era.but},
			} {
				t.Run(c.name, func(t *testing.T) {
					server := stdioServer([]string{fixture}, object{})
					if !c.stdio {
						server = object{"type": "http", "url": serveFixture(t, fixture, era.stateless)}
					}
					through := conform(t, c.start(t, object{"fixture": server}, anybody)+"/fixture", era.requirements)
					for _, loss := range worse(direct, through) {
						if !slices.ContainsFunc(c.but, func(check string) bool { return strings.HasPrefix(loss, check+": ") }) {
							t.Error(loss)
						}
					}
				})
			}
		})
	}
	t.Run("order of tools, stdio, three gateways", func(t *testing.T) {
		sameOrder(t, startThree(t, object{"fixture": stdioServer([]string{fixture}, object{})}, anybody)+"/fixture")
	})
}

// conform runs the suite, which must not fail, against a URL.
func conform(t *testing.T, url, requirements string) map[string]outcome {
	t.Helper()
	suite := path(t, "node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")
	folder := t.TempDir()
	out := run(t, []string{node(t), suite, "server", "--url", url, "--requirements", requirements, "-o", folder})
	for line := range bytes.Lines(out) {
		if bytes.HasPrefix(line, []byte("Total: ")) {
			t.Logf("%s: %s", url, bytes.TrimSpace(line))
		}
	}
	all := outcomes(t, folder)
	if requirements == "2026-07-28" {
		for _, scenario := range intermediaries {
			if o := all[scenario+": wire-schema-valid"]; o.passed == 0 {
				t.Errorf("scenario %s was not run", scenario)
			}
			for name, o := range all {
				if strings.HasPrefix(name, scenario+": ") && o.failed > 0 {
					t.Errorf("%s fails %d times", name, o.failed)
				}
			}
		}
	}
	return all
}

// sameOrder has the suite ask for the tools a few times, and nothing else.
func sameOrder(t *testing.T, url string) {
	t.Helper()
	suite, folder := path(t, "node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js"), t.TempDir()
	run(t, []string{node(t), suite, "server", "--url", url, "--scenario", "tools-list", "--spec-version", "2026-07-28", "-o", folder})
	if o := outcomes(t, folder)["tools-list: tools-list-deterministic-order"]; o.passed != 1 {
		t.Errorf("the order of the tools is not always the same: %+v", o)
	}
}

// serveFixture runs the fixture over Streamable HTTP and returns its URL once it answers.
func serveFixture(t *testing.T, fixture string, flags ...string) string {
	t.Helper()
	addr := freeAddr(t)
	cmd := exec.Command(fixture, append([]string{"-http", addr}, flags...)...)
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
