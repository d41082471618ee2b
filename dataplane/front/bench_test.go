package front_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// fixed is a gateway that answers every call with the same bytes, so that the front alone is measured.
type fixed struct{ reply mcp.Reply }

func (*fixed) ToolsList() []byte { return []byte("[]") }

func (f *fixed) CallTool(context.Context, *gateway.Call) (*mcp.Reply, error) { return &f.reply, nil }

func (f *fixed) Direct(context.Context, *gateway.Direct) (*mcp.Reply, error) { return &f.reply, nil }

func (*fixed) Unauthenticated(*gateway.Call, error) {}

// sink is a ResponseWriter that keeps nothing.
type sink struct {
	header http.Header
	n      int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(int) {}

func (s *sink) Write(p []byte) (int, error) { s.n += len(p); return len(p), nil }

// A connection takes deadlines; what they cost there is the runtime's.
func (*sink) SetReadDeadline(time.Time) error { return nil }

func (*sink) SetWriteDeadline(time.Time) error { return nil }

func BenchmarkToolsCall(b *testing.B) {
	call := []byte(`{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"execute_tool","arguments":{"server":"s","tool":"echo","args":{"message":"hello"}}}}`)
	modern := []byte(`{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"execute_tool","arguments":{"server":"s","tool":"echo","args":{"message":"hello"}},` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
	small := []byte(`{"content":[{"type":"text","text":"hello"}]}`)
	session := newSession(b)
	for _, bb := range []struct {
		name    string
		body    []byte
		result  []byte
		headers []string
	}{
		{"legacy", call, small, nil},
		{"session", call, small, []string{"Mcp-Session-Id", session}},
		{"modern", modern, small, []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "execute_tool"}},
		{"1MB", call, []byte(bigResult()), nil},
	} {
		b.Run(bb.name, func(b *testing.B) { benchmark(b, bb.body, bb.result, bb.headers) })
	}
}

func newSession(b *testing.B) string {
	body := `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}`
	return post(front.New(config(b, newTools())), []byte(body)).Header().Get("Mcp-Session-Id")
}

func benchmark(b *testing.B, body, result []byte, headers []string) {
	conf := config(b, newTools())
	conf.Gateway = &fixed{mcp.Reply{Result: result}}
	h := front.New(conf)
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	ctx := context.WithValue(b.Context(), http.LocalAddrContextKey, local) // as the server says it
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:8080/mcp", nil)
	r.Header.Set("Authorization", "Bearer "+laptopKey)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	content := bytes.NewReader(body)
	r.Body, r.ContentLength = io.NopCloser(content), int64(len(body))
	w := &sink{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		content.Reset(body)
		w.n = 0
		h.ServeHTTP(w, r)
		if w.n < len(result) {
			b.Fatalf("wrote %d bytes, want more than %d", w.n, len(result))
		}
	}
}
