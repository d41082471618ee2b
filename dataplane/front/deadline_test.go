package front_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// connect opens a connection and writes the beginning of a request on it.
func connect(t *testing.T, url, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// patience is that of the tests below, whose clock is the bubble's: it is up when everybody waits, however slow the machine.
const patience = time.Minute

// impatient has a patience that a test can wait for.
func impatient(t *testing.T, g *tools) front.Config {
	conf := config(t, g)
	conf.Patience = patience
	return conf
}

// head is that of a POST whose body is announced; headers end with line breaks.
func head(headers string, length int) string {
	return fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n", headers, length)
}

// wires are the listener of a server inside a bubble, where a network would wait for what is outside of it.
type wires struct {
	ends   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (l *wires) Accept() (net.Conn, error) {
	select {
	case c := <-l.ends:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *wires) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *wires) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// inside serves a handler in a bubble. What it returns opens a connection and writes the beginning of a request on it.
func inside(t *testing.T, h http.Handler) (send func(text string) net.Conn) {
	t.Helper()
	l := &wires{ends: make(chan net.Conn), closed: make(chan struct{})}
	s := &http.Server{Handler: h}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return func(text string) net.Conn {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = ours.Close() })
		l.ends <- theirs
		if _, err := io.WriteString(ours, text); err != nil {
			t.Fatal(err)
		}
		return ours
	}
}

// Callers without a key count too: the HTTP server reads the rest of their bodies before it lets go of them.
func TestBodiesThatNeverEndAreCutOff(t *testing.T) {
	tests := []struct{ name, headers, status string }{
		{"with a key", "Authorization: Bearer " + laptopKey + "\r\n", "408"},
		{"without a key", "", "401"},
		{"from another origin", "Origin: http://example.com\r\n", "403"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				conn := inside(t, front.New(impatient(t, newTools())))(head(tt.headers, 1000) + "{")
				text, err := io.ReadAll(conn) // to the end of the connection
				if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 "+tt.status) {
					t.Errorf("answer = %.60q, %v; want %s and the end", text, err, tt.status)
				}
				if took := time.Since(begun); took < patience || took > 2*patience {
					t.Errorf("the end came after %v, want %v to %v", took, patience, 2*patience)
				}
			})
		})
	}
}

// An answer holds its table until it is written, so one that nobody takes would hold a retired one for ever.
func TestAnswersThatNobodyTakesAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := front.New(impatient(t, newTools()))
		ended := make(chan struct{})
		send := inside(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(ended)
			h.ServeHTTP(w, r)
		}))
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"huge","arguments":{}}}`
		send(head("Authorization: Bearer "+laptopKey+"\r\n", len(body)) + body)
		<-ended
	})
}

// Only agents that do not move are cut off: a tool may take longer than anything else.
func TestPatienceDoesNotBoundACall(t *testing.T) {
	for _, version := range []string{"", "2026-07-28"} {
		synctest.Test(t, func(t *testing.T) { longCall(t, version) })
	}
}

// longCall has a call of a version take longer than anybody's patience.
func longCall(t *testing.T, version string) {
	g := newTools()
	headers, params := "", `"name":"wait","arguments":{}`
	if version != "" {
		headers = "MCP-Protocol-Version: " + version + "\r\nMcp-Method: tools/call\r\nMcp-Name: wait\r\n"
		params += `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	}
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + params + `}}`
	conn := inside(t, front.New(impatient(t, g)))(head("Authorization: Bearer "+laptopKey+"\r\n"+headers, len(body)) + body)
	<-g.started
	time.Sleep(3 * patience) // the bubble's
	select {
	case err := <-g.ended:
		t.Errorf("call of version %q ended with %v, want it under way", version, err)
	default:
		close(g.release)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("answer of version %q = %v, %v; want 200", version, res, err)
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
