package interop_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"testing"
)

// outcome counts how a check of the suite came out; one of a name may be made several times in a scenario.
type outcome struct{ passed, failed int }

// outcomes are those of a run, as it left them in its folder: scenario and check → outcome.
func outcomes(t *testing.T, folder string) map[string]outcome {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "server-*", "checks.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the suite left nothing in %s: %v", folder, err)
	}
	stamp := regexp.MustCompile(`^server-(.*)-\d{4}-\d\d-\d\dT.*$`)
	all := make(map[string]outcome)
	for _, file := range files {
		scenario := stamp.ReplaceAllString(filepath.Base(filepath.Dir(file)), "$1")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var checks []struct{ ID, Status string }
		if err := json.Unmarshal(text, &checks); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range checks {
			name := scenario + ": " + c.ID
			o := all[name]
			switch c.Status {
			case "SUCCESS":
				o.passed++
			case "FAILURE":
				o.failed++
			}
			all[name] = o
		}
	}
	return all
}

// worse lists what a server does directly and not through the gateway: checks that do not pass as often, or were skipped,
// and checks that fail more often.
func worse(direct, through map[string]outcome) (list []string) {
	for name, want := range direct {
		if got := through[name]; got.passed < want.passed {
			list = append(list, fmt.Sprintf("%s: passes %d times, directly %d times", name, got.passed, want.passed))
		}
	}
	for name, got := range through {
		if want := direct[name]; got.failed > want.failed {
			list = append(list, fmt.Sprintf("%s: fails %d times, directly %d times", name, got.failed, want.failed))
		}
	}
	sort.Strings(list)
	return list
}

func TestWorseFindsWhatIsLost(t *testing.T) {
	direct := map[string]outcome{"s: a": {passed: 2}, "s: b": {passed: 1}, "s: c": {failed: 1}, "s: d": {}}
	through := map[string]outcome{"s: a": {passed: 1}, "s: c": {failed: 1}, "s: d": {failed: 1}, "s: e": {passed: 1}}
	got := fmt.Sprint(worse(direct, through))
	want := "[s: a: passes 1 times, directly 2 times s: b: passes 0 times, directly 1 times s: d: fails 1 times, directly 0 times]"
	if got != want {
		t.Errorf("worse = %s, want %s", got, want)
	}
	if got := worse(direct, direct); got != nil {
		t.Errorf("worse = %v of the same, want nothing", got)
	}
}
