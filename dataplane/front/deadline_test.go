package front_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// send opens a connection and writes the beginning of a request on it.
func send(t *testing.T, url, text string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// head is that of a POST whose body is announced; headers end with line breaks.
func head(headers string, length int) string {
	return fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n", headers, length)
}

// impatient has a patience that a test can wait for.
func impatient(t *testing.T, g *tools) front.Config {
	conf := config(t, g)
	conf.Patience = 100 * time.Millisecond
	return conf
}

// Callers without a key count too: the HTTP server reads the rest of their bodies before it lets go of them.
func TestBodiesThatNeverEndAreCutOff(t *testing.T) {
	tests := []struct{ name, headers, status string }{
		{"with a key", "Authorization: Bearer " + laptopKey + "\r\n", "408"},
		{"without a key", "", "401"},
		{"from another origin", "Origin: http://example.com\r\n", "403"},
	}
	s := serve(t, impatient(t, newTools()))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := send(t, s.URL, head(tt.headers, 1000)+"{")
			text, err := io.ReadAll(conn) // to the end of the connection
			if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 "+tt.status) {
				t.Errorf("answer = %.60q, %v; want %s and the end", text, err, tt.status)
			}
		})
	}
}

// An answer holds its table until it is written, so one that nobody takes would hold a retired one for ever.
func TestAnswersThatNobodyTakesAreGivenUp(t *testing.T) {
	h := front.New(impatient(t, newTools()))
	ended := make(chan struct{})
	s := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		h.ServeHTTP(w, r)
	}))
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"huge","arguments":{}}}`
	send(t, s.URL, head("Authorization: Bearer "+laptopKey+"\r\n", len(body))+body)
	receive(t, ended)
}

// Only agents that do not move are cut off: a tool may take longer than anything else.
func TestPatienceDoesNotBoundACall(t *testing.T) {
	for _, version := range []string{"", "2026-07-28"} {
		g := newTools()
		s := serve(t, impatient(t, g))
		headers, params := "", `"name":"wait","arguments":{}`
		if version != "" {
			headers = "MCP-Protocol-Version: " + version + "\r\nMcp-Method: tools/call\r\nMcp-Name: wait\r\n"
			params += `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
		}
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + params + `}}`
		conn := send(t, s.URL, head("Authorization: Bearer "+laptopKey+"\r\n"+headers, len(body))+body)
		receive(t, g.started)
		select {
		case err := <-g.ended:
			t.Errorf("call of version %q ended with %v, want it under way", version, err)
		case <-time.After(300 * time.Millisecond): // three times the patience
			close(g.release)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("answer of version %q = %v, %v; want 200", version, res, err)
		}
	}
}

// A key that is revoked takes its streams along.
func TestStreamEndsWithItsKey(t *testing.T) {
	l := live(t)
	conf := config(t, newTools())
	conf.Auth = auth.New(l, auth.Key)
	a := agent{t, serve(t, conf).URL}
	res := a.stream(a.initialize())
	defer res.Body.Close()
	empty, err := table.Compile(&gatehousev1.Position{StoreId: "s", Epoch: 1, Revision: 8},
		&gatehousev1.SnapshotContent{Revision: 8, Config: &gatehousev1.Config{}, SealKey: l.Load().SealKey})
	if err != nil {
		t.Fatal(err)
	}
	l.Swap(empty)
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Errorf("reading the stream = %v, want its end", err)
	}
}
