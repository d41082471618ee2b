// Command arrows prints which package of this module imports which, one arrow a line, and fails where an arrow is not
// allowed: a plane that imports the other outside the one crossing, anything that imports a program or gwctl's code.
// With -want it also fails where the arrows are not those of a file, so that a new one is a line in the diff.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const module = "github.com/gatehouse-mcp/gatehouse/"

func main() {
	dir := flag.String("dir", ".", "root of the module")
	want := flag.String("want", "", "file with the allowed arrows")
	flag.Parse()
	if err := run(*dir, *want); err != nil {
		fmt.Fprintln(os.Stderr, "arrows:", err)
		os.Exit(1)
	}
}

func run(dir, want string) error {
	arrows, err := list(dir)
	if err != nil {
		return err
	}
	for _, a := range arrows {
		if err := a.check(); err != nil {
			return err
		}
	}
	text := join(arrows)
	if want == "" {
		_, err := os.Stdout.WriteString(text)
		return err
	}
	return compare(text, want)
}

// compare reports the first arrow that is on one side only.
func compare(text, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the allowed arrows: %w", err)
	}
	have, allowed := strings.Split(text, "\n"), strings.Split(string(b), "\n")
	for _, line := range have {
		if !slices.Contains(allowed, line) {
			return fmt.Errorf("new arrow %q: if it is meant, run make arrows-write and say why in the commit", line)
		}
	}
	for _, line := range allowed {
		if !slices.Contains(have, line) {
			return fmt.Errorf("arrow %q is gone: run make arrows-write", line)
		}
	}
	return nil
}

// arrow is one import: from and to are package paths below the module.
type arrow struct{ from, to string }

// check refuses the arrows that no layout of ours may have.
func (a arrow) check() error {
	from, to := top(a.from), top(a.to)
	crossing := a.from == "controlplane/config" && (a.to == "dataplane/table" || a.to == "dataplane/policy")
	switch {
	case to == "gen" || from == to || crossing:
		return nil
	case from == "cli" && a.to != "cli":
		return nil
	case from == "dataplane" && strings.HasPrefix(a.from, "dataplane/bench"):
		return nil // benchmarks drive the whole system
	}
	return fmt.Errorf("%s must not import %s", a.from, a.to)
}

func top(pkg string) string {
	first, _, _ := strings.Cut(pkg, "/")
	return first
}

// list asks the go command for the imports of every package, tests left out.
func list(dir string) ([]arrow, error) {
	cmd := exec.Command("go", "list", "-f", `{{$p := .ImportPath}}{{range .Imports}}{{$p}} {{.}}{{"\n"}}{{end}}`, "./...")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listing packages: %w", err)
	}
	var arrows []arrow
	for line := range bytes.Lines(out) {
		from, to, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		if !ok || !strings.HasPrefix(to, module) {
			continue
		}
		arrows = append(arrows, arrow{strings.TrimPrefix(from, module), strings.TrimPrefix(to, module)})
	}
	return arrows, nil
}

func join(arrows []arrow) string {
	var b strings.Builder
	for _, a := range arrows {
		fmt.Fprintf(&b, "%s -> %s\n", a.from, a.to)
	}
	return b.String()
}
