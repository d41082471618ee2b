package main

// These tests are inside: a command has no public API.

import (
	"context"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// none is an environment without variables.
func none(string) string { return "" }

func TestArgumentsWinOverTheEnvironment(t *testing.T) {
	env := map[string]string{
		"GWPROXY_LISTEN": "127.0.0.1:1", "GWPROXY_STATE_DIR": "/env", "GWPROXY_AUTH": "none", "GWPROXY_DEBUG": "true",
		"GWPROXY_LABEL": "zone=a,tier=1", "GWPROXY_ADVERTISE": "10.0.0.7:8080",
	}
	env["GWPROXY_LIMIT"] = "body=1MiB,calls=5"
	args := []string{"--limit", "calls=6", "--limit", "streams=7", "--listen", "127.0.0.1:2", "--label", "zone=b", "--label=x=y=z", "--audit", "-"}
	c, err := parse(args, func(name string) string { return env[name] }, streams{io.Discard, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:2" || c.StateDir != "/env" || c.Auth != auth.None || !c.Debug || c.Audit != "-" || c.Advertise != "10.0.0.7:8080" {
		t.Errorf("parse = %+v", c)
	}
	if got := c.Limits.String(); got != "body=1MiB,calls=6,streams=7" {
		t.Errorf("limits = %s", got)
	}
	if want := map[string]string{"zone": "b", "tier": "1", "x": "y=z"}; !maps.Equal(c.Labels, want) {
		t.Errorf("labels = %v, want %v", c.Labels, want)
	}
}

func TestParseHasTheDefaultsOfTheContract(t *testing.T) {
	c, err := parse(nil, none, streams{io.Discard, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if c.ControlPlane != "127.0.0.1:9090" || c.Listen != "127.0.0.1:8080" || c.AdminListen != "127.0.0.1:8081" || c.Auth != auth.Key {
		t.Errorf("parse = %+v", c)
	}
	if c.StateDir == "" || c.Version == "" || c.Logger == nil {
		t.Errorf("parse = %+v, want a state folder, a version and a logger", c)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		args    []string
		env     string // GWPROXY_DEBUG
		message string
	}{
		{[]string{"--nope"}, "", "nope"},
		{[]string{"serve"}, "", `"serve" is not a flag`},
		{[]string{"--label", "zone"}, "", "not k=v"},
		{[]string{"--limit", "bodies=1"}, "", "body=16MiB"},
		{[]string{"--limit", "body=much"}, "", "number of bytes"},
		{nil, "perhaps", "GWPROXY_DEBUG"},
	} {
		getenv := func(name string) string {
			if name == "GWPROXY_DEBUG" {
				return test.env
			}
			return ""
		}
		if _, err := parse(test.args, getenv, streams{io.Discard, io.Discard}); err == nil || !strings.Contains(err.Error(), test.message) {
			t.Errorf("parse(%q) = %v, want an error about %q", test.args, err, test.message)
		}
	}
	if err := run(t.Context(), []string{"-h"}, none, streams{io.Discard, io.Discard}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("run(-h) = %v, want help", err)
	}
}

func TestHangupReopensTheAuditLog(t *testing.T) {
	hangups := make(chan os.Signal, 8)
	signal.Notify(hangups, syscall.SIGHUP) // so that one that comes too early does not end the test
	defer signal.Stop(hangups)
	dir := t.TempDir()
	audit := filepath.Join(dir, "audit.jsonl")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	args := []string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--state-dir", dir, "--control-plane", "127.0.0.1:1"}
	go func() { done <- run(ctx, args, none, streams{io.Discard, io.Discard}) }()
	exists := func() bool { _, err := os.Stat(audit); return err == nil }
	eventually(t, exists)
	if err := os.Rename(audit, audit+".1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		return syscall.Kill(os.Getpid(), syscall.SIGHUP) == nil && exists()
	})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run = %v, want nil", err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		if holds() {
			return
		}
		<-tick.C
	}
	t.Fatal("waited in vain")
}

func TestRunRefusesToListenOffLoopback(t *testing.T) {
	err := run(t.Context(), []string{"--listen", "0.0.0.0:0", "--state-dir", t.TempDir()}, none, streams{io.Discard, io.Discard})
	if err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("run = %v, want a refusal", err)
	}
}

func TestVersionIsPrinted(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"--version"}, none, streams{&out, io.Discard}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("run = %v, want ErrHelp", err)
	}
	if !strings.HasPrefix(out.String(), "gwproxy ") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("--version printed %q, want the program and its version on one line", out.String())
	}
}

// What is wrong with an argument is for main to print, so that it stands there once.
func TestAWrongArgumentIsSaidOnce(t *testing.T) {
	var out strings.Builder
	_, err := parse([]string{"--no-such-flag"}, none, streams{&out, &out})
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") || !strings.Contains(err.Error(), "--help") {
		t.Errorf("parse = %v, want the flag and the next step", err)
	}
	if out.Len() > 0 {
		t.Errorf("parse printed %q, want nothing", out.String())
	}
}
