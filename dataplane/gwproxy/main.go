// Command gwproxy is one gateway of the data plane: agents call MCP servers through it, as far as its control plane lets
// them. Every flag is also an environment variable, GWPROXY_ and the flag's name in capitals. It refuses to listen off
// loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse/dataplane"
)

// version is set when a release is linked.
var version string

// streams are where a process writes: what it was asked for, and what happens.
type streams struct{ out, log io.Writer }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Getenv, streams{os.Stdout, os.Stderr})
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp): // what was asked for is printed already
	case err != nil:
		fmt.Fprintln(os.Stderr, "gwproxy:", err)
		os.Exit(1)
	}
}

// run serves with what args and the environment say, until ctx ends.
func run(ctx context.Context, args []string, getenv func(string) string, to streams) error {
	c, err := parse(args, getenv, to)
	if err != nil {
		return err
	}
	s, err := dataplane.New(c)
	if err != nil {
		return err
	}
	defer reopenOnHangup(s, c.Logger)() // what rotates logs moves the file away, then sends SIGHUP
	return s.Run(ctx)
}

// reopenOnHangup has SIGHUP reopen the audit log, until the returned function is called.
func reopenOnHangup(s *dataplane.Server, log *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer close(done)
		for range hangups {
			if err := s.Reopen(); err != nil {
				log.Error("audit log not reopened", "error", err)
				continue
			}
			log.Info("audit log reopened")
		}
	}()
	return func() { signal.Stop(hangups); close(hangups); <-done }
}

// parse reads the flags; one that is not given takes its value from the environment.
func parse(args []string, getenv func(string) string, to streams) (dataplane.Config, error) {
	c := dataplane.Config{Version: programVersion(), Labels: map[string]string{}}
	level := slog.LevelInfo
	fs := flag.NewFlagSet("gwproxy", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // what is wrong is printed once, by main
	version := fs.Bool("version", false, "print the version and exit")
	fs.StringVar(&c.ControlPlane, "control-plane", "127.0.0.1:9090", "`address` of the control plane")
	fs.StringVar(&c.Listen, "listen", "127.0.0.1:8080", "`address` that serves agents over MCP, on loopback")
	fs.StringVar(&c.Advertise, "advertise", "", "`address` at which other proxies reach --listen (default: the one that is bound)")
	fs.StringVar(&c.AdminListen, "admin-listen", "127.0.0.1:8081", "HTTP `address` for health and metrics, on loopback")
	fs.StringVar(&c.StateDir, "state-dir", "gatehouse-proxy", "`folder` of the last good snapshot; made where it does not exist")
	fs.StringVar(&c.ID, "id", "", "`name` in the fleet (default: host name and a number kept in the state folder)")
	fs.Func("label", "`k=v` for the operator; repeatable, or several with commas between them", labels(c.Labels))
	fs.StringVar((*string)(&c.Auth), "auth", "key", "how callers prove who they are: key, or none (`mode`)")
	fs.StringVar(&c.Audit, "audit", "", "`file` of the audit log, - for standard output (default audit.jsonl in the state folder)")
	fs.BoolVar(&c.Debug, "debug", false, "add the tool get_gateway_status, and rules to refusals")
	fs.Var(&c.Limits, "limit", "`name=value`; repeatable, or several with commas between them. The limits and their defaults: "+dataplane.LimitNames())
	fs.DurationVar(&c.DrainTimeout, "drain-timeout", 0, "how long calls may take to end at shutdown (default 20s)")
	fs.TextVar(&level, "log-level", level, "debug, info, warn or error")
	if err := environment(fs, getenv); err != nil {
		return c, err
	}
	if err := readArguments(fs, args, to.out); err != nil {
		return c, err
	}
	if *version {
		fmt.Fprintln(to.out, "gwproxy", c.Version)
		return c, flag.ErrHelp
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("reading the arguments: %q is not a flag", fs.Arg(0))
	}
	c.Logger = slog.New(slog.NewTextHandler(to.log, &slog.HandlerOptions{Level: level}))
	return c, nil
}

// labels reads k=v pairs into m.
func labels(m map[string]string) func(string) error {
	return func(text string) error {
		for pair := range strings.SplitSeq(text, ",") {
			k, v, ok := strings.Cut(pair, "=")
			if !ok || k == "" {
				return fmt.Errorf("%q is not k=v", pair)
			}
			m[k] = v
		}
		return nil
	}
}

// readArguments parses the arguments; help goes to out, and what is wrong with them into the error.
func readArguments(fs *flag.FlagSet, args []string, out io.Writer) error {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(out)
		fs.Usage()
		return err
	case err != nil:
		return fmt.Errorf("reading the arguments: %w; see %s --help", err, fs.Name())
	}
	return nil
}

// environment sets every flag that has a variable of its name; arguments come after and win.
func environment(fs *flag.FlagSet, getenv func(string) string) (err error) {
	fs.VisitAll(func(f *flag.Flag) {
		name := "GWPROXY_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := getenv(name)
		if value == "" {
			return
		}
		if e := fs.Set(f.Name, value); e != nil {
			err = errors.Join(err, fmt.Errorf("reading %s: %w", name, e))
		}
	})
	return err
}

// programVersion is the linked one, else what the build recorded.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "dev"
}
