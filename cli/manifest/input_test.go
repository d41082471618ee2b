package manifest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
)

// policy is a manifest of one policy, in JSON.
func policy(name string) string {
	return `{"apiVersion": "gatehouse/v1", "kind": "Policy", "metadata": {"name": "` + name + `"}, "spec": {}}`
}

// names are those of a set's objects, in order.
func names(set *manifest.Set) string {
	var out []string
	for _, o := range set.Objects {
		out = append(out, o.GetName())
	}
	return strings.Join(out, " ")
}

// TestLoadReadsMountedVolumes lays a folder out as Kubernetes mounts a ConfigMap: links through a hidden folder.
func TestLoadReadsMountedVolumes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "..2026_11_24/a.yaml", policy("a"))
	write(t, dir, "..2026_11_24/b.yaml", policy("b"))
	for link, target := range map[string]string{"..data": "..2026_11_24", "a.yaml": "..data/a.yaml", "b.yaml": "..data/b.yaml"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	set, err := manifest.Load([]string{dir}, nil)
	if err != nil || names(set) != "a b" {
		t.Errorf("Load = %v, %v, want a b", set, err)
	}
}

func TestLoadSkipsFoldersNamedLikeManifests(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x.yaml/inner.yaml", "not: read")
	write(t, dir, "y.yaml", policy("y"))
	if set, err := manifest.Load([]string{dir}, nil); err != nil || names(set) != "y" {
		t.Errorf("Load = %v, %v, want y", set, err)
	}
}

func TestLoadTellsOfLinksThatLeadNowhere(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.yaml", policy("a"))
	if err := os.Symlink("gone.yaml", filepath.Join(dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.Load([]string{dir}, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "b.yaml") {
		t.Errorf("Load = %v, want fs.ErrNotExist for b.yaml", err)
	}
}

func TestLoadReadsAFileOnce(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "a.yaml", policy("a"))
	set, err := manifest.Load([]string{file, dir, filepath.Join(dir, ".", "a.yaml"), "-", "-"}, strings.NewReader(policy("in")))
	if err != nil || names(set) != "a in" {
		t.Errorf("Load = %v, %v, want a in", set, err)
	}
}

func TestLoadKeepsTheErrorsOfStandardInput(t *testing.T) {
	if _, err := manifest.Load([]string{"-"}, iotest.ErrReader(fs.ErrPermission)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Load = %v, want fs.ErrPermission", err)
	}
	if set, err := manifest.Load([]string{"-"}, nil); err != nil || len(set.Objects) != 0 {
		t.Errorf("Load of no standard input = %v, %v, want the empty set", set, err)
	}
}

// TestLoadGuessesTheFormatOnlyWithoutAName holds that a name decides, and a brace only where there is none.
func TestLoadGuessesTheFormatOnlyWithoutAName(t *testing.T) {
	dir := t.TempDir()
	yamlFlow := strings.ReplaceAll(policy("p"), `"`, "")
	for _, c := range []struct {
		path string
		ok   bool
	}{
		{write(t, dir, "flow.yaml", yamlFlow), true},
		{write(t, dir, "flow.json", yamlFlow), false},
		{write(t, dir, "json.yaml", policy("p")), true},
		{write(t, dir, "json", "  "+policy("p")+policy("q")), true},
		{write(t, dir, "yaml", "# {\n"+yamlFlow), true},
	} {
		if _, err := manifest.Load([]string{c.path}, nil); (err == nil) != c.ok {
			t.Errorf("Load(%s) = %v, want read = %v", filepath.Base(c.path), err, c.ok)
		}
	}
}
