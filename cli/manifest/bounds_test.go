package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
)

// TestLoadBoundsItsInput holds that what would cost too much is refused in one problem with a place.
func TestLoadBoundsItsInput(t *testing.T) {
	bomb := "a0: &a0 [" + strings.Repeat("x, ", 9) + "]\n"
	for i := 1; i < 9; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	for name, c := range map[string]struct{ file, text, want string }{
		"size":             {"x.yaml", strings.Repeat("#\n", 2<<20) + "#", "larger than 4 MiB"},
		"aliases":          {"x.yaml", bomb, "more than 1000000 values"},
		"brackets":         {"x.yaml", strings.Repeat("[", 100_000), "nested deeper than 64"},
		"braces":           {"x.yaml", strings.Repeat("{a: ", 100_000), "nested deeper than 64"},
		"dashes":           {"x.yaml", strings.Repeat("- ", 100_000) + "x", "nested deeper than 64"},
		"indentation":      {"x.yaml", steps(200), "nested deeper than 64"},
		"keys":             {"x.yaml", strings.Repeat("a: b\n", 30_000), "more than 20000 keys"},
		"JSON brackets":    {"x.json", strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested deeper than 64"},
		"JSON over 10,000": {"x.json", strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "exceeded max depth"},
		"JSON values":      {"x.json", "[" + strings.Repeat("1,", 1_100_000) + "1]", "more than 1000000 values"},
		"UTF-8":            {"x.yaml", "a: é\nb: \xff", "x.yaml:2:4: file is not UTF-8 text"},
		"NUL":              {"x.json", "{\"a\": \"\x00\"}", "x.json:1:8: file is not UTF-8 text"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := manifest.Load([]string{write(t, t.TempDir(), c.file, c.text)}, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Load = %.300v, want one problem with %q", err, c.want)
			}
			if len(set.Objects) != 0 {
				t.Errorf("objects = %v, want none", set.Objects)
			}
		})
	}
}

// steps is a mapping nested by indentation.
func steps(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestLoadRulesTakesAThousandAgents(t *testing.T) {
	set, err := manifest.LoadRules(write(t, t.TempDir(), "rules.json", manyRules(1000)), "")
	if err != nil || len(set.Objects) != 1000 {
		t.Fatalf("LoadRules = %v, want 1000 objects", err)
	}
	if got := len(set.Objects[999].GetPolicy().GetAllow().GetTools()[0].GetTools()); got != 100 {
		t.Errorf("rules of the last agent = %d, want 100", got)
	}
}

// manyRules is a rules file of n agents with a hundred tool rules each.
func manyRules(n int) string {
	agents := make([]string, n)
	tools := strings.TrimSuffix(strings.Repeat(`"tool_*",`, 100), ",")
	for i := range agents {
		agents[i] = fmt.Sprintf(`"agent%d": {"allow": {"servers": ["*"], "tools": {"db": [%s]}}}`, i, tools)
	}
	return `{"agents": {` + strings.Join(agents, ",\n") + `}}`
}

func BenchmarkLoadRules(b *testing.B) {
	text := manyRules(1000)
	file := write(b, b.TempDir(), "rules.json", text)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := manifest.LoadRules(file, ""); err != nil {
			b.Fatal(err)
		}
	}
}
