package system_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// laptop is a gwctl up on two seed files.
type laptop struct {
	proxy
	mcpConfig, rules string
	c                *controlPlane
}

func startLaptop(t *testing.T) *laptop {
	t.Helper()
	dir := t.TempDir()
	l := &laptop{mcpConfig: filepath.Join(dir, ".mcp.json"), rules: filepath.Join(dir, "rules.json"), c: &controlPlane{addr: freeAddr(t)}}
	l.id, l.addr, l.admin, l.state = "laptop", freeAddr(t), freeAddr(t), filepath.Join(dir, "data")
	l.write(t, l.mcpConfig, seedServers(map[string]any{"demo": seedDemo()}))
	l.write(t, l.rules, seedRules("echo"))
	l.program = launch(t, "gwctl", "up", "--mcp-config", l.mcpConfig, "--rules", l.rules, "--auth", "none", "--data-dir", l.state,
		"--listen", l.addr, "--admin-listen", l.admin, "--control-listen", l.c.addr)
	l.waitReady(t)
	return l
}

func seedDemo() map[string]any {
	return map[string]any{"command": filepath.Join(bin, "gwctl"), "args": []string{"demo-server"}}
}

func seedServers(servers map[string]any) string {
	b, _ := json.Marshal(map[string]any{"mcpServers": servers})
	return string(b)
}

// seedRules lets agent a use one tool of the demo server.
func seedRules(tool string) string {
	return `{"agents": {"a": {"allow": {"servers": ["demo", "other", "bad"], "tools": {"demo": ["` + tool + `"]}}}}}`
}

// write replaces a file in place, as editors do that do not rename.
func (l *laptop) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// code is what agent a gets for a call of a tool.
func (l *laptop) code(server, tool string) string {
	a := l.execute("a", server, tool, map[string]any{"message": "m", "a": 1, "b": 2})
	if a.err != nil {
		return a.err.Error()
	}
	return a.code
}

// expectRefused waits until the gateway has said what is wrong, and that it goes on as before.
func (l *laptop) expectRefused(t *testing.T, words ...string) {
	t.Helper()
	eventually(t, "the refusal says "+strings.Join(words, ", "), func() bool {
		for _, w := range words {
			if !strings.Contains(l.out.String(), w) {
				return false
			}
		}
		return true
	})
	if code := l.code("demo", "echo"); code != "" {
		t.Errorf("after a refused file, echo gives %q, want it to work as before", code)
	}
}

// TestWatchedFilesAreLiveOrRefused: an edit is live soon, and every kind of wrong file leaves the gateway as it was and
// says where and what is wrong.
func TestWatchedFilesAreLiveOrRefused(t *testing.T) {
	l := startLaptop(t)
	eventually(t, "the first configuration serves", func() bool { return l.code("demo", "echo") == "" })

	edited := time.Now()
	l.write(t, l.rules, seedRules("add"))
	eventually(t, "the edit is live", func() bool { return l.code("demo", "echo") == "DENIED_BY_POLICY" && l.code("demo", "add") == "" })
	t.Logf("an edit was live after %v", time.Since(edited))
	l.write(t, l.rules, seedRules("echo"))
	eventually(t, "the edit is undone", func() bool { return l.code("demo", "echo") == "" })

	l.write(t, l.rules, `{"agents": {"a": `)
	l.expectRefused(t, "rules.json:1:")
	l.write(t, l.rules, `{"agents": {"a": {"allow": {"servers": "demo"}}}}`)
	l.expectRefused(t, "rules.json:1:", "allow.servers")
	l.write(t, l.rules, `{"agents": {"a": {"dney": {"servers": ["demo"]}}}}`)
	l.expectRefused(t, "dney")
}

// TestOneBrokenFileDoesNotHoldBackTheOther: while the rules file is broken, a change of the servers still goes live.
func TestOneBrokenFileDoesNotHoldBackTheOther(t *testing.T) {
	l := startLaptop(t)
	eventually(t, "the first configuration serves", func() bool { return l.code("demo", "echo") == "" })
	l.write(t, l.rules, `{"agents": `)
	l.expectRefused(t, "rules.json")
	l.write(t, l.mcpConfig, seedServers(map[string]any{"demo": seedDemo(), "other": seedDemo()}))
	eventually(t, "the new server serves", func() bool { return l.code("other", "echo") == "" })
}

// TestUnsetVariableHurtsOneServer: a reference that nothing resolves makes its server unavailable and nothing else; a
// server that is permitted and not defined is unavailable too.
func TestUnsetVariableHurtsOneServer(t *testing.T) {
	l := startLaptop(t)
	bad := seedDemo()
	bad["env"] = map[string]string{"TOKEN": "${GATEHOUSE_TEST_UNSET}"}
	l.write(t, l.mcpConfig, seedServers(map[string]any{"demo": seedDemo(), "bad": bad}))
	eventually(t, "the bad server is unavailable", func() bool { return l.code("bad", "echo") == "SERVER_UNAVAILABLE" })
	if code := l.code("demo", "echo"); code != "" {
		t.Errorf("the other server gives %q, want it to work", code)
	}
	if code := l.code("other", "echo"); code != "SERVER_UNAVAILABLE" {
		t.Errorf("a permitted server that is not defined gives %q, want SERVER_UNAVAILABLE", code)
	}
	if code := l.code("nowhere", "echo"); code != "DENIED_BY_POLICY" {
		t.Errorf("a server that is not permitted gives %q, want DENIED_BY_POLICY", code)
	}
}

// TestOtherObjectsSurviveTheFiles: what vanishes from the files is deleted, what was applied by other means stays.
func TestOtherObjectsSurviveTheFiles(t *testing.T) {
	l := startLaptop(t)
	mustGwctl(t, l.c, nil, "apply", "-f", manifest(t, demo("mine")))
	l.write(t, l.mcpConfig, seedServers(map[string]any{"other": seedDemo()}))
	eventually(t, "the server of the file is gone and the other stays", func() bool {
		var got struct {
			Items []struct{ Metadata struct{ Name string } }
		}
		mustGwctl(t, l.c, &got, "get", "servers")
		var names []string
		for _, o := range got.Items {
			names = append(names, o.Metadata.Name)
		}
		return strings.Join(names, " ") == "mine other"
	})
}
