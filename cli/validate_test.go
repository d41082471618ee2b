package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
)

// found is what validate prints.
type found struct {
	Errors   manifest.Problems `json:"errors"`
	Warnings manifest.Problems `json:"warnings"`
}

// validate runs the command with JSON output, which must be one document whatever the exit code.
func validate(t *testing.T, stdin string, args ...string) (found, outcome) {
	t.Helper()
	got := offline(t, stdin, append([]string{"validate", "-o", "json"}, args...)...)
	var f found
	if err := json.Unmarshal([]byte(got.stdout), &f); err != nil || got.stderr != "" {
		t.Fatalf("validate %v = %+v, want one JSON document: %v", args, got, err)
	}
	if f.Errors == nil || f.Warnings == nil {
		t.Errorf("validate %v = %s, want lists, not null", args, got.stdout)
	}
	return f, got
}

const goodManifest = `apiVersion: gatehouse/v1
kind: Server
metadata: {name: one}
spec: {stdio: {command: cat}}
---
apiVersion: gatehouse/v1
kind: Policy
metadata: {name: reader}
spec: {allow: {servers: [one]}}
`

func TestValidatePassesWhatIsInOrder(t *testing.T) {
	f, got := validate(t, goodManifest, "-f", "-")
	if got.exit != 0 || len(f.Errors)+len(f.Warnings) != 0 {
		t.Errorf("validate = %+v, want exit 0 and nothing found", got)
	}
	if got := offline(t, goodManifest, "validate", "-f", "-"); got.exit != 0 || got.stdout != "2 objects, no errors, 0 warnings\n" {
		t.Errorf("validate = %+v, want exit 0 and a count", got)
	}
	if got := offline(t, goodManifest, "validate", "-f", "-", "-o", "name"); got.stdout != "servers/one\npolicies/reader\n" {
		t.Errorf("validate -o name = %+v, want the references", got)
	}
}

// TestValidateReportsReadingAndMeaningAtOnce holds that mistakes of syntax, of types and of meaning come in one run.
func TestValidateReportsReadingAndMeaningAtOnce(t *testing.T) {
	dir := t.TempDir()
	bad := write(t, dir, "bad.yaml", `apiVersion: gatehouse/v1
kind: Server
metadata: {name: ""}
spec:
  stdio: {command: ""}
  callTimeout: soon
---
apiVersion: gatehouse/v1
kind: Policy
metadata: {name: reader}
spec: {allow: {servers: one}}
`)
	config := write(t, dir, ".mcp.json", `{"mcpServers": {"x": {"url": "ftp://x"}}}`)
	rules := write(t, dir, "rules.json", `{"agents": {"a": {"alow": {}}}}`)
	f, got := validate(t, "", "-f", bad, "--mcp-config", config, "--rules", rules)
	if got.exit != 7 {
		t.Errorf("validate = exit %d, want 7", got.exit)
	}
	places := make(map[string]bool)
	for _, p := range f.Errors {
		line, _, _ := strings.Cut(strings.TrimPrefix(p.Error(), dir+"/"), ": ")
		places[line+" "+p.Field] = true
	}
	for _, want := range []string{
		"bad.yaml:11:25 spec.allow.servers", "rules.json:1:19 agents.a.alow",
		"bad.yaml:3:18 metadata.name", "bad.yaml:5:20 spec.stdio.command", "bad.yaml:6:16 spec.callTimeout",
		".mcp.json:1:30 mcpServers.x.url",
	} {
		if !places[want] {
			t.Errorf("validate found %v, want %s among them", places, want)
		}
	}
}

func TestValidateTellsPeopleOnStandardError(t *testing.T) {
	file := write(t, t.TempDir(), "rules.json", "{\n  \"agent\": {}\n}")
	got := offline(t, "", "validate", "--rules", file)
	if want := file + `:2:3: agent: unknown field "agent", did you mean "agents"?`; got.exit != 7 || got.stdout != "" || !strings.Contains(got.stderr, want) {
		t.Errorf("validate = %+v, want exit 7 and %s", got, want)
	}
}

func TestValidateWarnsOfUndefinedServers(t *testing.T) {
	dir := t.TempDir()
	rules := write(t, dir, "rules.json", `{"agents": {"a": {"allow": {"servers": ["one", "two", "t*"]}}}}`)
	config := write(t, dir, ".mcp.json", `{"mcpServers": {"one": {"command": "cat", "timeout": 3}}}`)
	f, got := validate(t, "", "--rules", rules, "--mcp-config", config)
	var fields []string
	for _, w := range f.Warnings {
		fields = append(fields, w.Field)
	}
	want := "mcpServers.one.timeout agents.a.allow.servers[1]"
	if got.exit != 0 || strings.Join(fields, " ") != want {
		t.Errorf("validate = %+v, want exit 0 and warnings about %s", got, want)
	}
}

func TestValidateRefusesNothingAndMissingFiles(t *testing.T) {
	for _, args := range [][]string{nil, {"-f", filepath.Join(t.TempDir(), "none.yaml")}, {"--default-agent", "a", "-f", "-"}} {
		got := offline(t, "", append([]string{"validate", "-o", "json"}, args...)...)
		if got.exit != 1 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("validate %v = %+v, want exit 1 and one line on stderr", args, got)
		}
	}
}

func TestValidatePassesTheExamples(t *testing.T) {
	if _, err := os.Stat("examples/quickstart"); err != nil {
		t.Skip("no examples: ", err)
	}
	if f, got := validate(t, "", "-f", "examples/quickstart"); got.exit != 0 || len(f.Warnings) != 0 {
		t.Errorf("validate of the quickstart = %+v, want exit 0 and no warnings", got)
	}
}
