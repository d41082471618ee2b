package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// payload is what the echo tool returns.
const payload = "sixty-four bytes of text that go to the upstream and come back.."

// system is all the processes of one run.
type system struct {
	dir                                   string
	echo, many, reverse, gateway, control string // addresses
	gatewayPID                            int
	key                                   string
	procs                                 []*exec.Cmd
	stdio                                 *stdioUpstream
}

// start runs the upstreams, the reverse proxy and both planes.
func start(ctx context.Context, o options) (*system, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "gatehouse-bench")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	s := &system{dir: dir, echo: freeAddr(), many: freeAddr(), reverse: freeAddr(), gateway: freeAddr(), control: freeAddr()}
	admin, controlAdmin := freeAddr(), freeAddr()
	commands := [][]string{
		{self, "-role", "echo-http", "-listen", s.echo},
		{self, "-role", "echo-http", "-listen", s.many, "-tools", "1000"},
		{self, "-role", "reverse", "-listen", s.reverse, "-to", "http://" + s.echo},
		{filepath.Join(o.bin, "gwcontrol"), "--listen", s.control, "--admin-listen", controlAdmin, "--data-dir", filepath.Join(dir, "control")},
		{filepath.Join(o.bin, "gwproxy"), "--listen", s.gateway, "--admin-listen", admin, "--control-plane", s.control, "--state-dir", filepath.Join(dir, "proxy"), "--id", "bench"},
	}
	for _, argv := range commands {
		if err := s.launch(argv); err != nil {
			return s, err
		}
	}
	s.gatewayPID = s.procs[len(s.procs)-1].Process.Pid
	if s.stdio, err = startStdioUpstream([]string{self, "-role", "echo-stdio"}); err != nil {
		return s, err
	}
	if err := waitFor(ctx, "http://"+controlAdmin+"/readyz"); err != nil {
		return s, err
	}
	if err := s.configure(ctx, o.bin, self); err != nil {
		return s, err
	}
	return s, waitFor(ctx, "http://"+admin+"/readyz")
}

func (s *system) launch(argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	if strings.HasPrefix(filepath.Base(argv[0]), "gw") {
		cmd.Stderr = nil // their logs are not the result
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", argv[0], err)
	}
	s.procs = append(s.procs, cmd)
	return nil
}

// configure applies the upstreams, one policy and one key.
func (s *system) configure(ctx context.Context, bin, self string) error {
	text := fmt.Sprintf(`apiVersion: gatehouse/v1
kind: Server
metadata: {name: http}
spec: {http: {url: "http://%s/mcp"}}
---
apiVersion: gatehouse/v1
kind: Server
metadata: {name: many}
spec: {http: {url: "http://%s/mcp"}}
---
apiVersion: gatehouse/v1
kind: Server
metadata: {name: stdio}
spec: {stdio: {command: %q, args: ["-role", "echo-stdio"]}}
---
apiVersion: gatehouse/v1
kind: Policy
metadata: {name: agent}
spec: {allow: {servers: ["*"], tools: {http: [echo, "e*"], stdio: [echo]}}, deny: {tools: {http: ["drop_*"]}}}
`, s.echo, s.many, self)
	file := filepath.Join(s.dir, "bench.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	out, err := s.gwctl(ctx, bin, "key", "create", "bench", "--agent", "agent")
	if err != nil {
		return err
	}
	var made struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal(out, &made); err != nil {
		return fmt.Errorf("reading the key: %w", err)
	}
	s.key = made.Key
	_, err = s.gwctl(ctx, bin, "apply", "-f", file, "--wait") // it waits for the key's revision too
	return err
}

func (s *system) gwctl(ctx context.Context, bin string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "gwctl"), append(args, "--control-plane", s.control, "-o", "json", "--timeout", "30s")...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running gwctl %s: %w: %s", args[0], err, errs.String())
	}
	return out, nil
}

// stop ends all processes, the newest first.
func (s *system) stop() {
	if s == nil {
		return
	}
	if s.stdio != nil {
		s.stdio.close()
	}
	for _, p := range slices.Backward(s.procs) {
		_ = p.Process.Signal(syscall.SIGTERM)
		_ = p.Wait() // ended by our signal: the error says so
	}
	_ = os.RemoveAll(s.dir)
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return ""
	}
	defer l.Close()
	return l.Addr().String()
}

func waitFor(ctx context.Context, url string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1500 {
		if resp, err := http.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return errors.New(url + " was not ready within 30 s")
}

// executeTool is the body of an execute_tool of the echo tool of a server.
func executeTool(server string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"execute_tool","arguments":{"server":%q,"tool":"echo","args":{"message":%q}}}}`, server, payload)
}

// metaTool is the body of a call of one of the gateway's other tools.
func metaTool(name, args string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, name, args)
}

// plainCall is the body of a call of the echo upstream itself.
func plainCall() string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":%q}}}`, payload)
}

// targets are what calls are made of: pairs of a direct way and the gateway, and the reverse proxy in between.
func (s *system) targets() []target {
	direct := func(addr, key, body, want string) func() (caller, error) {
		return func() (caller, error) { return openHTTP(addr, key, body, want) }
	}
	return []target{
		{"direct http", direct(s.echo, "", plainCall(), payload)},
		{"reverse proxy", direct(s.reverse, "", plainCall(), payload)},
		{"gateway http", direct(s.gateway, s.key, executeTool("http"), payload)},
		{"direct stdio", func() (caller, error) { return &stdioCaller{s.stdio, []byte(payload)}, nil }},
		{"gateway stdio", direct(s.gateway, s.key, executeTool("stdio"), payload)},
		{"list_servers", direct(s.gateway, s.key, metaTool("list_servers", "{}"), `"many\"`)},
		{"get_server_tools, 1,000 tools", direct(s.gateway, s.key, metaTool("get_server_tools", `{"server":"many"}`), "tool_999")},
		{"get_server_tools, 10 of 1,000", direct(s.gateway, s.key, metaTool("get_server_tools", `{"server":"many","pattern":"tool_99?"}`), "tool_999")},
	}
}
