package dataplane_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

const pathKey = "gwk_path"

// newPath is all that a call goes through but the agent's connection: front, gateway with audit log and metrics, upstreams.
func newPath(b testing.TB) *front.Handler {
	b.Helper()
	live := new(table.Live)
	tab, err := table.Compile(&gatehousev1.Position{StoreId: "s", Epoch: 1, Revision: 1}, &gatehousev1.SnapshotContent{
		Revision: 1, SealKey: []byte("0123456789abcdef0123456789abcdef"), Config: &gatehousev1.Config{Objects: pathObjects(b)},
	})
	if err != nil {
		b.Fatal(err)
	}
	pool := upstream.New(upstream.Config{StopGrace: 500 * time.Millisecond})
	log, err := record.Open(record.Config{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Proxy: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := pool.Close(); err != nil {
			b.Error(err)
		}
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	pool.Prepare(tab)
	live.Swap(tab)
	verifier := auth.New(live, auth.Key)
	metrics := record.NewMetrics(prometheus.NewRegistry(), append(gateway.Operations(), gateway.Methods()...))
	g := gateway.New(gateway.Config{
		Live: live, Auth: verifier, Records: log, Metrics: metrics,
		Upstream: func(s *table.Server) gateway.Upstream { return pool.Upstream(s) },
	})
	return front.New(front.Config{Gateway: g, Auth: verifier, SealKey: func() []byte { return tab.SealKey }})
}

// pathObjects are an upstream over HTTP and one on a pipe, one agent, and its key.
func pathObjects(b testing.TB) []*gatehousev1.Object {
	sum := sha256.Sum256([]byte(pathKey))
	web := &gatehousev1.Server{Transport: &gatehousev1.Server_Http{Http: &gatehousev1.Http{Url: startQuick(b)}}}
	return []*gatehousev1.Object{
		{Name: "http", Spec: &gatehousev1.Object_Server{Server: web}},
		child("stdio"),
		policy("researcher", "*"),
		{Name: "key", Spec: &gatehousev1.Object_Credential{Credential: &gatehousev1.Credential{
			ApiKey: &gatehousev1.ApiKey{Sha256: hex.EncodeToString(sum[:])}, Agents: []string{"researcher"},
		}}},
	}
}

// pathAgent is one agent's connection, made again for each request with the same memory.
type pathAgent struct {
	request *http.Request
	content *bytes.Reader
	body    []byte
	header  http.Header
	status  int
	tail    []byte // of what was written last
	wrote   int
}

func newPathAgent(ctx context.Context, p *pathCall) *pathAgent {
	a := &pathAgent{content: bytes.NewReader(nil), body: []byte(p.body), header: http.Header{}}
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080})
	a.request = httptest.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:8080"+p.path, nil)
	a.request.Header.Set("Authorization", "Bearer "+pathKey)
	a.request.Header.Set("Content-Type", "application/json")
	a.request.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(p.headers); i += 2 {
		a.request.Header.Set(p.headers[i], p.headers[i+1])
	}
	a.request.Body, a.request.ContentLength = io.NopCloser(a.content), int64(len(a.body))
	return a
}

func (a *pathAgent) Header() http.Header { return a.header }

func (a *pathAgent) WriteHeader(status int) { a.status = status }

func (a *pathAgent) Write(p []byte) (int, error) {
	a.wrote += len(p)
	a.tail = append(a.tail[:0], p[max(0, len(p)-256):]...)
	return len(p), nil
}

func (*pathAgent) FlushError() error { return nil }

// A connection takes deadlines; what they cost there is the runtime's.
func (*pathAgent) SetReadDeadline(time.Time) error { return nil }

func (*pathAgent) SetWriteDeadline(time.Time) error { return nil }

// call makes one call; false says that the answer is none that succeeded.
func (a *pathAgent) call(h http.Handler) bool {
	a.content.Reset(a.body)
	a.status, a.wrote = http.StatusOK, 0
	clear(a.header)
	h.ServeHTTP(a, a.request)
	return a.status == http.StatusOK && a.wrote > 0 && !bytes.Contains(a.tail, []byte(`"isError":true`)) && !bytes.Contains(a.tail, []byte(`"error"`))
}

// pathCall is a call by one of the ways there are.
type pathCall struct {
	name, path, body string
	headers          []string
}

// modernPath are the headers of a modern call of a tool.
func modernPath(tool string) []string {
	return []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", tool}
}

const (
	pathMeta       = `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	pathInitialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}`
)

func pathBody(tool, args, more string) string {
	return `{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + args + more + `}}`
}

func pathCalls() []pathCall {
	execute := func(server string) string {
		return `{"server":"` + server + `","tool":"echo","args":{"message":"hello"}}`
	}
	return []pathCall{
		{"execute_tool/http/legacy", "/mcp", pathBody("execute_tool", execute("http"), ""), nil},
		{"execute_tool/http/modern", "/mcp", pathBody("execute_tool", execute("http"), pathMeta), modernPath("execute_tool")},
		{"execute_tool/stdio/legacy", "/mcp", pathBody("execute_tool", execute("stdio"), ""), nil},
		{"execute_tool/stdio/modern", "/mcp", pathBody("execute_tool", execute("stdio"), pathMeta), modernPath("execute_tool")},
		{"server/http/legacy", "/mcp/http", pathBody("echo", `{"message":"hello"}`, ""), nil},
		{"server/http/modern", "/mcp/http", pathBody("echo", `{"message":"hello"}`, pathMeta), modernPath("echo")},
		{"server/http/10events", "/mcp/http", pathBody("talk", "{}", `,"_meta":{"progressToken":1}`), nil},
		{"server/stdio/legacy", "/mcp/stdio", pathBody("echo", `{"message":"hello"}`, ""), nil},
		{"list_servers", "/mcp", pathBody("list_servers", "{}", ""), nil},
		{"get_server_tools", "/mcp", pathBody("get_server_tools", `{"server":"http"}`, ""), nil},
		{"tools_list", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, nil},
		{"server/tools_list", "/mcp/http", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, nil},
	}
}

// BenchmarkPath is a call from the first byte of its body to the last of its answer, with upstreams that do as little as they
// can on the other side of a real connection. Legacy agents call in a session.
func BenchmarkPath(b *testing.B) {
	h := newPath(b)
	for _, p := range pathCalls() {
		if !strings.Contains(p.name, "modern") {
			p.headers = append(p.headers, "Mcp-Session-Id", pathSession(b, h, p.path), "Mcp-Protocol-Version", "2025-11-25")
		}
		for _, callers := range []int{1, 16} {
			name := p.name + "/callers=1"
			if callers > 1 {
				name = p.name + "/callers=16"
			}
			b.Run(name, func(b *testing.B) { benchmarkPath(b, h, &p, callers) })
		}
	}
}

// pathSession opens a session on a path.
func pathSession(b testing.TB, h http.Handler, path string) string {
	a := newPathAgent(b.Context(), &pathCall{path: path, body: pathInitialize})
	if !a.call(h) {
		b.Fatalf("initialize on %s: status %d, %s", path, a.status, a.tail)
	}
	return a.header.Get("Mcp-Session-Id")
}

func benchmarkPath(b *testing.B, h http.Handler, p *pathCall, callers int) {
	first := newPathAgent(b.Context(), p)
	if !first.call(h) {
		b.Fatalf("status %d, %s", first.status, first.tail)
	}
	b.ReportAllocs()
	if callers == 1 {
		for b.Loop() {
			if !first.call(h) {
				b.Fatalf("status %d, %s", first.status, first.tail)
			}
		}
		return
	}
	b.SetParallelism(callers / 2) // times the processors that such machines have
	b.RunParallel(func(pb *testing.PB) {
		a := newPathAgent(b.Context(), p)
		for pb.Next() {
			if !a.call(h) {
				b.Errorf("status %d, %s", a.status, a.tail)
				return
			}
		}
	})
}
