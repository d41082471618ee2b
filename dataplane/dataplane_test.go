package dataplane_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatehouse-mcp/gatehouse/controlplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		serve()
		return
	}
	if version := os.Getenv(mirrorEnv); version != "" {
		(&mirror{version: version}).servePipe()
		return
	}
	goleak.VerifyTestMain(m)
}

// running is a task that a test ends.
type running struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan error
	once   sync.Once
}

// run starts a task, which ends with the test at the latest.
func run(t *testing.T, task func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- task(ctx) }()
	t.Cleanup(r.stop)
	return r
}

func (r *running) stop() {
	r.once.Do(func() {
		r.cancel()
		if err := <-r.done; err != nil {
			r.t.Errorf("Run = %v, want nil", err)
		}
	})
}

// plane is a control plane and how an operator reaches it.
type plane struct {
	*running
	addr    string
	metrics string // the URL of its metrics
	admin   gatehousev1.AdminServiceClient
}

func startControlPlane(t *testing.T) *plane {
	t.Helper()
	s, err := controlplane.New(controlplane.Config{
		Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", DataDir: t.TempDir(), Heartbeat: 500 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &plane{running: run(t, s.Run), addr: s.Addr(), metrics: "http://" + s.AdminAddr() + "/metrics"}
	conn, err := grpc.NewClient(p.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p.admin = gatehousev1.NewAdminServiceClient(conn)
	return p
}

// apply commits objects and returns the revision, once proxies get it: one that starts before is ready with the revision
// before, and knows neither the objects nor the keys.
func (p *plane) apply(objects ...*gatehousev1.Object) int64 {
	p.t.Helper()
	res, err := p.admin.Apply(p.t.Context(), &gatehousev1.ApplyRequest{Put: objects})
	if err != nil {
		p.t.Fatalf("Apply = %v", err)
	}
	line := fmt.Sprintf("gatehouse_published_revision %d\n", res.GetRevision())
	eventually(p.t, line, func() bool { _, metrics := fetch(p.t, p.metrics); return strings.Contains(metrics, line) })
	return res.GetRevision()
}

// proxy is a proxy and its files.
type proxy struct {
	*dataplane.Server
	*running
	t   *testing.T
	dir string
}

func startProxy(t *testing.T, c dataplane.Config) *proxy {
	t.Helper()
	c.Listen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	if c.StateDir == "" {
		c.StateDir = t.TempDir()
	}
	s, err := dataplane.New(c)
	if err != nil {
		t.Fatalf("New = %v", err)
	}
	return &proxy{Server: s, running: run(t, s.Run), t: t, dir: c.StateDir}
}

// get reads a page of the admin listener.
func (p *proxy) get(path string) (status int, body string) {
	p.t.Helper()
	return fetch(p.t, "http://"+p.AdminAddr()+path)
}

func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// answer is the answer to a tools/call.
type answer struct {
	status int
	body   string
}

// call performs a tools/call with a key; "" sends none.
func (p *proxy) call(key, tool, args string) answer {
	p.t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + args + `}}`
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.Addr()+"/mcp", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{status: res.StatusCode, body: string(text)}
}

// eventually waits until a condition of running parts holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 12_000 {
		if holds() {
			return
		}
		<-tick.C
	}
	t.Fatalf("waited in vain: %s", what)
}

func (p *proxy) waitReady() {
	p.t.Helper()
	eventually(p.t, "the proxy is ready", func() bool { status, _ := p.get("/readyz"); return status == http.StatusOK })
}

func credential(name, key string, agents ...string) *gatehousev1.Object {
	sum := sha256.Sum256([]byte(key))
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Credential{Credential: &gatehousev1.Credential{
		ApiKey: &gatehousev1.ApiKey{Sha256: hex.EncodeToString(sum[:])}, Agents: agents,
	}}}
}

const echo = `{"server":"everything","tool":"echo","args":{"n":9007199254740993}}`

func TestChangeReachesAgents(t *testing.T) {
	control := startControlPlane(t)
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr})
	control.apply(child("everything"), policy("researcher", "everything"), credential("laptop", "gwk_1", "researcher"))
	p.waitReady()
	eventually(t, "the call is answered", func() bool { return p.call("gwk_1", "execute_tool", echo).status == http.StatusOK })
	got := p.call("gwk_1", "execute_tool", echo)
	if want := `"params":{"name":"echo","arguments":{"n":9007199254740993}}`; !strings.Contains(got.body, want) {
		t.Errorf("answer = %+v, want one with %s", got, want)
	}
	control.apply(policy("researcher", "nothing"))
	eventually(t, "access is taken away", func() bool {
		return strings.Contains(p.call("gwk_1", "execute_tool", echo).body, "DENIED_BY_POLICY")
	})
}

func TestCallersWithoutAKeyAreRefusedAndRecorded(t *testing.T) {
	control := startControlPlane(t)
	control.apply(policy("researcher", "everything"), credential("laptop", "gwk_1", "researcher"))
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr})
	p.waitReady()
	for _, key := range []string{"", "gwk_2"} {
		if got := p.call(key, "list_servers", `{}`); got.status != http.StatusUnauthorized {
			t.Errorf("key %q: %+v, want 401", key, got)
		}
	}
	if got := p.call("gwk_1", "list_servers", `{}`); got.status != http.StatusOK {
		t.Errorf("answer = %+v, want 200", got)
	}
	p.stop()
	text, err := os.ReadFile(filepath.Join(p.dir, "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range bytes.Lines(text) {
		var e struct {
			Outcome   string `json:"outcome"`
			Principal string `json:"principal"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Outcome+" of "+e.Principal)
	}
	if want := "UNAUTHENTICATED of , UNAUTHENTICATED of , OK of laptop"; strings.Join(got, ", ") != want {
		t.Errorf("audit = %v, want %s", got, want)
	}
}

func TestProxyServesFromDiskWithoutAControlPlane(t *testing.T) {
	control := startControlPlane(t)
	control.apply(child("everything"), policy("researcher", "everything"))
	first := startProxy(t, dataplane.Config{ControlPlane: control.addr, Auth: auth.None})
	first.waitReady()
	first.stop()
	control.stop()
	second := startProxy(t, dataplane.Config{ControlPlane: control.addr, Auth: auth.None, StateDir: first.dir})
	second.waitReady()
	got := second.call("", "execute_tool", `{"agent_id":"researcher","server":"everything","tool":"echo"}`)
	if got.status != http.StatusOK || strings.Contains(got.body, "isError") {
		t.Errorf("answer = %+v, want the server's", got)
	}
}

func TestProxyWithoutASnapshotIsAliveButNotReady(t *testing.T) {
	p := startProxy(t, dataplane.Config{ControlPlane: "127.0.0.1:1"})
	eventually(t, "the proxy is alive", func() bool { status, _ := p.get("/livez"); return status == http.StatusOK })
	if status, body := p.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "no snapshot") {
		t.Errorf("/readyz = %d %s, want 503", status, body)
	}
	if got := p.call("gwk_1", "list_servers", `{}`); got.status != http.StatusServiceUnavailable {
		t.Errorf("answer = %+v, want 503", got)
	}
}

func TestDrainFinishesCallsUnderWay(t *testing.T) {
	control := startControlPlane(t)
	control.apply(child("everything"), policy("researcher", "everything"))
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr, Auth: auth.None})
	p.waitReady()
	answers, stopped := make(chan answer, 1), make(chan struct{})
	finish := filepath.Join(t.TempDir(), "finish")
	go func() {
		answers <- p.call("", "execute_tool", fmt.Sprintf(`{"agent_id":"researcher","server":"everything","tool":"slow","args":{"until":%q}}`, finish))
	}()
	eventually(t, "the call is under way", func() bool {
		_, body := p.get("/metrics")
		return strings.Contains(body, "gatehouse_calls_under_way 1")
	})
	go func() { p.stop(); close(stopped) }()
	eventually(t, "the proxy drains", func() bool { _, body := p.get("/readyz"); return strings.Contains(body, "draining") })
	if err := os.WriteFile(finish, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-answers; got.status != http.StatusOK || strings.Contains(got.body, "isError") {
		t.Errorf("answer = %+v, want the tool's", got)
	}
	<-stopped
	if got := p.call("", "list_servers", `{}`); got.status != 0 {
		t.Errorf("answer = %+v after the end, want none", got)
	}
}

func TestDrainCutsOffCallsThatTakeTooLong(t *testing.T) {
	control := startControlPlane(t)
	control.apply(child("everything"), policy("researcher", "everything"))
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr, Auth: auth.None, DrainTimeout: time.Millisecond})
	p.waitReady()
	answers := make(chan answer, 1)
	go func() {
		answers <- p.call("", "execute_tool", `{"agent_id":"researcher","server":"everything","tool":"stuck"}`)
	}()
	eventually(t, "the call is under way", func() bool {
		_, body := p.get("/metrics")
		return strings.Contains(body, "gatehouse_calls_under_way 1")
	})
	p.stop()
	if got := <-answers; got.status != 0 {
		t.Errorf("answer = %+v, want a connection cut off", got)
	}
	text, err := os.ReadFile(filepath.Join(p.dir, "audit.jsonl"))
	if err != nil || !strings.Contains(string(text), `"tool":"stuck"`) {
		t.Errorf("audit = %s (%v), want a line for the call that was cut off", text, err)
	}
}

func TestStdioServesAfterTheFirstSnapshot(t *testing.T) {
	control := startControlPlane(t)
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr})
	in := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_servers","arguments":{"agent_id":"researcher"}}}` + "\n")
	var out bytes.Buffer
	served := make(chan error, 1)
	go func() { served <- p.Stdio(t.Context(), in, &out) }()
	control.apply(child("everything"), policy("researcher", "everything"))
	if err := <-served; err != nil {
		t.Fatalf("Stdio = %v", err)
	}
	// The first snapshot is that of an empty store, unless the change came before it.
	if !strings.Contains(out.String(), `"id":1`) {
		t.Errorf("out = %s, want an answer", out.String())
	}
}

func TestStdioEndsWithTheProxy(t *testing.T) {
	p := startProxy(t, dataplane.Config{ControlPlane: "127.0.0.1:1"})
	in, _ := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- p.Stdio(t.Context(), in, io.Discard) }()
	eventually(t, "the proxy is alive", func() bool { status, _ := p.get("/livez"); return status == http.StatusOK })
	p.stop()
	if err := <-served; err == nil {
		t.Error("Stdio = nil, want why it ended")
	}
}

func TestAdminPages(t *testing.T) {
	control := startControlPlane(t)
	revision := control.apply(child("everything"), policy("researcher", "everything"))
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr, Auth: auth.None, Version: "1.2.3"})
	p.waitReady()
	if _, body := p.get("/version"); body != `{"program":"gwproxy","version":"1.2.3"}`+"\n" {
		t.Errorf("/version = %s", body)
	}
	p.call("", "list_servers", `{"agent_id":"researcher"}`)
	if revision != 1 {
		t.Fatalf("revision %d, want 1", revision)
	}
	_, body := p.get("/metrics")
	for _, line := range []string{
		`gatehouse_insecure_identity 1`, `gatehouse_snapshot_revision 1`, `gatehouse_build_info{version="1.2.3"} 1`,
		`gatehouse_calls_total{operation="list_servers",outcome="OK"} 1`,
		`gatehouse_agent_call_duration_seconds_count{agent="researcher"} 1`,
		`gatehouse_upstream_state{server="everything",state="idle"} 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

func TestNewRefusesWhatIsNotSafe(t *testing.T) {
	for _, test := range []struct {
		change  func(*dataplane.Config)
		message string
	}{
		{func(c *dataplane.Config) { c.Listen = ":0" }, "loopback"},
		{func(c *dataplane.Config) { c.Listen = "0.0.0.0:0" }, "loopback"},
		{func(c *dataplane.Config) { c.AdminListen = "192.0.2.1:0" }, "loopback"},
		{func(c *dataplane.Config) { c.AdminListen = "example.com:0" }, "loopback"},
		{func(c *dataplane.Config) { c.Auth = "password" }, "password"},
		{func(c *dataplane.Config) { c.StateDir = "" }, "state directory"},
		{func(c *dataplane.Config) { c.Audit = filepath.Join(c.StateDir, "missing", "audit.jsonl") }, "audit log"},
	} {
		c := dataplane.Config{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", StateDir: t.TempDir()}
		test.change(&c)
		if _, err := dataplane.New(c); err == nil || !strings.Contains(err.Error(), test.message) {
			t.Errorf("New = %v, want an error about %q", err, test.message)
		}
	}
}

func TestProxyKeepsItsID(t *testing.T) {
	dir := t.TempDir()
	var ids []string
	for range 2 {
		s, err := dataplane.New(dataplane.Config{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", StateDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "id"))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(text))
	}
	if ids[0] != ids[1] || len(ids[0]) < 9 {
		t.Errorf("ids = %q, want one twice", ids)
	}
}

func TestAStateDirectoryIsOneProxysAlone(t *testing.T) {
	c := dataplane.Config{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", StateDir: t.TempDir()}
	s, err := dataplane.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dataplane.New(c); err == nil || !strings.Contains(err.Error(), c.StateDir) || !strings.Contains(err.Error(), "--state-dir") {
		t.Errorf("New beside a proxy with the same state = %v, want the directory and what to do", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = dataplane.New(c); err != nil {
		t.Fatalf("New once that proxy is gone: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestATakenAddressIsNamedWithTheNextStep(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = dataplane.New(dataplane.Config{Listen: l.Addr().String(), AdminListen: "127.0.0.1:0", StateDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "name another address") {
		t.Errorf("New = %v, want the address and what to do", err)
	}
}
