package h1_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
	"github.com/gatehouse-mcp/gatehouse/dataplane/loopback"
)

func TestIdleConnectionThatWasClosedIsNotUsed(t *testing.T) {
	closed := make(chan struct{})
	s := listen(t, func(c *peer) {
		io.WriteString(c, ok)
		if c.body == "last" {
			c.Close()
			close(closed)
		}
	})
	h := client(t, s, h1.Config{})
	must(t, h, request(t, s, "last"), "ok")
	<-closed
	for range 3 {
		must(t, h, request(t, s, "more"), "ok")
	}
	if conns, requests := s.count(); conns != 2 || requests != 4 {
		t.Errorf("%d connections and %d requests, want 2 and 4", conns, requests)
	}
}

func TestIdleConnectionThatSaysSomethingIsNotUsed(t *testing.T) {
	said := make(chan struct{})
	s := listen(t, func(c *peer) {
		io.WriteString(c, ok)
		if c.body == "first" {
			<-said
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
			said <- struct{}{}
		}
	})
	h := client(t, s, h1.Config{})
	must(t, h, request(t, s, "first"), "ok")
	said <- struct{}{}
	<-said
	must(t, h, request(t, s, "second"), "ok")
	if conns, _ := s.count(); conns != 2 {
		t.Errorf("%d connections, want 2", conns)
	}
}

// A request that reached a server may have been executed, so it is never sent again.
func TestRequestThatWasWrittenIsNotRepeated(t *testing.T) {
	s := listen(t, func(c *peer) {
		if c.n > 1 {
			c.Close()
			return
		}
		io.WriteString(c, ok)
	})
	h := client(t, s, h1.Config{})
	must(t, h, request(t, s, "first"), "ok")
	if _, _, err := post(soon(t), h, request(t, s, "second")); err == nil {
		t.Error("Post on a connection that breaks = nil, want an error")
	}
	if conns, requests := s.count(); conns != 1 || requests != 2 {
		t.Errorf("%d connections and %d requests, want 1 and 2", conns, requests)
	}
}

func TestContextEndsEveryWait(t *testing.T) {
	for name, answer := range map[string]string{
		"head":  "",
		"line":  "HTTP/1.1 200 OK\r\nX",
		"body":  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		"chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
		"until": "HTTP/1.1 200 OK\r\n\r\nok",
	} {
		for _, cancels := range []bool{true, false} {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			want := context.Canceled
			if !cancels {
				ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
				want = context.DeadlineExceeded
			}
			s := listen(t, func(c *peer) {
				io.WriteString(c, answer)
				if cancels {
					cancel()
				}
			})
			_, _, err := post(ctx, client(t, s, h1.Config{}), request(t, s, "hello"))
			cancel()
			if !errors.Is(err, want) {
				t.Errorf("%s: Post = %v, want %v", name, err, want)
			}
		}
	}
}

func TestEndedContextSendsNothing(t *testing.T) {
	s := listen(t, say(ok))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := post(ctx, client(t, s, h1.Config{}), request(t, s, "x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Post = %v, want %v", err, context.Canceled)
	}
	if conns, _ := s.count(); conns != 0 {
		t.Errorf("%d connections, want none", conns)
	}
}

func TestConnectionOutlivesTheContextOfItsRequest(t *testing.T) {
	s := listen(t, say(ok))
	h := client(t, s, h1.Config{})
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		if _, text, err := post(ctx, h, request(t, s, "x")); err != nil || text != "ok" {
			t.Fatalf("Post = %q, %v", text, err)
		}
		cancel()
	}
	if conns, _ := s.count(); conns != 1 {
		t.Errorf("%d connections, want 1", conns)
	}
}

func TestBodyThatIsNotReadCostsItsConnection(t *testing.T) {
	s := listen(t, say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"))
	h := client(t, s, h1.Config{})
	for range 2 {
		resp, err := h.Post(soon(t), request(t, s, "x"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		resp.Body.Close() // twice is once
		if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("Read of a closed body = %d, %v", n, err)
		}
	}
	if conns, _ := s.count(); conns != 2 {
		t.Errorf("%d connections, want 2", conns)
	}
}

func TestCloseEndsARead(t *testing.T) {
	s := listen(t, say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"))
	resp, err := client(t, s, h1.Config{}).Post(soon(t), request(t, s, "x"))
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2)
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "ok" {
		t.Fatalf("Read = %q, %v", b, err)
	}
	timer := time.AfterFunc(time.Millisecond, func() { resp.Body.Close() })
	defer timer.Stop()
	if _, err := resp.Body.Read(b); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("Read that Close ends = %v, want an error", err)
	}
}

func TestIdleConnectionsAreBoundedAndGrowOld(t *testing.T) {
	var gate sync.WaitGroup
	s := listen(t, func(c *peer) {
		if c.body == "together" {
			gate.Done()
			gate.Wait()
		}
		io.WriteString(c, ok)
	})
	var mu sync.Mutex // guards open
	open := 0
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		open++
		return &counted{c.(*net.TCPConn), sync.OnceFunc(func() { mu.Lock(); defer mu.Unlock(); open-- })}, nil
	}
	opened := func() int { mu.Lock(); defer mu.Unlock(); return open }
	h := client(t, s, h1.Config{Dial: dial, MaxIdle: 2, IdleTimeout: 50 * time.Millisecond})
	gate.Add(5)
	var calls sync.WaitGroup
	for range 5 {
		calls.Go(func() { _, _, _ = post(soon(t), h, request(t, s, "together")) })
	}
	calls.Wait()
	if n := opened(); n > 2 {
		t.Errorf("%d connections are kept, want at most 2", n)
	}
	eventually(t, "idle connections are closed", func() bool { return opened() == 0 })
	must(t, h, request(t, s, "again"), "ok")
	eventually(t, "idle connections are closed again", func() bool { return opened() == 0 })
}

// counted tells when it is closed.
type counted struct {
	*net.TCPConn
	closed func()
}

func (c *counted) Close() error {
	c.closed()
	return c.TCPConn.Close()
}

func TestCloseKeepsNothing(t *testing.T) {
	s := listen(t, say(ok))
	c := h1.New(h1.Config{})
	h := c.Host(s.addr)
	must(t, h, request(t, s, "x"), "ok")
	resp, err := h.Post(soon(t), request(t, s, "y"))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "ok" {
		t.Errorf("body under way at Close = %q, %v, want ok", b, err)
	}
	resp.Body.Close()
	must(t, h, request(t, s, "z"), "ok") // whoever comes later is served, and leaves nothing
	must(t, c.Host(s.addr), request(t, s, "z"), "ok")
	if conns, _ := s.count(); conns != 3 {
		t.Errorf("%d connections, want 3", conns)
	}
}

func TestLargeRequestsArrive(t *testing.T) {
	s := listen(t, func(c *peer) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(c.body), c.body)
	})
	h := client(t, s, h1.Config{})
	for _, n := range []int{0, 1, 16 << 10, 16<<10 + 1, 100 << 10, 1 << 20, 4 << 20, 0} {
		body := strings.Repeat("0123456789abcdef", n/16+1)[:n]
		must(t, h, request(t, s, body), body)
	}
	if conns, _ := s.count(); conns != 1 {
		t.Errorf("%d connections, want 1", conns)
	}
}

// A server may answer without taking the body, and keep the connection open.
func TestEarlyAnswerEndsALargeRequest(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	release := make(chan struct{})
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer close(release)
	tasks.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
		<-release
	})
	s := &server{addr: l.Addr().String()}
	status, text, err := post(soon(t), client(t, s, h1.Config{}), request(t, s, strings.Repeat("x", 32<<20)))
	if err != nil || status != 413 || text != "big" {
		t.Errorf("Post = %d %q, %v, want 413 big", status, text, err)
	}
}

func TestManyCallersGetTheirOwnAnswers(t *testing.T) {
	s := listen(t, func(c *peer) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(c.body), c.body)
	})
	h := client(t, s, h1.Config{})
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for j := range 100 {
				want := fmt.Sprintf("%d-%d", i, j)
				ctx, cancel := context.WithCancel(t.Context())
				if _, text, err := post(ctx, h, request(t, s, want)); err != nil || text != want {
					t.Errorf("Post(%s) = %q, %v", want, text, err)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	if conns, _ := s.count(); conns > 16 {
		t.Errorf("%d connections for 16 callers", conns)
	}
}

func TestServerThatIsNotThereIsAnError(t *testing.T) {
	addr, err := loopback.Addr()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: addr}
	if _, _, err := post(soon(t), client(t, s, h1.Config{}), request(t, s, "x")); err == nil {
		t.Error("Post to nobody = nil, want an error")
	}
}

func BenchmarkPost(b *testing.B) {
	s := listen(b, say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"))
	h := client(b, s, h1.Config{})
	r := request(b, s, strings.Repeat("x", 150))
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	space := make([]byte, 512)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := h.Post(ctx, r)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := resp.Body.Read(space); n != 2 || !errors.Is(err, io.EOF) {
			b.Fatalf("Read = %d, %v", n, err)
		}
		resp.Body.Close()
	}
}
