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

	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream/h1"
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
