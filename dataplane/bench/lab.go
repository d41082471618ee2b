package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/loopback"
)

// lab holds the processes of one section.
type lab struct {
	bin, self, dir string
	gwproxy        []string // how the gateway is started, without its flags
	procs          []*exec.Cmd
}

func newLab(o options) (*lab, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "gatehouse-bench")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	return &lab{bin: o.bin, self: self, dir: dir, gwproxy: []string{filepath.Join(o.bin, "gwproxy")}}, nil
}

// process is one that listens on an address.
type process struct {
	addr string
	pid  int
}

// role starts this program in a role and waits until it listens.
func (l *lab) role(ctx context.Context, name string, args ...string) (process, error) {
	addr := freeAddr()
	pid, err := l.launch(append([]string{l.self, "-role", name, "-listen", addr}, args...))
	if err != nil {
		return process{}, err
	}
	return process{addr, pid}, until(ctx, addr+" is open", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// echo starts an echo upstream with that many tools.
func (l *lab) echo(ctx context.Context, tools int) (process, error) {
	return l.role(ctx, "echo-http", "-tools", strconv.Itoa(tools))
}

func (l *lab) launch(argv []string) (pid int, err error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	if strings.HasPrefix(filepath.Base(argv[0]), "gw") {
		cmd.Stderr = nil // their logs are not the result
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting %s: %w", argv[0], err)
	}
	l.procs = append(l.procs, cmd)
	return cmd.Process.Pid, nil
}

// gwctl runs a command against a control plane and returns what it printed.
func (l *lab) gwctl(ctx context.Context, control string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(l.bin, "gwctl"), append(args, "--control-plane", control, "-o", "json", "--timeout", "30s")...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running gwctl %s: %w: %s", args[0], err, errs.String())
	}
	return out, nil
}

// end ends one process in good order.
func (l *lab) end(pid int) error {
	i := slices.IndexFunc(l.procs, func(p *exec.Cmd) bool { return p.Process.Pid == pid })
	p := l.procs[i]
	l.procs = slices.Delete(l.procs, i, i+1)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("ending process %d: %w", pid, err)
	}
	if err := p.Wait(); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	return nil
}

// kill ends one process that has no good order to end in.
func (l *lab) kill(pid int) {
	i := slices.IndexFunc(l.procs, func(p *exec.Cmd) bool { return p.Process.Pid == pid })
	p := l.procs[i]
	l.procs = slices.Delete(l.procs, i, i+1)
	_ = p.Process.Kill()
	_ = p.Wait() // ended by us: the error says so
}

// stop ends all processes, the newest first.
func (l *lab) stop() {
	for _, p := range slices.Backward(l.procs) {
		_ = p.Process.Signal(syscall.SIGTERM)
		_ = p.Wait() // ended by our signal: the error says so
	}
	_ = os.RemoveAll(l.dir)
}

func freeAddr() string {
	addr, err := loopback.Addr()
	if err != nil {
		return "" // on which no program starts
	}
	return addr
}

// until waits for a condition, at most 30 s.
func until(ctx context.Context, what string, holds func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1500 {
		if holds() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return errors.New("waited 30 s in vain until " + what)
}

func ready(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// rest lets d go by.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
