package front_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// announcer is a gateway whose one server says a lot, for as long as the agent listens; quick says a few things only.
type announcer struct {
	*tools
	said int
	over chan string // what listened, when it is cut off
}

func (g *announcer) Direct(ctx context.Context, d *gateway.Direct) (*mcp.Reply, error) {
	if d.Name != "subscriptions/listen" {
		return g.tools.Direct(ctx, d)
	}
	if d.Server == "quick" {
		for i := range g.said {
			d.Stream.Notify("notifications/said", fmt.Appendf(nil, `{"n":%d}`, i))
		}
		<-ctx.Done()
		g.over <- d.Server
		return nil, ctx.Err()
	}
	text := []byte(`{"text":"` + strings.Repeat("x", 64<<10) + `"}`)
	for ctx.Err() == nil { // never waits, however little the agent reads
		d.Stream.Notify("notifications/said", text)
	}
	g.over <- d.Server
	return nil, ctx.Err()
}

// open opens the stream of a server on a connection of its own, and reads no more than the head.
func open(t *testing.T, addr, server, session string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /mcp/%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\nMcp-Session-Id: %s\r\n\r\n",
		server, addr, laptopKey, session)
	r := bufio.NewReaderSize(conn, 1<<10)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET = %v, %v, want an event stream", resp, err)
	}
	return conn, bufio.NewReader(resp.Body)
}

// An agent that does not read its stream is cut off, and neither the server nor another agent waits for it.
func TestSlowReaderIsCutOffAndBlocksNobody(t *testing.T) {
	g := &announcer{tools: newTools(), said: 100, over: make(chan string, 2)}
	s := serve(t, config(t, g))
	session := agent{t, s.URL}.initialize()
	slow, _ := open(t, s.Listener.Addr().String(), "loud", session)
	_, quick := open(t, s.Listener.Addr().String(), "quick", session)
	for i := range g.said {
		want := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/said","params":{"n":%d}}`, i)
		if got := event(t, quick); got != want {
			t.Fatalf("event %d = %s, want %s", i, got, want)
		}
	}
	if got := receive(t, g.over); got != "loud" {
		t.Errorf("%s was cut off, want loud", got)
	}
	if _, err := io.Copy(io.Discard, slow); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("reading the stream that was cut off = %v, want its end", err)
	}
}

// A stream holds no goroutine of the HTTP server's, so the server's shutdown does not know it; Wait does.
func TestDrainWaitsForStreams(t *testing.T) {
	g := &announcer{tools: newTools(), said: 1, over: make(chan string, 2)}
	h := front.New(config(t, g))
	s := serveHandler(t, h)
	_, quick := open(t, s.Listener.Addr().String(), "quick", agent{t, s.URL}.initialize())
	event(t, quick)
	h.Drain()
	h.Wait()
	if _, err := io.Copy(io.Discard, quick); err != nil {
		t.Errorf("the stream ended with %v, want its regular end", err)
	}
	_, late := open(t, s.Listener.Addr().String(), "quick", agent{t, s.URL}.initialize())
	if _, err := io.Copy(io.Discard, late); err != nil {
		t.Errorf("a stream opened after the drain ended with %v, want its regular end", err)
	}
}

// An agent that goes away is noticed at once, long before the next comment.
func TestStreamEndsWithItsAgent(t *testing.T) {
	g := &announcer{tools: newTools(), said: 1, over: make(chan string, 2)}
	conf := config(t, g)
	conf.PingEvery = time.Hour
	s := serve(t, conf)
	conn, quick := open(t, s.Listener.Addr().String(), "quick", agent{t, s.URL}.initialize())
	event(t, quick) // until then nobody may be listening: whoever leaves earlier is not listened for
	conn.Close()
	receive(t, g.over)
}
