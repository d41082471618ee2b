package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/cli"
)

// TestMain makes gwctl a command of the scripts: the test's own program under another name.
func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"gwctl": gwctl})
}

// leakless fails a test run that leaves goroutines behind.
type leakless struct{ m *testing.M }

// Run performs the tests, then looks for what they left.
func (l leakless) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func gwctl() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Run(ctx, cli.IO{
		Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Version: "v0.0.0-test",
	}, os.Args[1:]))
}

// TestScripts runs whole-system scenarios: gwctl as users run it, against real planes on ports that the system chose.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector makes every program wait for a second otherwise
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			for _, name := range []string{"LISTEN", "CONTROL_LISTEN", "ADMIN_LISTEN"} {
				e.Setenv("GWCTL_"+name, "127.0.0.1:0")
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"waitup": waitUp, "retry": retry, "exits": exits, "completes": completes,
		},
	})
}

// addresses are what `gwctl up` writes to up.json.
type addresses struct {
	Gateway      string `json:"gateway"`
	ControlPlane string `json:"controlPlane"`
	Admin        string `json:"admin"`
	KeyFile      string `json:"keyFile"`
}

// waitUp waits until the `gwctl up` of a data folder serves, and points the following commands at it.
func waitUp(ts *testscript.TestScript, neg bool, args []string) {
	dir := ".gatehouse"
	if len(args) > 0 {
		dir = args[0]
	}
	var up addresses
	until(ts, "gwctl up serves from "+dir, func() bool {
		data, err := os.ReadFile(ts.MkAbs(filepath.Join(dir, "up.json")))
		if errors.Is(err, fs.ErrNotExist) {
			return false
		}
		ts.Check(err)
		ts.Check(json.Unmarshal(data, &up))
		return true
	})
	ts.Setenv("GWCTL_CONTROL_PLANE", up.ControlPlane)
	ts.Setenv("GWCTL_GATEWAY", up.Gateway)
	ts.Setenv("GWCTL_KEY_FILE", up.KeyFile)
	ts.Setenv("ADMIN", up.Admin)
}

// retry runs a command until it succeeds, or with ! until it fails.
func retry(ts *testscript.TestScript, neg bool, args []string) {
	until(ts, "retrying", func() bool { return (ts.Exec(args[0], args[1:]...) == nil) != neg })
}

// exits runs a command that has to end with a given exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG…]")
	}
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got := strconv.Itoa(code); got != args[0] {
		ts.Fatalf("%v exited with %s, want %s\n%s", args[1:], got, args[0], ts.ReadFile("stderr"))
	}
}

// completes asks for completions of a command line until they hold a word: gwctl gives up on a control plane that does
// not answer at once, which on a busy machine may be any.
func completes(ts *testscript.TestScript, neg bool, args []string) {
	until(ts, "completing "+args[0], func() bool {
		ts.Check(ts.Exec("gwctl", append([]string{"__complete"}, args[1:]...)...))
		for line := range strings.Lines(ts.ReadFile("stdout")) {
			if word, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); word == args[0] {
				return !neg
			}
		}
		return neg
	})
}

// until polls a condition within a deadline that only a broken system reaches.
func until(ts *testscript.TestScript, what string, done func() bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !done(); <-tick.C {
		if time.Now().After(deadline) {
			ts.Fatalf("%s: not within 20 s", what)
		}
	}
}
