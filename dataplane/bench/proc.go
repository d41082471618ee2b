package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat, on every Linux.
const clockTick = 10 * time.Millisecond

// cpu returns the processor time that a process has used, in user and kernel mode; 0 where it is not to be had.
func cpu(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11]) // utime, field 14 of the whole line
	kernel, _ := strconv.Atoi(fields[12])
	return time.Duration(user+kernel) * clockTick
}

// status reads one size from /proc/PID/status, in bytes; 0 where it is not to be had.
func status(pid int, name string) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			return n << 10
		}
	}
	return 0
}

func rss(pid int) int { return status(pid, "VmRSS") }

// forgetPeak makes VmHWM count from now on.
func forgetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("clearing the peak of memory: %w", err)
	}
	return nil
}

// metric reads one value without labels from the gateway's metrics; 0 where it is not to be had.
func (p *plane) metric(name string) float64 {
	resp, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			f, _ := strconv.ParseFloat(value, 64)
			return f
		}
	}
	return 0
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
	fmt.Printf("%s, %d processors, %s, %s, commit %s\n", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), model, runtime.Version(), strings.TrimSpace(string(revision)))
}
