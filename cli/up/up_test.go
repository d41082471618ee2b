package up_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatehouse-mcp/gatehouse/cli/agent"
	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	"github.com/gatehouse-mcp/gatehouse/cli/up"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/dataplane"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is one run of both planes, with an operator's and an agent's view of it.
type running struct {
	up.Ready
	admin gatehousev1.AdminServiceClient
	notes *notes
	stop  func() error
}

// notes collect what a run writes for people.
type notes struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}

// start runs both planes on free ports and waits until they serve.
func start(t *testing.T, c up.Config) *running {
	t.Helper()
	r := &running{notes: &notes{}}
	ready := make(chan up.Ready, 1)
	c.Listen, c.AdminListen, c.ControlListen, c.ControlAdminListen = anyPort, anyPort, anyPort, anyPort
	c.Notes = r.notes
	c.Ready = func(now up.Ready) error {
		ready <- now
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- up.Run(ctx, c) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	select {
	case r.Ready = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run = %v before it was ready; notes:\n%s", err, r.notes)
	}
	r.dial(t)
	return r
}

const anyPort = "127.0.0.1:0"

func (r *running) dial(t *testing.T) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+r.ControlPlane, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	r.admin = gatehousev1.NewAdminServiceClient(conn)
}

// names are the objects of the newest revision.
func (r *running) names(t *testing.T) string {
	t.Helper()
	resp, err := r.admin.Get(t.Context(), &gatehousev1.GetRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, o := range resp.GetObjects() {
		out = append(out, fmt.Sprintf("%s%v", o.GetName(), o.GetCredential().GetAgents()))
	}
	return strings.ReplaceAll(strings.Join(out, " "), "[]", "")
}

// servers calls list_servers as an agent and returns the result's text.
func (r *running) servers(key, name string) string {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := &agent.Client{URL: r.Gateway, Key: key, HTTP: &http.Client{Transport: transport}}
	result, err := c.CallTool(context.Background(), "list_servers", map[string]string{"agent_id": name})
	if err != nil {
		return err.Error()
	}
	return string(result)
}

// eventually polls a condition within a deadline that only a broken system reaches.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// write replaces a file in place.
func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// policy is a manifest of an agent that may use a server.
func policy(name, server string) string {
	return fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Policy\nmetadata: {name: %s}\nspec: {allow: {servers: [%s]}}\n---\n", name, server)
}

// server is a manifest of a server that nobody calls.
func server(name string) string {
	return fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: %s}\nspec: {http: {url: http://127.0.0.1:1/mcp}}\n---\n", name)
}

func TestFirstStartMakesAKeyForEveryAgentOfTheFiles(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "gatehouse.yaml"), server("s")+policy("a", "s")+policy("b", "x"))
	data := filepath.Join(dir, "data")
	r := start(t, up.Config{DataDir: data, Files: []string{file}})

	if !r.NewKey || r.Quickstart || strings.Join(r.Agents, " ") != "a b" || strings.Join(r.Servers, " ") != "s" {
		t.Errorf("Ready = %+v, want a new key, agents a b, server s", r.Ready)
	}
	stat, err := os.Stat(r.KeyFile)
	if err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("key file has mode %v, %v, want 0600", stat.Mode(), err)
	}
	if ignored, err := os.ReadFile(filepath.Join(data, ".gitignore")); err != nil || string(ignored) != "*\n" {
		t.Errorf(".gitignore = %q, %v, want the whole folder kept out of git", ignored, err)
	}
	if got := r.names(t); got != "s a b up[a b]" {
		t.Errorf("objects = %s, want s a b up[a b]", got)
	}
	if got := r.servers(r.Key, "a"); !strings.Contains(got, `"s"`) {
		t.Errorf("agent a with the key sees %s, want server s", got)
	}
	if !strings.Contains(r.notes.String(), "gatehouse.yaml:") || !strings.Contains(r.notes.String(), "no server x") {
		t.Errorf("notes = %q, want a warning with its place about server x", r.notes)
	}
	if err := r.stop(); err != nil {
		t.Fatalf("Run = %v, want nil", err)
	}
	if _, err := os.Stat(filepath.Join(data, "up.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("up.json after the run: %v, want it gone", err)
	}

	again := start(t, up.Config{DataDir: data, Files: []string{file}})
	if again.NewKey || again.Key != r.Key {
		t.Errorf("second start has key %q (new %t), want the first one", again.Key, again.NewKey)
	}
}

func TestQuickstartNeedsNoFile(t *testing.T) {
	r := start(t, up.Config{DataDir: t.TempDir()})
	if !r.Quickstart || strings.Join(r.Agents, " ") != "admin researcher" {
		t.Errorf("Ready = %+v, want the quickstart with agents admin and researcher", r.Ready)
	}
	var file up.Ready
	data, err := os.ReadFile(filepath.Join(filepath.Dir(r.KeyFile), "up.json"))
	if err != nil || json.Unmarshal(data, &file) != nil || file.Gateway != r.Gateway {
		t.Errorf("up.json = %s, %v, want the addresses", data, err)
	}
}

func TestKeyFollowsTheFilesAndOthersStay(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "gatehouse.yaml"), policy("a", "s"))
	r := start(t, up.Config{DataDir: filepath.Join(dir, "data"), Files: []string{file}})
	_, err := r.admin.Apply(t.Context(), &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{{
		Name: "theirs", Spec: &gatehousev1.Object_Policy{Policy: &gatehousev1.Policy{}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, policy("b", "s")+policy("c", "s"))
	eventually(t, "the edit is live", func() bool { return r.names(t) == "b c theirs up[b c]" })
	write(t, file, "# nothing\n")
	eventually(t, "nothing of the files is left", func() bool { return r.names(t) == "theirs" })
	write(t, file, policy("a", "s"))
	eventually(t, "the key is back with its agent", func() bool { return r.names(t) == "a theirs up[a]" })
}

func TestRevokedKeyStaysRevoked(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "gatehouse.yaml"), policy("a", "s"))
	c := up.Config{DataDir: filepath.Join(dir, "data"), Files: []string{file}}
	r := start(t, c)
	if _, err := r.admin.Apply(t.Context(), &gatehousev1.ApplyRequest{Delete: []string{"credentials/up"}}); err != nil {
		t.Fatal(err)
	}
	write(t, file, policy("b", "s"))
	eventually(t, "the edit is live without the key", func() bool { return r.names(t) == "b" })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, c)
	if !again.NewKey || again.Key == r.Key {
		t.Errorf("a start after the key was revoked has key %q (new %t), want another one", again.Key, again.NewKey)
	}
}

func TestWrongFileIsRefusedWithItsPlaceAndAlone(t *testing.T) {
	dir := t.TempDir()
	servers := write(t, filepath.Join(dir, "mcp.json"), `{"mcpServers": {"s": {"url": "http://127.0.0.1:1/mcp"}}}`)
	rules := write(t, filepath.Join(dir, "rules.json"), `{"agents": {"a": {"allow": {"servers": ["s", "t"]}}}}`)
	r := start(t, up.Config{DataDir: filepath.Join(dir, "data"), MCPConfig: servers, Rules: rules, Auth: "none"})

	write(t, rules, "{\"agents\":\n {\"b\": {\"alow\": {}}}}")
	eventually(t, "the refusal names the place", func() bool { return strings.Contains(r.notes.String(), "rules.json:2:") })
	write(t, servers, `{"mcpServers": {"t": {"url": "http://127.0.0.1:1/mcp"}}}`)
	eventually(t, "the other file is live", func() bool { return r.names(t) == "t a" })

	// What reads well and makes no sense is refused the same way, and holds back nothing either.
	write(t, servers, `{"mcpServers": {"u": {"url": "gopher://x"}}}`)
	eventually(t, "the refusal names the field", func() bool { return strings.Contains(r.notes.String(), "mcp.json:1:") })
	write(t, rules, `{"agents": {"b": {"allow": {"servers": ["t"]}}}}`)
	eventually(t, "the rules are live again", func() bool { return r.names(t) == "t b" })
}

func TestStartRefusesWrongFiles(t *testing.T) {
	dir := t.TempDir()
	servers := write(t, filepath.Join(dir, "mcp.json"), `{"mcpServers": []}`)
	rules := write(t, filepath.Join(dir, "rules.json"), `{"agents": {"a": {"alow": {}}}}`)
	err := up.Run(t.Context(), up.Config{DataDir: filepath.Join(dir, "data"), MCPConfig: servers, Rules: rules})
	var problems manifest.Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Errorf("Run = %v, want the problems of both files", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("data folder after a refused start: %v, want none", err)
	}
}

func TestObjectInTwoSourcesIsRefused(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "gatehouse.yaml"), policy("a", "s"))
	rules := write(t, filepath.Join(dir, "rules.json"), `{"agents": {"b": {}}}`)
	r := start(t, up.Config{DataDir: filepath.Join(dir, "data"), Files: []string{file}, Rules: rules, Auth: "none"})
	before := r.names(t)
	write(t, file, policy("b", "s"))
	eventually(t, "the refusal names both", func() bool { return strings.Contains(r.notes.String(), "policies/b is defined twice") })
	if got := r.names(t); got != before {
		t.Errorf("objects = %s, want them as before: %s", got, before)
	}
}

func TestSecondRunOnTheSameFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, up.Config{DataDir: dir})
	err := up.Run(t.Context(), up.Config{
		DataDir: dir, Listen: anyPort, AdminListen: anyPort, ControlListen: anyPort, ControlAdminListen: anyPort,
	})
	if !errors.Is(err, store.ErrInUse) {
		t.Errorf("Run = %v, want ErrInUse", err)
	}
}

func TestHangupReadsFilesAgain(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "rules.json"), `{"agents": {"a": {}}}`)
	r := start(t, up.Config{DataDir: filepath.Join(dir, "data"), Rules: file, Auth: "none"})
	audit := filepath.Join(dir, "data", "proxy", "audit.jsonl")
	if err := os.Rename(audit, audit+".1"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the audit log is a new file", func() bool {
		_, err := os.Stat(audit)
		return err == nil
	})
	if got := r.names(t); got != "a" {
		t.Errorf("objects = %s, want a", got)
	}
}

func TestLinkThatIsSwappedIsNoticed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "rules.json"), `{"agents": {"`+name+`": {}}}`)
	}
	link := func(from, to string) {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	link("..data", "one")
	link("rules.json", "..data/rules.json")
	r := start(t, up.Config{DataDir: filepath.Join(dir, "data"), Rules: filepath.Join(dir, "rules.json"), Auth: "none"})
	link("..new", "two")
	if err := os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the swapped file is live", func() bool { return r.names(t) == "two" })
	write(t, filepath.Join(dir, "two", "rules.json"), `{"agents": {"three": {}}}`)
	eventually(t, "an edit behind the link is live", func() bool { return r.names(t) == "three" })
}

func TestNewFileInAFolderIsLive(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "conf")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "a.yaml"), policy("a", "s"))
	r := start(t, up.Config{DataDir: filepath.Join(dir, "data"), Files: []string{folder}, Auth: "none"})
	write(t, filepath.Join(folder, "b.yaml"), policy("b", "s"))
	eventually(t, "the new file is live", func() bool { return r.names(t) == "a b" })
	if err := os.Remove(filepath.Join(folder, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removed file is gone", func() bool { return r.names(t) == "b" })
}

func TestServeEndsTheRun(t *testing.T) {
	c := up.Config{
		DataDir: t.TempDir(), Listen: anyPort, AdminListen: anyPort, ControlListen: anyPort, ControlAdminListen: anyPort,
		Stdin: strings.NewReader(policy("a", "s")), Files: []string{"-"},
	}
	var out bytes.Buffer
	c.Serve = func(ctx context.Context, gateway *dataplane.Server) error {
		in := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_servers","arguments":{"agent_id":"a"}}}` + "\n"
		return gateway.Stdio(ctx, io.MultiReader(strings.NewReader(in)), &out)
	}
	if err := up.Run(t.Context(), c); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if !strings.Contains(out.String(), `"result"`) {
		t.Errorf("the pipe got %q, want a result", &out)
	}
}
