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
	for _, name := range []string{"http", "stdio"} {
		if err := profileOf(ctx, o, name); err != nil {
			return err
		}
	}
	return nil
}

func profileOf(ctx context.Context, o options, name string) error {
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.stop()
	file := filepath.Join(l.dir, "cpu.out")
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
