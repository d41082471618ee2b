// Package interop_test drives a running gateway with MCP clients that others wrote, in front of MCP servers that others
// wrote. It knows of Gatehouse what its users know: the programs in bin and their documentation.
package interop_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/loopback"
)

// object is any JSON object.
type object = map[string]any

// TestMain serves as one of the upstreams of these tests where the environment asks for it, else it runs the tests.
func TestMain(m *testing.M) {
	if os.Getenv("INTEROP_ODD_SERVER") != "" {
		serveOdd(os.Stdin, os.Stdout)
		return
	}
	if os.Getenv("INTEROP_ASKER") != "" {
		serveAsker(os.Stdin, os.Stdout)
		return
	}
	if program := os.Getenv("INTEROP_LEGACY_ONLY"); program != "" {
		if err := serveLegacyOnly(program, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// path returns an absolute path below this folder.
func path(t *testing.T, elem ...string) string {
	t.Helper()
	abs, err := filepath.Abs(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// node returns the Node that the pinned packages brought; the Inspector needs a newer one than many machines have.
func node(t *testing.T) string { return path(t, "node_modules", "node", "bin", "node") }

// npmServer is the command line of one of npm's MCP servers.
func npmServer(t *testing.T, name string, args ...string) []string {
	return append([]string{node(t), path(t, "node_modules", "@modelcontextprotocol", name, "dist", "index.js")}, args...)
}

// stdioServer is an entry of .mcp.json.
func stdioServer(argv []string, env object) object {
	return object{"command": argv[0], "args": argv[1:], "env": env}
}

// freeAddr returns a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := loopback.Addr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// rules let researcher use some tools of two servers, and all of those that tests bring themselves.
var rules = object{
	"agents": object{
		"researcher": object{
			"allow": object{
				"servers": []string{"everything", "filesystem", "odd", "everything-http"},
				"tools": object{
					"everything": []string{"echo", "get-*"},
					"filesystem": []string{"read_text_file", "list_*"},
				},
			},
			"deny": object{"tools": object{"everything": []string{"get-env"}}},
		},
	},
	"defaults": object{"deny_on_missing_agent": true},
}

// start runs the gateway with those rules in front of the servers and returns the URL of its MCP endpoint.
func start(t *testing.T, servers object) string {
	t.Helper()
	return startWith(t, servers, rules)
}

func startWith(t *testing.T, servers, rules object) string {
	t.Helper()
	dir := t.TempDir()
	writeJSON(t, filepath.Join(dir, ".mcp.json"), object{"mcpServers": servers})
	writeJSON(t, filepath.Join(dir, "rules.json"), rules)
	return startUp(t, "--mcp-config", filepath.Join(dir, ".mcp.json"), "--rules", filepath.Join(dir, "rules.json"))
}

// startManifest runs the gateway with what a manifest says.
func startManifest(t *testing.T, file string) string {
	t.Helper()
	return startUp(t, "-f", file)
}

// startUp runs the gateway with a configuration and returns the URL of its MCP endpoint.
func startUp(t *testing.T, configuration ...string) string {
	t.Helper()
	addr, admin := freeAddr(t), freeAddr(t)
	argv := append([]string{"up"}, configuration...)
	cmd := exec.Command(path(t, "..", "..", "bin", "gwctl"), append(argv, "--auth", "none", "--data-dir", filepath.Join(t.TempDir(), "data"),
		"--listen", addr, "--control-listen", freeAddr(t), "--admin-listen", admin)...)
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, cmd, &out) })
	waitReady(t, "http://"+admin+"/readyz", &out)
	return "http://" + addr + "/mcp"
}

// stop ends the gateway as a terminal would and waits for it.
func stop(t *testing.T, cmd *exec.Cmd, out *lockedBuffer) {
	_ = cmd.Process.Signal(syscall.SIGINT)
	timer := time.AfterFunc(20*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	_ = cmd.Wait()
	if t.Failed() {
		t.Logf("gateway:\n%s", out.String())
	}
}

func dial(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, time.Second) }

func waitReady(t *testing.T, url string, out *lockedBuffer) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(url)
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatalf("%s never said that the gateway is ready:\n%s", url, out.String())
}

func writeJSON(t *testing.T, file string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// npmServers are the three servers of npm, the filesystem one on a folder with one file.
func npmServers(t *testing.T) (servers object, file string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "hello.txt")
	if err := os.WriteFile(file, []byte("hello from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	return object{
		"everything": stdioServer(npmServer(t, "server-everything", "stdio"), object{}),
		"filesystem": stdioServer(npmServer(t, "server-filesystem", dir), object{}),
		"memory":     stdioServer(npmServer(t, "server-memory"), object{"MEMORY_FILE_PATH": filepath.Join(dir, "memory.json")}),
	}, file
}

// lockedBuffer collects what a process prints.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// run executes a client program and returns what it wrote to standard output; it may exit with any of the codes.
func run(t *testing.T, argv []string, codes ...int) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "NO_COLOR=1")
	err := cmd.Run()
	code := cmd.ProcessState.ExitCode()
	for _, want := range append(codes, 0) {
		if code == want {
			return stdout.Bytes()
		}
	}
	t.Fatalf("%s: %v\nstdout: %s\nstderr: %s", strings.Join(argv, " "), err, stdout.String(), stderr.String())
	return nil
}

// rawCall sends one legacy request without a session, as curl would, and returns the bytes of its result.
func rawCall(t *testing.T, url, method string, params any, header ...string) json.RawMessage {
	t.Helper()
	body, err := json.Marshal(object{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resultOf(t, jsonOf(b))
}

// jsonOf takes the message out of a body that may be an event stream.
func jsonOf(body []byte) []byte {
	for line := range bytes.Lines(body) {
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			return bytes.TrimSpace(data)
		}
	}
	return body
}

func resultOf(t *testing.T, message []byte) json.RawMessage {
	t.Helper()
	var m struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatalf("%v in %q", err, message)
	}
	if m.Result == nil {
		t.Fatalf("no result in %s", message)
	}
	return m.Result
}

// directCall starts a stdio server and calls it without a gateway in between; it returns the bytes of the result.
func directCall(t *testing.T, argv []string, env []string, name string, args any) json.RawMessage {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	lines := bufio.NewReader(out)
	request := func(id int, method string, params any) []byte {
		b, _ := json.Marshal(object{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
		fmt.Fprintf(in, "%s\n", b)
		return answer(t, lines, id)
	}
	request(1, "initialize", object{"protocolVersion": "2025-11-25", "capabilities": object{}, "clientInfo": object{"name": "direct", "version": "1"}})
	fmt.Fprintln(in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return resultOf(t, request(2, "tools/call", object{"name": name, "arguments": args}))
}

// answer reads lines until the one that answers id.
func answer(t *testing.T, lines *bufio.Reader, id int) []byte {
	t.Helper()
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatalf("reading the answer to request %d: %v", id, err)
		}
		var m struct {
			ID     *int            `json:"id"`
			Method *string         `json:"method"`
			Result json.RawMessage `json:"result"`
		}
		if json.Unmarshal(line, &m) == nil && m.Method == nil && m.ID != nil && *m.ID == id {
			return line
		}
	}
}
