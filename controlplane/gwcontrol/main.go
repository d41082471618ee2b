// Command gwcontrol is the control plane: operators change the configuration through it, proxies follow it. Every flag
// is also an environment variable, GWCONTROL_ and the flag's name in capitals. It refuses to listen off loopback.
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

	"github.com/gatehouse-mcp/gatehouse/controlplane"
)

// version is set by the linker; empty means that the build's own record is used.
var version string

// streams are where a process writes: what it was asked for, and what happens.
type streams struct{ out, log io.Writer }

func main() {
	// A second signal ends the process at once, since stop has put the default back by then.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Getenv, streams{os.Stdout, os.Stderr})
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp): // what was asked for is printed already
	case err != nil:
		fmt.Fprintln(os.Stderr, "gwcontrol:", err)
		os.Exit(1)
	}
}

// run serves with what args and the environment say, until ctx ends. New has bound the addresses and opened the store
// before anything is served, so what is wrong with them is said at once.
func run(ctx context.Context, args []string, getenv func(string) string, to streams) error {
	c, err := parse(args, getenv, to)
	if err != nil {
		return err
	}
	s, err := controlplane.New(c)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// parse reads the flags; one that is not given takes its value from the environment.
func parse(args []string, getenv func(string) string, to streams) (controlplane.Config, error) {
	// The defaults stand here once more, although New has them, so that --help shows them.
	c := controlplane.Config{Version: built()}
	level := slog.LevelInfo
	fs := flag.NewFlagSet("gwcontrol", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // what is wrong is printed once, by main
	version := fs.Bool("version", false, "print the version and exit")
	fs.StringVar(&c.Listen, "listen", "127.0.0.1:9090", "gRPC `address` for operators and proxies, on loopback")
	fs.StringVar(&c.AdminListen, "admin-listen", "127.0.0.1:9091", "HTTP `address` for health and metrics, on loopback")
	fs.StringVar(&c.DataDir, "data-dir", "gatehouse-data", "`folder` of the store; made where it does not exist")
	fs.StringVar(&c.Store, "store", "bbolt", "kind of `store`")
	fs.DurationVar(&c.Heartbeat, "heartbeat", 0, "longest silence on a proxy's stream (default 5s)")
	fs.TextVar(&level, "log-level", level, "debug, info, warn or error")
	if err := environment(fs, getenv); err != nil {
		return c, err
	}
	if err := readArguments(fs, args, to.out); err != nil {
		return c, err
	}
	if *version {
		fmt.Fprintln(to.out, "gwcontrol", c.Version)
		return c, flag.ErrHelp
	}
	if fs.NArg() > 0 {
		return c, fmt.Errorf("reading the arguments: %q is not a flag", fs.Arg(0))
	}
	c.Logger = slog.New(slog.NewTextHandler(to.log, &slog.HandlerOptions{Level: level}))
	return c, nil
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

// environment sets every flag that has a variable of its name; arguments come after and win. A variable that is empty is
// as good as none. All that are wrong are named at once.
func environment(fs *flag.FlagSet, getenv func(string) string) (err error) {
	fs.VisitAll(func(f *flag.Flag) {
		name := "GWCONTROL_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
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

// built is which program this is: what the linker was told, else the tag or the pseudo-version that the build recorded.
func built() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "dev"
}
