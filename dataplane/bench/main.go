// Command bench measures the gateway against a direct call, against httputil.ReverseProxy and against a gateway written on
// mcp-go's typed API, on loopback only, and prints the figures as Markdown, one section for each question. It starts
// gwcontrol and gwproxy from -bin, with key authentication, audit and metrics on, and itself as echo upstream and as what
// they are compared with, so that each of them is a process of its own. What is compared takes turns, since machines
// drift: read ratios, not absolutes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	bin    string
	only   string
	rounds int
	window time.Duration
	quick  bool
	keep   string

	role   string
	listen string
	to     string
	key    string
	tools  int
	gw     gatewayFlags
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder with gwctl, gwcontrol and gwproxy")
	flag.StringVar(&o.only, "only", "", "measure only these sections, separated by commas: "+strings.Join(names(), ", "))
	flag.IntVar(&o.rounds, "rounds", 3, "how often each target is measured, after one round to warm up")
	flag.DurationVar(&o.window, "window", 2*time.Second, "how long one measurement lasts")
	flag.BoolVar(&o.quick, "quick", false, "a short form that shows that everything works; its figures say little")
	flag.StringVar(&o.keep, "keep-profile", "", "`file` that keeps what the section profile finds, for the compiler")
	flag.StringVar(&o.role, "role", "", "internal: echo-http, echo-stdio, garbage, vandals, reverse, typed or gateway")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "internal: address of a role")
	flag.StringVar(&o.to, "to", "", "internal: where a role sends to")
	flag.StringVar(&o.key, "key", "", "internal: the key that a role wants")
	flag.IntVar(&o.tools, "tools", 1, "internal: how many tools the echo upstream has")
	flag.StringVar(&o.gw.admin, "admin-listen", "", "internal: as of gwproxy")
	flag.StringVar(&o.gw.control, "control-plane", "", "internal: as of gwproxy")
	flag.StringVar(&o.gw.state, "state-dir", "", "internal: as of gwproxy")
	flag.StringVar(&o.gw.id, "id", "", "internal: as of gwproxy")
	flag.StringVar(&o.gw.profile, "profile", "", "internal: file for the profile of a gateway")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run plays a role until it is killed, or measures.
func run(o options) error {
	switch o.role {
	case "":
	case "echo-http":
		return serveEchoHTTP(o.listen, o.tools)
	case "echo-stdio":
		return serveEchoStdio(os.Stdin, os.Stdout, o.tools)
	case "garbage":
		return serveGarbage(o.listen)
	case "vandals":
		return serveVandals(o.listen, o.to, o.key)
	case "reverse":
		return serveReverse(o.listen, o.to)
	case "typed":
		return serveTyped(o.listen, o.to, o.key)
	case "gateway":
		return serveProfiled(o.listen, o.gw)
	default:
		return errors.New("there is no role " + o.role)
	}
	if o.quick {
		o.rounds, o.window = 1, 300*time.Millisecond
	}
	debug.SetGCPercent(400) // the load generator shares the processors with what it measures
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return measure(ctx, o)
}

// section answers one question, and can be measured alone.
type section struct {
	name, title string
	run         func(context.Context, options) error
}

func sections() []section {
	return []section{
		{"calls", "Calls", measureCalls},
		{"sizes", "Large results", measureSizes},
		{"growth", "How it grows", measureGrowth},
		{"swap", "Revisions under load", measureSwap},
		{"streams", "Open streams", measureStreams},
		{"garbage", "Beside garbage", measureGarbage},
		{"memory", "Memory", measureMemory},
		{"fleet", "From a commit to the fleet", measureFleet},
		{"micro", "Without processes in between", measureMicro},
		{"profile", "Where the time goes", measureProfile},
	}
}

func names() (list []string) {
	for _, s := range sections() {
		list = append(list, s.name)
	}
	return list
}

// maxSection bounds a section, so that a gateway that hangs is seen and not waited for.
const maxSection = 15 * time.Minute

// measure prints the sections that were asked for.
func measure(ctx context.Context, o options) error {
	only := strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' })
	for _, name := range only {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("there is no section %q, only %s", name, strings.Join(names(), ", "))
		}
	}
	printMachine()
	for _, s := range sections() {
		if len(only) > 0 && !slices.Contains(only, s.name) {
			continue
		}
		began := time.Now()
		fmt.Printf("\n## %s\n\n", s.title)
		within, cancel := context.WithTimeout(ctx, maxSection)
		err := s.run(within, o)
		cancel()
		if err != nil {
			return fmt.Errorf("measuring %s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, "bench: %s took %v\n", s.name, time.Since(began).Round(time.Second))
	}
	return nil
}
