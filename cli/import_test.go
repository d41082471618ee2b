package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cli"
	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	"github.com/gatehouse-mcp/gatehouse/controlplane"
)

// seedFiles are the seed's two files, with one field that has no counterpart.
func seedFiles(t *testing.T) (config, rules string) {
	t.Helper()
	dir := t.TempDir()
	config = write(t, dir, ".mcp.json", `{"mcpServers": {
		"web": {"type": "http", "url": "https://example.com/mcp", "headers": {"Authorization": "Bearer ${API_TOKEN}"}},
		"files": {"command": "npx", "args": ["-y", "files"], "env": {"ROOT": "${HOME:-/srv}"}, "autoApprove": []}}}`)
	rules = write(t, dir, "rules.json", `{"agents": {"reader": {"allow": {"servers": ["files"]}}}, "defaults": {"deny_on_missing_agent": false}}`)
	return config, rules
}

// importedJSON is what import prints.
type importedJSON struct {
	Objects  []json.RawMessage `json:"objects"`
	Files    []string          `json:"files"`
	Warnings manifest.Problems `json:"warnings"`
	Revision int64             `json:"revision"`
	Outcome  string            `json:"outcome"`
}

func decodeImport(t *testing.T, got outcome) importedJSON {
	t.Helper()
	var out importedJSON
	if err := json.Unmarshal([]byte(got.stdout), &out); err != nil || got.exit != 0 {
		t.Fatalf("import = %+v, want one JSON document: %v", got, err)
	}
	return out
}

func TestImportWritesManifestsThatValidate(t *testing.T) {
	config, rules := seedFiles(t)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	out := decodeImport(t, offline(t, "", "import", config, "--rules", rules, "--default-agent", "reader", "-o", dir, "-o", "json"))
	if len(out.Objects) != 4 || len(out.Files) != 3 {
		t.Errorf("import = %+v, want 4 objects in 3 files", out)
	}
	if len(out.Warnings) != 1 || out.Warnings[0].Field != "mcpServers.files.autoApprove" {
		t.Errorf("warnings = %v, want one about autoApprove", out.Warnings)
	}
	if f, got := validate(t, "", "-f", dir); got.exit != 0 || len(f.Warnings) != 0 {
		t.Errorf("validate of the folder = %+v, want nothing found", got)
	}
	text, err := os.ReadFile(filepath.Join(dir, "servers.yaml"))
	if err != nil || !bytes.Contains(text, []byte("Bearer ${API_TOKEN}")) || !bytes.Contains(text, []byte("${HOME:-/srv}")) {
		t.Errorf("servers.yaml = %s, %v, want references as written", text, err)
	}
}

func TestImportKeepsFilesThatAreThere(t *testing.T) {
	config, rules := seedFiles(t)
	dir := t.TempDir()
	there := write(t, dir, "servers.yaml", "mine")
	if got := offline(t, "", "import", config, "--rules", rules, "-o", dir); got.exit != 1 || !strings.Contains(got.stderr, "servers.yaml") {
		t.Errorf("import = %+v, want exit 1 and the file's name", got)
	}
	if text, err := os.ReadFile(there); err != nil || string(text) != "mine" {
		t.Errorf("servers.yaml = %s, %v, want it untouched", text, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("folder = %v, %v, want nothing added", entries, err)
	}
	if got := offline(t, "", "import", config, "--rules", rules, "-o", dir, "--force"); got.exit != 0 {
		t.Errorf("import --force = %+v, want exit 0", got)
	}
}

func TestImportPrintsManifestsWhereNoFolderIsNamed(t *testing.T) {
	config, _ := seedFiles(t)
	got := offline(t, "", "import", config)
	if got.exit != 0 || !strings.Contains(got.stderr, "autoApprove") {
		t.Errorf("import = %+v, want exit 0 and a warning", got)
	}
	if f, _ := validate(t, got.stdout, "-f", "-"); len(f.Errors) != 0 {
		t.Errorf("validate of what import printed = %v, want no errors", f.Errors)
	}
}

func TestImportRefusesBrokenFilesAndWrongFlags(t *testing.T) {
	config, _ := seedFiles(t)
	broken := write(t, t.TempDir(), "broken.json", `{"mcpServers": {"x": {}}}`)
	for _, c := range []struct {
		want int
		args []string
	}{
		{7, []string{broken}},
		{7, []string{config, config}},
		{1, nil},
		{1, []string{config, "--default-agent", "a"}},
		{1, []string{config, "-o", "a", "-o", "b"}},
		{1, []string{config, "-o", "a", "--apply"}},
		{4, []string{config, "--apply", "--timeout", "2s"}},
	} {
		if got := offline(t, "", append([]string{"import"}, c.args...)...); got.exit != c.want || got.stdout != "" {
			t.Errorf("import %v = %+v, want exit %d and no output", c.args, got, c.want)
		}
	}
}

func TestImportAppliesToTheControlPlane(t *testing.T) {
	srv, err := controlplane.New(controlplane.Config{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want no error", err)
		}
	}()
	config, rules := seedFiles(t)
	var stdout, stderr bytes.Buffer
	streams := cli.IO{Env: []string{"HOME=" + t.TempDir(), "GWCTL_OUTPUT=json"}, Stdout: &stdout, Stderr: &stderr}
	exit := cli.Run(t.Context(), streams, []string{"import", config, "--rules", rules, "--apply", "--control-plane", srv.Addr()})
	out := decodeImport(t, outcome{exit: exit, stdout: stdout.String(), stderr: stderr.String()})
	if out.Revision != 1 || out.Outcome != "committed" || len(out.Objects) != 4 {
		t.Errorf("import --apply = %s, want 4 objects at revision 1", stdout.String())
	}
}
