// Command bench measures the gateway against a direct call and against httputil.ReverseProxy, in one run, on loopback
// only, and prints the figures as Markdown. It starts gwcontrol and gwproxy from -bin, with key authentication, audit
// and metrics on, and itself as echo upstream and as reverse proxy, so that each of them is a process of its own.
// Targets take turns within each round, since machines drift; read ratios, not absolutes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	bin    string
	rounds int
	window time.Duration
	role   string
	listen string
	to     string
	tools  int
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder with gwcontrol and gwproxy")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each target is measured")
	flag.DurationVar(&o.window, "window", 2*time.Second, "how long one measurement lasts")
	flag.StringVar(&o.role, "role", "", "internal: echo-http, echo-stdio or reverse")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "internal: address of a role")
	flag.StringVar(&o.to, "to", "", "internal: where the reverse proxy sends to")
	flag.IntVar(&o.tools, "tools", 1, "internal: how many tools the echo upstream has")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run plays a role until it is killed, or measures.
func run(o options) error {
	switch o.role {
	case "echo-http":
		return serveEchoHTTP(o.listen, o.tools)
	case "echo-stdio":
		return serveEchoStdio(os.Stdin, os.Stdout, o.tools)
	case "reverse":
		return serveReverse(o.listen, o.to)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return measure(ctx, o)
}
