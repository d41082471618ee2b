package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// concurrency is how many callers there are at a time.
var concurrency = []int{1, 16, 64}

// cell is one target at one concurrency.
type cell struct {
	target  string
	callers int
}

// measure runs all targets in turn, rounds times, and prints what it found.
func measure(ctx context.Context, o options) error {
	s, err := start(ctx, o)
	defer s.stop()
	if err != nil {
		return err
	}
	printMachine()
	idle := memory(s.gatewayPID)
	found := map[cell][]sample{}
	for round := range o.rounds + 1 {
		for _, n := range concurrency {
			for _, t := range s.targets() {
				if err := ctx.Err(); err != nil {
					return err
				}
				got, err := t.drive(n, o.window)
				if err != nil {
					return err
				}
				if round > 0 { // the first one warms up
					found[cell{t.name, n}] = append(found[cell{t.name, n}], got)
				}
			}
		}
	}
	printCalls(s.targets(), found)
	if err := printFleet(ctx, s); err != nil {
		return err
	}
	fmt.Printf("\nMemory of gwproxy (VmRSS): %s idle, %s after the load, %s at its peak.\n", idle, memory(s.gatewayPID), field(s.gatewayPID, "VmHWM"))
	return nil
}

func printMachine() {
	revision, _ := exec.Command("git", "rev-parse", "--short", "HEAD").Output() // only for the record
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, ok := strings.CutPrefix(line, "model name\t: "); ok {
				model = strings.TrimSpace(name)
			}
		}
	}
	fmt.Printf("%s, %d processors, %s, %s, commit %s\n\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), model, runtime.Version(), strings.TrimSpace(string(revision)))
}

// median of what f says of the samples.
func median[T float64 | time.Duration](samples []sample, f func(sample) T) T {
	list := make([]T, len(samples))
	for i, s := range samples {
		list[i] = f(s)
	}
	slices.Sort(list)
	if len(list) == 0 {
		return 0
	}
	return list[len(list)/2]
}

// baseline is what a target's overhead is counted against.
func baseline(name string) string {
	switch name {
	case "reverse proxy", "gateway http":
		return "direct http"
	case "gateway stdio":
		return "direct stdio"
	}
	return ""
}

func printCalls(targets []target, found map[cell][]sample) {
	fmt.Println("| target | callers | calls/s | P50 | P95 | P99 | added P50 | added P95 | added P99 |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for _, t := range targets {
		for _, n := range concurrency {
			samples := found[cell{t.name, n}]
			at := func(p float64) time.Duration {
				return median(samples, func(s sample) time.Duration { return s.percentile(p) })
			}
			added := func(p float64) string {
				base, ok := found[cell{baseline(t.name), n}]
				if !ok {
					return "–"
				}
				return fmt.Sprint((at(p) - median(base, func(s sample) time.Duration { return s.percentile(p) })).Round(time.Microsecond))
			}
			fmt.Printf("| %s | %d | %.0f | %v | %v | %v | %s | %s | %s |\n", t.name, n, median(samples, sample.rate),
				at(50).Round(time.Microsecond), at(95).Round(time.Microsecond), at(99).Round(time.Microsecond), added(50), added(95), added(99))
		}
	}
}

// printFleet measures and prints commit → ack.
func printFleet(ctx context.Context, s *system) error {
	fmt.Printf("\n| proxies | commit → last ack, P50 | P95 |\n|---|---|---|\n")
	for _, n := range []int{1, 10, 100} {
		got, err := measureFleet(ctx, s.control, s.dir, n)
		if err != nil {
			return err
		}
		fmt.Printf("| %d | %v | %v |\n", n, got.percentile(50).Round(time.Microsecond), got.percentile(95).Round(time.Microsecond))
	}
	return nil
}

func memory(pid int) string { return field(pid, "VmRSS") }

// field reads one line of /proc/PID/status.
func field(pid int, name string) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
