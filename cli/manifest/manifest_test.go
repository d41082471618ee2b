package manifest_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// reader reads one archive's files as one kind of input.
type reader func(dir string, files []string) (*manifest.Set, error)

// readers are chosen by the beginning of an archive's name.
func readers() map[string]reader {
	return map[string]reader{
		"manifest": func(_ string, files []string) (*manifest.Set, error) { return manifest.Load(files, nil) },
		"mcp":      func(_ string, files []string) (*manifest.Set, error) { return manifest.LoadMCPConfig(files[0]) },
		"rules":    func(_ string, files []string) (*manifest.Set, error) { return manifest.LoadRules(files[0], "") },
	}
}

// update rewrites what the archives want, for a person to look at.
var update = flag.Bool("update", false, "rewrite the wanted problems in testdata")

// TestProblemsHaveFileLineColumnAndField reads the files of each archive and compares all problems and warnings with the
// last file, "want".
func TestProblemsHaveFileLineColumnAndField(t *testing.T) {
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("Glob = %v, %v, want archives", archives, err)
	}
	for _, file := range archives {
		t.Run(filepath.Base(file), func(t *testing.T) { testProblems(t, file) })
	}
}

func testProblems(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	kind, _, _ := strings.Cut(filepath.Base(file), "-")
	last := len(archive.Files) - 1
	dir := t.TempDir()
	var files []string
	for _, f := range archive.Files[:last] {
		files = append(files, write(t, dir, f.Name, string(f.Data)))
	}
	set, err := readers()[kind](dir, files)
	got := strings.ReplaceAll(report(set, err), dir+string(filepath.Separator), "")
	if *update {
		archive.Files[last].Data = []byte(got)
		if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(archive.Files[last].Data); got != want {
		t.Errorf("problems of %s =\n%s\nwant\n%s", file, got, want)
	}
}

// report lists what a read gave: errors, warnings, and the objects that were in order.
func report(set *manifest.Set, err error) string {
	var b strings.Builder
	var problems manifest.Problems
	if errors.As(err, &problems); len(problems) > 0 {
		fmt.Fprintln(&b, problems.Error())
	}
	if set == nil {
		return b.String()
	}
	for _, w := range set.Warnings {
		fmt.Fprintln(&b, "warning:", w.Error())
	}
	for _, o := range set.Objects {
		fmt.Fprintf(&b, "object: %T %s\n", o.GetSpec(), o.GetName())
	}
	return b.String()
}

// write makes a file and returns its path.
func write(t testing.TB, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// contract is the example of every kind, as the documentation has it.
const contract = `apiVersion: gatehouse/v1
kind: Server
metadata: {name: everything, labels: {team: platform}}
spec:
  description: Reference server with a bit of everything     # shown to agents
  stdio: {command: npx, args: ["-y", "everything@1"], env: {KEY: "${KEY}"}, cwd: /srv}
  session: shared
  callTimeout: 60s
  maxCallTimeout: 10m
  disabled: false
---
apiVersion: gatehouse/v1
kind: Policy
metadata: {name: backend}
spec:
  allow: {servers: [postgres, "internal-*"], tools: {postgres: [query, "list_*"]}}
  deny:  {tools: {postgres: ["drop_*"]}}
---
apiVersion: gatehouse/v1
kind: Settings
metadata: {name: default}
spec: {denyOnMissingAgent: true, defaultAgent: ""}
---
apiVersion: gatehouse/v1
kind: Credential
metadata: {name: laptop}
spec: {apiKey: {sha256: "9f86"}, agents: [researcher, admin], expires: 2027-02-20T00:00:00Z}
---
apiVersion: gatehouse/v1
kind: Server
metadata: {name: web}
spec:
  http: {url: "https://example.com/mcp", headers: {Authorization: "Bearer ${API_TOKEN}"}, transport: streamable-http}
`

// contractObjects are the same in protobuf's JSON.
const contractObjects = `[
{"name":"everything","labels":{"team":"platform"},"server":{"description":"Reference server with a bit of everything",
 "stdio":{"command":"npx","args":["-y","everything@1"],"env":{"KEY":"${KEY}"},"cwd":"/srv"},
 "session":"SESSION_MODE_SHARED","callTimeout":"60s","maxCallTimeout":"10m"}},
{"name":"backend","policy":{"allow":{"servers":["postgres","internal-*"],"tools":[{"server":"postgres","tools":["query","list_*"]}]},
 "deny":{"tools":[{"server":"postgres","tools":["drop_*"]}]}}},
{"name":"default","settings":{"denyOnMissingAgent":true}},
{"name":"laptop","credential":{"apiKey":{"sha256":"9f86"},"agents":["researcher","admin"],"expires":"2027-02-20T00:00:00Z"}},
{"name":"web","server":{"http":{"url":"https://example.com/mcp","headers":{"Authorization":"Bearer ${API_TOKEN}"},
 "transport":"HTTP_TRANSPORT_STREAMABLE_HTTP"}}}
]`

func TestLoadReadsEveryKind(t *testing.T) {
	set, err := manifest.Load([]string{"-"}, strings.NewReader(contract))
	if err != nil {
		t.Fatalf("Load = %v, want no error", err)
	}
	checkObjects(t, set.Objects, contractObjects)
}

// checkObjects compares objects with a list in protobuf's JSON.
func checkObjects(t *testing.T, got []*gatehousev1.Object, list string) {
	t.Helper()
	want := &gatehousev1.Config{}
	if err := protojson.Unmarshal([]byte(`{"objects": `+list+`}`), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(&gatehousev1.Config{Objects: got}, want) {
		t.Errorf("objects = %v, want %v", got, want.GetObjects())
	}
}

func TestLoadTakesFoldersFilesAndStandardInput(t *testing.T) {
	dir := t.TempDir()
	object := func(kind, name string) string {
		return fmt.Sprintf(`{"apiVersion": "gatehouse/v1", "kind": %q, "metadata": {"name": %q}, "spec": {}}`, kind, name)
	}
	write(t, dir, "b.yaml", object("Policy", "b"))
	write(t, dir, "a.json", object("Policy", "a1")+"\n"+object("Policy", "a2"))
	write(t, dir, "c.yml", "---\n---\n# nothing\n---\n"+object("Policy", "c")+"\n...\n---\n")
	write(t, dir, "readme.md", "not a manifest")
	write(t, dir, ".hidden.yaml", "not: read")
	write(t, dir, "below/d.yaml", "not: read")
	extra := write(t, dir, "below/extra", object("Policy", "extra"))
	set, err := manifest.Load([]string{extra, dir, "-", filepath.Join(dir, "b.yaml")}, strings.NewReader(object("Policy", "in")))
	if err != nil {
		t.Fatalf("Load = %v, want no error", err)
	}
	var names []string
	for _, o := range set.Objects {
		names = append(names, o.GetName())
	}
	if got, want := strings.Join(names, " "), "extra a1 a2 b c in"; got != want {
		t.Errorf("objects = %s, want %s", got, want)
	}
}

func TestLoadRefusesPathsItCannotRead(t *testing.T) {
	if _, err := manifest.Load([]string{filepath.Join(t.TempDir(), "none.yaml")}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load of a missing file = %v, want fs.ErrNotExist", err)
	}
	if _, err := manifest.Load([]string{t.TempDir()}, nil); err == nil || !strings.Contains(err.Error(), "0 manifests") {
		t.Errorf("Load of an empty folder = %v, want an error that counts 0 manifests", err)
	}
}

func TestJoinRefusesOneObjectInTwoFiles(t *testing.T) {
	dir := t.TempDir()
	manifests, err := manifest.Load([]string{write(t, dir, "a.yaml", contract)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := manifest.LoadMCPConfig(write(t, dir, ".mcp.json", `{"mcpServers": {"new": {"command": "x"}, "web": {"command": "y"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	set, err := manifest.Join(manifests, seed, &manifest.Set{})
	want := ".mcp.json:1:42: mcpServers.web: servers/web is defined twice, first at " + dir + "/a.yaml:31:18"
	if err == nil || strings.TrimPrefix(err.Error(), dir+"/") != want {
		t.Errorf("Join = %v, want %s", err, want)
	}
	if len(set.Objects) != 6 {
		t.Errorf("Join gave %d objects, want 6", len(set.Objects))
	}
}

func TestLocateLeadsBackToTheFile(t *testing.T) {
	dir := t.TempDir()
	set, err := manifest.Load([]string{write(t, dir, "m.yaml", contract)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ object, field, want string }{
		{"servers/everything", "spec.stdio.args[1]", "m.yaml:6:38: spec.stdio.args[1]: bad"},
		{"servers/everything", "spec.stdio", "m.yaml:6:3: spec.stdio: bad"},
		{"servers/everything", "spec.stdio.env.KEY", "m.yaml:6:66: spec.stdio.env.KEY: bad"},
		{"servers/everything", "spec.callTimeout", "m.yaml:8:16: spec.callTimeout: bad"},
		{"servers/everything", "spec.http.url", "m.yaml:4:1: spec.http.url: bad"},
		{"policies/backend", "spec.allow.tools.postgres[1]", "m.yaml:16:72: spec.allow.tools.postgres[1]: bad"},
		{"policies/backend", "metadata.name", "m.yaml:14:18: metadata.name: bad"},
		{"credentials/laptop", "elsewhere", "m.yaml:24:1: elsewhere: bad"},
		{"servers/other", "spec.stdio", "spec.stdio: servers/other: bad"},
	} {
		got := strings.TrimPrefix(set.Locate(c.object, c.field, "bad").Error(), dir+"/")
		if got != c.want {
			t.Errorf("Locate(%s, %s) = %s, want %s", c.object, c.field, got, c.want)
		}
	}
}
