package system_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	// The programs under test are built by a process of its own, of which Go knows nothing: only with what they are made of in
	// the tests as well does it run these again when that changes.
	_ "github.com/gatehouse-mcp/gatehouse/cli"
	_ "github.com/gatehouse-mcp/gatehouse/controlplane"
	_ "github.com/gatehouse-mcp/gatehouse/dataplane"

	"github.com/gatehouse-mcp/gatehouse/dataplane/loopback"
)

// bin is where TestMain put the programs, built with the race detector.
var bin string

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		serveLines(os.Stdin, os.Stdout)
		return
	}
	if crime := os.Getenv(crimeEnv); crime != "" {
		offend(crime, os.Stdin, os.Stdout)
		return
	}
	if os.Getenv(largeEnv) != "" {
		largeLines(os.Stdin, os.Stdout)
		return
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gatehouse-system")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	build := exec.Command("go", "build", "-race", "-pgo=off", "-o", dir+"/", "../gwctl", "../../controlplane/gwcontrol", "../../dataplane/gwproxy")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the programs:", err)
		return 1
	}
	return m.Run()
}

// program is one running process.
type program struct {
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closes when it has exited
}

// output collects what processes print.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// launch starts a program of ours; it is ended with the test at the latest.
func launch(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(filepath.Join(bin, name), args...), out: new(output), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1", "NO_COLOR=1")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.done); _ = p.cmd.Wait() }()
	t.Cleanup(func() { p.stop(t, name) })
	return p
}

// stop ends the program as a supervisor would and shows what it printed where the test has failed.
func (p *program) stop(t *testing.T, name string) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		t.Errorf("%s did not end within 30 s of SIGTERM", name)
		p.kill()
	}
	if strings.Contains(p.out.String(), "DATA RACE") {
		t.Errorf("%s has a data race", name)
	}
	if t.Failed() {
		t.Logf("%s printed:\n%s", name, tail(p.out.String(), 8000))
	}
}

// kill ends the program with SIGKILL and waits for it.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// freeAddr returns a loopback address on which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := loopback.Addr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// eventually waits until cond is true.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); {
		if cond() {
			return
		}
		pause(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain until %s", what)
}

// pause lets d go by between two looks at a process that tells nothing by itself.
func pause(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	<-ctx.Done()
}

func ready(url string) bool {
	resp, err := http.Get(url)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// controlPlane is a gwcontrol that can be killed and started again on the same addresses and data.
type controlPlane struct {
	*program
	addr, admin, dir string
}

func startControlPlane(t *testing.T) *controlPlane {
	t.Helper()
	c := &controlPlane{addr: freeAddr(t), admin: freeAddr(t), dir: t.TempDir()}
	c.start(t)
	return c
}

func (c *controlPlane) start(t *testing.T) {
	t.Helper()
	c.program = launch(t, "gwcontrol", "--listen", c.addr, "--admin-listen", c.admin, "--data-dir", c.dir)
}

func (c *controlPlane) waitReady(t *testing.T) {
	t.Helper()
	eventually(t, "gwcontrol is ready", func() bool { return ready("http://" + c.admin + "/readyz") })
}

// proxy is a gwproxy that can be started again on the same addresses and state.
type proxy struct {
	*program
	id, addr, admin, state string
	args                   []string
}

func startProxy(t *testing.T, c *controlPlane, id string, args ...string) *proxy {
	t.Helper()
	p := &proxy{id: id, addr: freeAddr(t), admin: freeAddr(t), state: t.TempDir()}
	p.args = append([]string{"--control-plane", c.addr, "--listen", p.addr, "--admin-listen", p.admin,
		"--state-dir", p.state, "--id", id, "--auth", "none"}, args...)
	p.start(t)
	return p
}

func (p *proxy) start(t *testing.T) {
	t.Helper()
	p.program = launch(t, "gwproxy", p.args...)
}

func (p *proxy) waitReady(t *testing.T) {
	t.Helper()
	eventually(t, p.id+" is ready", func() bool { return ready("http://" + p.admin + "/readyz") })
}

// gwctl runs a command and returns its standard output and exit code.
func gwctl(t *testing.T, c *controlPlane, args ...string) (stdout string, code int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "gwctl"), append(args, "--control-plane", c.addr)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "NO_COLOR=1")
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if errs.Len() > 0 {
		t.Logf("gwctl %v: %s", args, tail(errs.String(), 500))
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// mustGwctl runs a command that has to succeed and decodes its JSON.
func mustGwctl(t *testing.T, c *controlPlane, into any, args ...string) {
	t.Helper()
	out, code := gwctl(t, c, append(args, "-o", "json")...)
	if code != 0 {
		t.Fatalf("gwctl %v exited with %d: %s", args, code, out)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("gwctl %v printed %q: %v", args, out, err)
	}
}

// manifest writes a file of manifests and returns its path.
func manifest(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// demo is a manifest of a demo server of that name.
func demo(name string) string {
	return fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: %s}\nspec:\n  stdio: {command: %s, args: [demo-server]}\n---\n",
		name, filepath.Join(bin, "gwctl"))
}

// policy is a manifest of a policy.
func policy(agent, spec string) string {
	return fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Policy\nmetadata: {name: %s}\nspec: %s\n---\n", agent, spec)
}
