package manifest_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
)

func TestLoadMCPConfigMapsEveryField(t *testing.T) {
	set, err := manifest.LoadMCPConfig(write(t, t.TempDir(), ".mcp.json", `{"mcpServers": {
		"files": {"type": "stdio", "command": "${NODE:-node}", "args": ["-y", "files"], "env": {"K": "${K}"}, "cwd": "/srv", "description": "Files"},
		"bare": {"command": "cat"},
		"web": {"url": "${BASE}/mcp", "headers": {"Authorization": "Bearer ${T}"}},
		"http": {"type": "http", "url": "https://x"},
		"stream": {"type": "streamable-http", "url": "https://x"},
		"camel": {"type": "streamableHttp", "url": "https://x"},
		"sse": {"type": "sse", "url": "https://x"}}}`))
	if err != nil || len(set.Warnings) != 0 {
		t.Fatalf("LoadMCPConfig = %v, %v, want neither errors nor warnings", set.Warnings, err)
	}
	checkObjects(t, set.Objects, `[
{"name":"files","server":{"description":"Files","stdio":{"command":"${NODE:-node}","args":["-y","files"],"env":{"K":"${K}"},"cwd":"/srv"}}},
{"name":"bare","server":{"stdio":{"command":"cat"}}},
{"name":"web","server":{"http":{"url":"${BASE}/mcp","headers":{"Authorization":"Bearer ${T}"}}}},
{"name":"http","server":{"http":{"url":"https://x","transport":"HTTP_TRANSPORT_STREAMABLE_HTTP"}}},
{"name":"stream","server":{"http":{"url":"https://x","transport":"HTTP_TRANSPORT_STREAMABLE_HTTP"}}},
{"name":"camel","server":{"http":{"url":"https://x","transport":"HTTP_TRANSPORT_STREAMABLE_HTTP"}}},
{"name":"sse","server":{"http":{"url":"https://x","transport":"HTTP_TRANSPORT_SSE"}}}]`)
}

func TestLoadRulesMapsEveryField(t *testing.T) {
	set, err := manifest.LoadRules(write(t, t.TempDir(), "rules.json", `{
		"agents": {
			"a.b": {"allow": {"servers": ["*"], "tools": {"z": ["t"], "a*": [], "m": ["y", "x"]}}, "deny": {"servers": ["s"]}},
			"empty": {}},
		"defaults": {"deny_on_missing_agent": false}}`), "a.b")
	if err != nil {
		t.Fatal(err)
	}
	checkObjects(t, set.Objects, `[
{"name":"a.b","policy":{"allow":{"servers":["*"],"tools":[{"server":"a*"},{"server":"m","tools":["y","x"]},{"server":"z","tools":["t"]}]},
 "deny":{"servers":["s"]}}},
{"name":"empty","policy":{}},
{"name":"default","settings":{"denyOnMissingAgent":false,"defaultAgent":"a.b"}}]`)
}

// The seed has no rules for resources and prompts, so a rules file with them does not mean what its writer thinks.
func TestLoadRulesKnowsNoOtherRules(t *testing.T) {
	for _, field := range []string{"agents.a.allow.resources", "agents.a.deny.prompts"} {
		side, kind := strings.Split(field, ".")[2], strings.Split(field, ".")[3]
		text := `{"agents": {"a": {"` + side + `": {"` + kind + `": {"s": ["x"]}}}}}`
		_, err := manifest.LoadRules(write(t, t.TempDir(), "rules.json", text), "")
		var problems manifest.Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Field != field {
			t.Errorf("LoadRules(%s) = %v, want an error at %s", text, err, field)
		}
	}
}

// TestLoadRulesMakesSettingsOnlyWhereTheyAreSaid holds that a rules file leaves room for the settings of a manifest.
func TestLoadRulesMakesSettingsOnlyWhereTheyAreSaid(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ text, defaultAgent, want string }{
		{`{}`, "", `[]`},
		{`{"agents": {}}`, "", `[]`},
		{`{"defaults": {}}`, "", `[{"name":"default","settings":{}}]`},
		{`{"defaults": {"deny_on_missing_agent": true}}`, "", `[{"name":"default","settings":{"denyOnMissingAgent":true}}]`},
		{`{}`, "a", `[{"name":"default","settings":{"defaultAgent":"a"}}]`},
	} {
		set, err := manifest.LoadRules(write(t, dir, "rules.json", c.text), c.defaultAgent)
		if err != nil {
			t.Fatalf("LoadRules(%s) = %v, want no error", c.text, err)
		}
		checkObjects(t, set.Objects, c.want)
	}
}

// TestLocateSpeaksTheSeedFilesLanguage holds that complaints about objects name the fields of the file they came from.
func TestLocateSpeaksTheSeedFilesLanguage(t *testing.T) {
	dir := t.TempDir()
	servers, err := manifest.LoadMCPConfig(write(t, dir, ".mcp.json", `{"mcpServers": {
  "a": {"command": "x", "args": ["y", "z"]},
  "b": {"url": "ftp://x", "type": "http"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := manifest.LoadRules(write(t, dir, "rules.json", `{"agents": {
  "a": {"allow": {"servers": ["x"], "tools": {"s": ["t"]}}}},
  "defaults": {"deny_on_missing_agent": true}}`), "who")
	if err != nil {
		t.Fatal(err)
	}
	bare, err := manifest.LoadRules(write(t, dir, "bare.json", "{\n\"defaults\": {}}"), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set                 *manifest.Set
		object, field, want string
	}{
		{servers, "servers/a", "spec.stdio.args[1]", ".mcp.json:2:39: mcpServers.a.args[1]: bad"},
		{servers, "servers/a", "spec.stdio", ".mcp.json:2:3: mcpServers.a: bad"},
		{servers, "servers/a", "spec.callTimeout", ".mcp.json:2:3: mcpServers.a.callTimeout: bad"},
		{servers, "servers/a", "metadata.name", ".mcp.json:2:3: mcpServers.a: bad"},
		{servers, "servers/b", "spec.http.url", ".mcp.json:3:16: mcpServers.b.url: bad"},
		{servers, "servers/b", "spec.http.transport", ".mcp.json:3:35: mcpServers.b.type: bad"},
		{rules, "policies/a", "spec.allow.servers[0]", "rules.json:2:31: agents.a.allow.servers[0]: bad"},
		{rules, "policies/a", "spec.allow.tools.s[0]", "rules.json:2:53: agents.a.allow.tools.s[0]: bad"},
		{rules, "policies/a", "metadata.name", "rules.json:2:3: agents.a: bad"},
		{rules, "settings/default", "spec.denyOnMissingAgent", "rules.json:3:41: defaults.deny_on_missing_agent: bad"},
		{rules, "settings/default", "spec.defaultAgent", "rules.json:1:1: --default-agent: bad"},
		{bare, "settings/default", "spec.defaultAgent", "bare.json:2:1: defaults: bad"},
	} {
		if got := strings.TrimPrefix(c.set.Locate(c.object, c.field, "bad").Error(), dir+"/"); got != c.want {
			t.Errorf("Locate(%s, %s) = %s, want %s", c.object, c.field, got, c.want)
		}
	}
}

func TestSeedFilesMustExist(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.json")
	if _, err := manifest.LoadMCPConfig(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadMCPConfig of a missing file = %v, want fs.ErrNotExist", err)
	}
	if _, err := manifest.LoadRules(missing, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LoadRules of a missing file = %v, want fs.ErrNotExist", err)
	}
}

func TestSeedFilesAreBounded(t *testing.T) {
	big := write(t, t.TempDir(), "big.json", `{"mcpServers": {}}`+strings.Repeat(" ", 4<<20))
	if _, err := manifest.LoadMCPConfig(big); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("LoadMCPConfig of a large file = %v, want it refused", err)
	}
}
