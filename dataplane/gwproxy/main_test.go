package main

// These tests are inside: a command has no public API.

import (
	"errors"
	"flag"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
)

// none is an environment without variables.
func none(string) string { return "" }

func TestArgumentsWinOverTheEnvironment(t *testing.T) {
	env := map[string]string{
		"GWPROXY_LISTEN": "127.0.0.1:1", "GWPROXY_STATE_DIR": "/env", "GWPROXY_AUTH": "none", "GWPROXY_DEBUG": "true",
		"GWPROXY_LABEL": "zone=a,tier=1",
	}
	args := []string{"--listen", "127.0.0.1:2", "--label", "zone=b", "--label=x=y=z", "--audit", "-"}
	c, err := parse(args, func(name string) string { return env[name] }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:2" || c.StateDir != "/env" || c.Auth != auth.None || !c.Debug || c.Audit != "-" {
		t.Errorf("parse = %+v", c)
	}
	if want := map[string]string{"zone": "b", "tier": "1", "x": "y=z"}; !maps.Equal(c.Labels, want) {
		t.Errorf("labels = %v, want %v", c.Labels, want)
	}
}

func TestParseHasTheDefaultsOfTheContract(t *testing.T) {
	c, err := parse(nil, none, io.Discard)
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
		{nil, "perhaps", "GWPROXY_DEBUG"},
	} {
		getenv := func(name string) string {
			if name == "GWPROXY_DEBUG" {
				return test.env
			}
			return ""
		}
		if _, err := parse(test.args, getenv, io.Discard); err == nil || !strings.Contains(err.Error(), test.message) {
			t.Errorf("parse(%q) = %v, want an error about %q", test.args, err, test.message)
		}
	}
	if err := run(t.Context(), []string{"-h"}, none, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("run(-h) = %v, want help", err)
	}
}

func TestRunRefusesToListenOffLoopback(t *testing.T) {
	err := run(t.Context(), []string{"--listen", "0.0.0.0:0", "--state-dir", t.TempDir()}, none, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("run = %v, want a refusal", err)
	}
}
