package system_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	manyStreams    = 1000
	bytesPerStream = 40 << 10 // with room: it is the growth of a process that has just begun
)

// announcing is a legacy server over HTTP that says on a stream of its own that its prompts have changed, when told to.
func announcing(t *testing.T) (url string, announce func()) {
	t.Helper()
	said, listening := make(chan struct{}), make(chan struct{})
	var once sync.Once
	ctx, stop := context.WithCancel(context.Background())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			http.NewResponseController(w).Flush()
			once.Do(func() { close(listening) })
			select {
			case <-said:
				io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/prompts/list_changed\"}\n\n")
				http.NewResponseController(w).Flush()
				<-ctx.Done()
			case <-ctx.Done():
			}
			return
		}
		body, _ := io.ReadAll(r.Body)
		m := parse[largeRequest](body)
		if text := smallAnswer(m, false); text != "" {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, text)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(func() { stop(); s.Close() })
	return s.URL, func() {
		eventually(t, "the gateway listens", func() bool {
			select {
			case <-listening:
				return true
			default:
				return false
			}
		})
		close(said)
	}
}

// openStream begins a session on a connection of its own, which becomes its stream.
func (p *proxy) openStream(path string) (net.Conn, *bufio.Reader, error) {
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		return nil, nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil { // so that a test that fails ends
		return conn, nil, err
	}
	const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}`
	head := " " + path + " HTTP/1.1\r\nHost: " + p.addr + "\r\nGatehouse-Agent: a\r\nAccept: application/json, text/event-stream\r\n"
	fmt.Fprintf(conn, "POST%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", head, len(hello), hello)
	r := bufio.NewReaderSize(conn, 1<<10)
	resp, err := http.ReadResponse(r, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil {
		return conn, nil, err
	}
	fmt.Fprintf(conn, "GET%sMcp-Session-Id: %s\r\n\r\n", head, resp.Header.Get("Mcp-Session-Id"))
	if resp, err = http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusOK {
		return conn, nil, fmt.Errorf("GET %s = %v, %w", path, resp, err)
	}
	return conn, bufio.NewReaderSize(resp.Body, 512), nil
}

// TestThousandStreamsCostLittle: the streams of 1,000 sessions, half of them on a single server, cost a gateway a few
// kilobytes and at most two goroutines each; they all hear what the server says while calls go on, and end with the process.
func TestThousandStreamsCostLittle(t *testing.T) {
	url, announce := announcing(t)
	p := startLargeProxy(t)
	mustGwctl(t, p.control, nil, "apply", "-f", manifest(t, fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: talks}\nspec: {http: {url: %q}}\n---\n", url)), "--wait", "--timeout", "60s")
	p.mustLargeCall(t, "json", "", 1<<10, false)
	goroutines, before := p.goroutines(t), p.memory(t)
	streams := make([]*bufio.Reader, manyStreams)
	for i := range streams {
		path := "/mcp"
		if i%2 == 0 {
			path = "/mcp/talks"
		}
		conn, r, err := p.openStream(path)
		if conn != nil {
			defer conn.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		streams[i] = r
	}
	if n := p.goroutines(t) - goroutines; n > 2*manyStreams {
		t.Errorf("%d streams have %d goroutines, want at most two each", manyStreams, n)
	}
	grown := (p.memory(t) - before) << 10 / manyStreams
	t.Logf("%d bytes per stream", grown)
	if grown > bytesPerStream {
		t.Errorf("%d streams cost %d bytes of memory each, want at most %d", manyStreams, grown, bytesPerStream)
	}
	announce()
	for i := 0; i < manyStreams; i += 2 {
		if i%100 == 0 {
			p.mustLargeCall(t, "json", "", 1<<10, false)
		}
		for line := ""; !strings.Contains(line, "prompts/list_changed"); {
			var err error
			if line, err = streams[i].ReadString('\n'); err != nil {
				t.Fatalf("stream %d: %v", i, err)
			}
		}
	}
	p.stop(t, "gwproxy")
	for i, r := range streams {
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatalf("stream %d ended with %v, want its regular end", i, err)
		}
	}
}
