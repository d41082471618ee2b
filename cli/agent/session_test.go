package agent_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cli/agent"
)

// client is the client's end of a bridge: what is sent is read line by line, what comes is kept as lines.
type client struct {
	*io.PipeWriter
	lines chan string
	done  chan error
}

// connect runs a bridge until the test ends.
func connect(t *testing.T, c *agent.Client) *client {
	t.Helper()
	in, send := io.Pipe()
	b := &client{PipeWriter: send, lines: make(chan string, 64), done: make(chan error, 1)}
	go func() { b.done <- c.Bridge(context.WithoutCancel(t.Context()), in, b) }()
	t.Cleanup(func() {
		send.Close()
		if err := <-b.done; err != nil {
			t.Errorf("Bridge = %v, want nil", err)
		}
	})
	return b
}

// Write takes a line that the bridge writes.
func (b *client) Write(line []byte) (int, error) {
	b.lines <- strings.TrimSuffix(string(line), "\n")
	return len(line), nil
}

// say sends a line.
func (b *client) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(b.PipeWriter, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// forgetful is a gateway that begins a session s1, forgets it, and knows the next one.
type forgetful struct{ begun atomic.Int32 }

func (g *forgetful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch session := r.Header.Get("Mcp-Session-Id"); {
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case strings.Contains(string(body), `"initialize"`):
		w.Header().Set("Mcp-Session-Id", fmt.Sprintf("s%d", g.begun.Add(1)))
		answer(w, "application/json", `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}`)
	case !strings.Contains(string(body), `"id"`):
		w.WriteHeader(http.StatusAccepted)
	case session == "s1":
		w.WriteHeader(http.StatusNotFound)
	default:
		answer(w, "application/json", fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"result":{"session":%q}}`, session))
	}
}

func TestBridgeBeginsALostSessionAnew(t *testing.T) {
	g := new(forgetful)
	b := connect(t, serve(t, g.ServeHTTP))
	b.say(t, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`)
	<-b.lines
	b.say(t, `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`)
	if got, want := <-b.lines, `{"jsonrpc":"2.0","id":2,"result":{"session":"s2"}}`; got != want {
		t.Errorf("after the session was lost the client read %s, want %s", got, want)
	}
	if got := g.begun.Load(); got != 2 {
		t.Errorf("%d sessions were begun, want 2", got)
	}
}

func TestBridgePassesOnWhatIsSaidOutsideOfCalls(t *testing.T) {
	const changed = `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`
	b := connect(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet:
			if got := r.Header.Get("Mcp-Session-Id"); got != "s1" {
				t.Errorf("the stream was opened in session %q, want s1", got)
			}
			answer(w, "text/event-stream", "data: "+changed+"\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case http.MethodPost:
			w.Header().Set("Mcp-Session-Id", "s1")
			answer(w, "application/json", `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}`)
		}
	}))
	b.say(t, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`)
	<-b.lines
	if got := <-b.lines; got != changed {
		t.Errorf("the client read %s, want %s", got, changed)
	}
}

// A modern client on a pipe cancels by a notification, but the gateway takes nothing but a disconnect for that.
func TestBridgeDisconnectsCancelledModernRequests(t *testing.T) {
	begun, left := make(chan struct{}), make(chan struct{})
	b := connect(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "notifications/cancelled") {
			t.Errorf("the gateway got %s, want a disconnect", body)
		}
		if strings.Contains(string(body), `"id":2`) {
			answer(w, "application/json", `{"jsonrpc":"2.0","id":2,"result":{}}`)
			return
		}
		close(begun)
		<-r.Context().Done()
		close(left)
	}))
	const call = `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	b.say(t, fmt.Sprintf(call, 1))
	<-begun
	b.say(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	<-left
	b.say(t, fmt.Sprintf(call, 2))
	if got, want := <-b.lines, `{"jsonrpc":"2.0","id":2,"result":{}}`; got != want {
		t.Errorf("after the cancellation the client read %s, want %s alone", got, want)
	}
}
