package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse/dataplane"
)

// gatewayFlags are the flags of gwproxy that the role of a gateway knows too.
type gatewayFlags struct {
	admin, control, state, id string
	profile                   string // file
}

// serveProfiled is gwproxy with a profile of the processor written when it ends.
func serveProfiled(listen string, f gatewayFlags) (err error) {
	out, err := os.Create(f.profile)
	if err != nil {
		return fmt.Errorf("making %s: %w", f.profile, err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	s, err := dataplane.New(dataplane.Config{ControlPlane: f.control, Listen: listen, AdminListen: f.admin, StateDir: f.state, ID: f.id})
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return errors.Join(err, s.Close())
	}
	defer pprof.StopCPUProfile()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return s.Run(ctx)
}

// measureProfile says where a gateway under full load spends its time, for each way to an upstream.
func measureProfile(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "gatehouse-profile")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	var files []string
	for _, name := range []string{"http", "stdio"} {
		file := filepath.Join(dir, name)
		if err := profileOf(ctx, o, name, file); err != nil {
			return err
		}
		files = append(files, file)
	}
	if o.keep == "" {
		return nil
	}
	return keepProfile(ctx, o.keep, files)
}

// keepProfile puts profiles together into one that the Go compiler reads (https://go.dev/doc/pgo).
func keepProfile(ctx context.Context, to string, files []string) error {
	if out, err := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-proto", "-output", to}, files...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("putting profiles together: %w: %s", err, out)
	}
	return nil
}

// profileOf drives a gateway in front of one of the servers and leaves its profile in a file.
func profileOf(ctx context.Context, o options, name, file string) error {
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.stop()
	l.gwproxy = []string{l.self, "-role", "gateway", "-profile", file}
	upstream, err := l.echo(ctx, 1)
	if err != nil {
		return err
	}
	p, err := l.plane(ctx, httpServer("http", upstream.addr), l.stdioServer("stdio"))
	if err != nil {
		return err
	}
	got, err := p.legacy(name, "/mcp", executeTool(name, message()), payload).drive(ctx, 64, 5*o.window)
	if err != nil {
		return err
	}
	if err := l.end(p.gateway.pid); err != nil {
		return err
	}
	fmt.Printf("execute_tool of an upstream over %s, 64 callers, %.0f calls/s, %s of CPU per call:\n\n", name, got.rate(), span(perCall(got)))
	return printProfile(ctx, l.self, file)
}

// printProfile prints what takes most by itself, and what takes most with all that it calls.
func printProfile(ctx context.Context, program, file string) error {
	for _, args := range [][]string{{"-nodecount=25"}, {"-cum", "-nodecount=45", "-show=gatehouse|net/http|syscall|mallocgc$|gcBgMark|schedule$|netpoll$"}} {
		argv := append(append([]string{"tool", "pprof", "-top"}, args...), program, file)
		out, err := exec.CommandContext(ctx, "go", argv...).Output()
		if err != nil {
			return fmt.Errorf("reading the profile: %w", err)
		}
		_, table, _ := strings.Cut(string(out), "Showing nodes")
		fmt.Printf("```\n%s```\n\n", strings.ReplaceAll(table[strings.IndexByte(table, '\n')+1:], "github.com/gatehouse-mcp/gatehouse/", ""))
	}
	return nil
}
