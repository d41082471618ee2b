package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"
)

// none is an environment without variables.
func none(string) string { return "" }

func TestFlagsWinOverTheEnvironment(t *testing.T) {
	env := map[string]string{"GWCONTROL_LISTEN": "127.0.0.1:1", "GWCONTROL_DATA_DIR": "/e", "GWCONTROL_HEARTBEAT": "3s"}
	c, err := parse([]string{"--listen", "127.0.0.1:2", "--store=bbolt"}, func(k string) string { return env[k] }, streams{io.Discard, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:2" || c.DataDir != "/e" || c.Heartbeat != 3*time.Second || c.AdminListen != "127.0.0.1:9091" {
		t.Errorf("parse = %+v, want the flag, the variables and the default", c)
	}
}

func TestArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--no-such-flag"}, {"serve"}, {"--heartbeat", "soon"}} {
		if _, err := parse(args, none, streams{io.Discard, io.Discard}); err == nil {
			t.Errorf("parse(%q) = nil, want an error", args)
		}
	}
}

func TestAVariableThatIsWrongIsNamed(t *testing.T) {
	env := func(k string) string { return map[string]string{"GWCONTROL_HEARTBEAT": "soon"}[k] }
	if _, err := parse(nil, env, streams{io.Discard, io.Discard}); err == nil || !strings.Contains(err.Error(), "GWCONTROL_HEARTBEAT") {
		t.Errorf("parse = %v, want the variable named", err)
	}
}

func TestHelpIsNoFault(t *testing.T) {
	var out strings.Builder
	if _, err := parse([]string{"--help"}, none, streams{&out, io.Discard}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("parse = %v, want ErrHelp", err)
	}
	if !strings.Contains(out.String(), "-admin-listen") {
		t.Errorf("help = %q, want the flags", out.String())
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	args := []string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir", t.TempDir()}
	if err := run(ctx, args, none, streams{io.Discard, io.Discard}); err != nil {
		t.Errorf("run = %v, want nil", err)
	}
}

func TestRunNamesAStoreThatIsNotSupported(t *testing.T) {
	args := []string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir", t.TempDir(), "--store", "etcd://h:2379/p"}
	if err := run(t.Context(), args, none, streams{io.Discard, io.Discard}); err == nil || !strings.Contains(err.Error(), "etcd://h:2379/p") {
		t.Errorf("run = %v, want the store named", err)
	}
}

func TestVersionIsPrinted(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"--version"}, none, streams{&out, io.Discard}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("run = %v, want ErrHelp", err)
	}
	if !strings.HasPrefix(out.String(), "gwcontrol ") || strings.Count(out.String(), "\n") != 1 {
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
