package h1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
)

// server is a TCP server that reads requests well and answers them as a test wants, byte by byte.
type server struct {
	addr   string
	answer func(c *peer)

	mu       sync.Mutex // guards below
	conns    int
	requests []string // bodies, in the order of arrival
}

// peer is one connection of a client's.
type peer struct {
	net.Conn
	s    *server
	in   *bufio.Reader
	n    int    // which request on this connection, from 1
	body string // of that request
}

// listen serves until the test ends; answer is called for each request.
func listen(t testing.TB, answer func(c *peer)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String(), answer: answer}
	var tasks sync.WaitGroup
	done := make(chan struct{})
	tasks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				stop := make(chan struct{})
				defer close(stop)
				defer c.Close()
				tasks.Go(func() {
					select {
					case <-stop:
					case <-done:
						c.Close()
					}
				})
				s.serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(done)
		tasks.Wait()
	})
	return s
}

func (s *server) serve(c net.Conn) {
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	p := &peer{Conn: c, s: s, in: bufio.NewReader(c)}
	for {
		r, err := http.ReadRequest(p.in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		p.n++
		p.body = string(body)
		s.mu.Lock()
		s.requests = append(s.requests, p.body)
		s.mu.Unlock()
		s.answer(p)
	}
}

// count returns how many connections and requests there were.
func (s *server) count() (conns, requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns, len(s.requests)
}

// say answers with a text as it stands.
func say(text string) func(*peer) {
	return func(c *peer) { io.WriteString(c, text) }
}

// ok is a small good answer.
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// client returns the connections to a server, which end with the test.
func client(t testing.TB, s *server, conf h1.Config) *h1.Host {
	t.Helper()
	c := h1.New(conf)
	t.Cleanup(c.Close)
	return c.Host(s.addr)
}

// request is a POST of a text.
func request(t testing.TB, s *server, body string) *h1.Request {
	t.Helper()
	head, plain := h1.Render(&url.URL{Scheme: "http", Host: s.addr, Path: "/mcp"}, "", http.Header{"Accept": {"application/json"}})
	if !plain {
		t.Fatal("Render = false, want true")
	}
	return &h1.Request{Head: head, Body: []byte(body)}
}

// post posts a text and returns the status, the body, and what went wrong.
func post(ctx context.Context, h *h1.Host, r *h1.Request) (status int, text string, err error) {
	resp, err := h.Post(ctx, r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// must is post for an answer that is expected.
func must(t testing.TB, h *h1.Host, r *h1.Request, want string) {
	t.Helper()
	if _, text, err := post(soon(t), h, r); err != nil || text != want {
		t.Fatalf("Post = %.100q, %v, want %.100q", text, err, want)
	}
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx := soon(t)
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("still not true: %s", what)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
