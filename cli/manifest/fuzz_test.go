package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// seeds adds the files of testdata/problems.
func seeds(f *testing.F) {
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archives {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, in := range archive.Files[:len(archive.Files)-1] {
			f.Add(string(in.Data))
		}
	}
	f.Add(contract)
}

// check holds what is true of every reading: problems have places, objects have one reference each and survive a trip
// through a manifest, and nothing else is an error.
func check(t *testing.T, set *manifest.Set, err error) {
	t.Helper()
	var problems manifest.Problems
	if err != nil && !errors.As(err, &problems) {
		t.Fatalf("error = %v, want problems", err)
	}
	for _, p := range problems {
		if p.Line < 1 || p.Column < 1 || p.Message == "" {
			t.Errorf("problem = %#v, want a place and a message", p)
		}
	}
	if set == nil {
		return
	}
	refs := make(map[string]bool)
	for _, o := range set.Objects {
		if refs[config.Ref(o)] {
			t.Errorf("objects = %v, want one %s", set.Objects, config.Ref(o))
		}
		refs[config.Ref(o)] = true
		checkTrip(t, o)
	}
}

// checkTrip writes an object as a manifest and reads it back.
func checkTrip(t *testing.T, o *gatehousev1.Object) {
	t.Helper()
	text, err := manifest.Marshal([]*gatehousev1.Object{o}, manifest.YAML)
	if err != nil {
		t.Fatal(err)
	}
	back := load(t, string(text))
	if len(back.Objects) != 1 || !proto.Equal(back.Objects[0], o) {
		t.Errorf("Load(Marshal(%v)) = %v\n%s", o, back.Objects, text)
	}
}

func FuzzLoad(f *testing.F) {
	seeds(f)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"x.yaml", "x.json"} {
			set, err := manifest.Load([]string{write(t, dir, name, text)}, nil)
			check(t, set, err)
		}
	})
}

func FuzzLoadMCPConfig(f *testing.F) {
	seeds(f)
	file := filepath.Join(f.TempDir(), ".mcp.json")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := manifest.LoadMCPConfig(file)
		check(t, set, err)
	})
}

func FuzzLoadRules(f *testing.F) {
	seeds(f)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"rules.json", "rules.yaml"} {
			set, err := manifest.LoadRules(write(t, dir, name, text), "someone")
			check(t, set, err)
		}
	})
}
