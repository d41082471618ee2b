package h1_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
)

// FuzzResponseHead holds the parser against net/http's: what it takes, net/http takes too, and understands in the same way.
func FuzzResponseHead(f *testing.F) {
	for _, seed := range []string{
		ok[:len(ok)-2], "HTTP/1.1 204\r\n\r\n", "HTTP/1.0 200 OK\nConnection: keep-alive\n\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: a\r\nx: b\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 01\r\n\r\n", "HTTP/1.1 200 OK\r\nA\x00: b\r\n\r\n", "\r\n\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := h1.ParseHead(text)
		if err != nil {
			if _, broken := errors.AsType[*h1.FaultError](err); !broken {
				t.Fatalf("ParseHead(%q) = %v, want a fault", text, err)
			}
			return
		}
		want, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), &http.Request{Method: http.MethodPost})
		if err != nil {
			t.Fatalf("ParseHead took %q, which net/http refuses: %v", text, err)
		}
		if got.Status != want.StatusCode || got.Chunked != (want.TransferEncoding != nil) && got.Status >= 200 {
			t.Errorf("ParseHead(%q) = %+v, want %+v", text, got, want)
		}
		if got.Status >= 200 && got.Status != 204 && got.Status != 304 && got.Length != want.ContentLength {
			t.Errorf("ParseHead(%q): length %d, want %d", text, got.Length, want.ContentLength)
		}
		for _, gone := range []string{"Transfer-Encoding", "Content-Length", "Trailer"} { // net/http takes these out or mends them
			delete(got.Header, gone)
			delete(want.Header, gone)
		}
		if len(got.Header)+len(want.Header) > 0 && !reflect.DeepEqual(got.Header, want.Header) && want.Header["Connection"] != nil == (got.Header["Connection"] != nil) {
			t.Errorf("ParseHead(%q): headers %v, want %v", text, got.Header, want.Header)
		}
	})
}

// FuzzRequestHead holds the parser against net/http's: what it takes, net/http takes too, and understands in the same way,
// whatever head came before on the connection.
func FuzzRequestHead(f *testing.F) {
	const post = "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nX: a\r\n\r\n"
	for _, seed := range []string{
		post, strings.Replace(post, "12", "3", 1), strings.Replace(post, "12", "12 ", 1), strings.Replace(post, "12", "1 2", 1), "GET / HTTP/1.0\n\n",
		"GET http://y/a?b HTTP/1.1\r\nhost: x\r\nConnection: close\r\n\r\n", "POST /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n",
	} {
		f.Add(post, seed)
	}
	f.Fuzz(func(t *testing.T, before, text string) {
		if i := strings.Index(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n"); i < 0 || !strings.HasSuffix(text, "\n") {
			return // no head: the server looks for its end first
		}
		got, known, err := h1.ParseRequest(before, text)
		if _, _, alone := h1.ParseRequest("", text); (err == nil) != (alone == nil) {
			t.Fatalf("ParseRequest(%q) = %v behind %q (known: %v), and %v alone", text, err, before, known, alone)
		}
		if err != nil {
			return
		}
		want, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Fatalf("ParseRequest took %q, which net/http refuses: %v", text, err)
		}
		if got.Method != want.Method || got.Host != want.Host || got.RequestURI != want.RequestURI || !reflect.DeepEqual(got.URL, want.URL) {
			t.Errorf("ParseRequest(%q) = %s %s of %s, want %s %s of %s", text, got.Method, got.URL, got.Host, want.Method, want.URL, want.Host)
		}
		if got.ContentLength != want.ContentLength || !reflect.DeepEqual(got.TransferEncoding, want.TransferEncoding) || got.ProtoMinor > 0 && got.Close != want.Close {
			t.Errorf("ParseRequest(%q): length %d %v close %v, want %d %v close %v", text,
				got.ContentLength, got.TransferEncoding, got.Close, want.ContentLength, want.TransferEncoding, want.Close)
		}
		for _, gone := range []string{"Content-Length", "Trailer", "Connection", "Pragma", "Cache-Control"} { // net/http takes these out or mends them
			delete(got.Header, gone)
			delete(want.Header, gone)
		}
		if len(got.Header)+len(want.Header) > 0 && !reflect.DeepEqual(got.Header, want.Header) {
			t.Errorf("ParseRequest(%q): headers %v, want %v", text, got.Header, want.Header)
		}
	})
}

// FuzzResponse reads whole answers from a connection: it must not panic, hang, or take more than net/http would.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		ok, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nok\r\n0\r\nX: y\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nok",
		"HTTP/1.1 100 Continue\r\n\r\n" + ok,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := h1.New(h1.Config{Dial: func(context.Context, string, string) (net.Conn, error) {
			return &spoken{in: bytes.NewReader(text)}, nil
		}})
		defer c.Close()
		_, got, err := post(t.Context(), c.Host("x"), &h1.Request{Head: []byte("POST / HTTP/1.1\r\n")})
		if err != nil {
			return
		}
		in := bufio.NewReader(bytes.NewReader(text))
		for {
			resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodPost})
			if err != nil {
				t.Fatalf("Post took %q, which net/http refuses: %v", text, err)
			}
			want, err := io.ReadAll(resp.Body)
			if resp.StatusCode < 200 {
				continue
			}
			if err != nil || string(want) != got {
				t.Errorf("Post(%q) = %q, want %q, %v", text, got, want, err)
			}
			return
		}
	})
}

// spoken is a connection whose other side has said all that it will.
type spoken struct {
	net.Conn // nil: nothing else is asked of it
	in       *bytes.Reader
}

func (s *spoken) Read(p []byte) (int, error) { return s.in.Read(p) }

func (*spoken) Write(p []byte) (int, error) { return len(p), nil }

func (*spoken) Close() error { return nil }

func (*spoken) SetDeadline(time.Time) error { return nil }
