package examples_test

import (
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cli/examples"
	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// TestExamplesAreInOrder loads every folder of examples as an operator would: no problem, and no warning either.
func TestExamplesAreInOrder(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		set, err := manifest.Load([]string{e.Name()}, nil)
		if err != nil {
			t.Errorf("%s: %v", e.Name(), err)
			continue
		}
		c := &gatehousev1.Config{Objects: set.Objects}
		config.Sort(c)
		if violations, warnings := config.Validate(c); len(violations)+len(warnings)+len(set.Warnings) > 0 {
			t.Errorf("%s: violations %v, warnings %v %v, want none", e.Name(), violations, warnings, set.Warnings)
		}
	}
}

func TestQuickstartIsTheFileThatPeopleCopy(t *testing.T) {
	file, err := os.ReadFile("quickstart/gatehouse.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := examples.Quickstart(); got != string(file) || !strings.Contains(got, "${GATEHOUSE_GWCTL:-gwctl}") {
		t.Errorf("Quickstart() = %q, want the file, which finds gwctl by reference", got)
	}
}
