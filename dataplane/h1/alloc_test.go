//go:build !race

package h1_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
)

// TestServerAllocatesNothing holds what a request costs beside its handler. The race detector empties pools at random, so it
// is not counted there.
func TestServerAllocatesNothing(t *testing.T) {
	kind, body := []string{"application/json"}, make([]byte, 100)
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.ReadFull(r.Body, body[:r.ContentLength])
		w.Header()["Content-Type"] = kind
		_, _ = w.Write(body[:n])
	})})
	a := dial(t, addr)
	requests := [][]byte{[]byte(postOf("0123456789")), []byte(postOf(strings.Repeat("x", 100)))}
	answer := make([]byte, 1<<10)
	failed, i := 0, 0
	call := func() {
		i++
		_, err := a.Write(requests[i%2])
		n, err2 := a.Read(answer) // it comes in one piece
		if err != nil || err2 != nil || !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 200 OK\r\n")) || !bytes.HasSuffix(answer[:n], requests[i%2][len(requests[i%2])-10:]) {
			failed++
		}
	}
	if got := testing.AllocsPerRun(2000, call); got > 0 || failed > 0 {
		t.Errorf("a request costs %v allocations, want none; %d of %d failed", got, failed, i)
	}
}

func BenchmarkServer(b *testing.B) {
	addr, _ := serve(b, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	})})
	a := dial(b, addr)
	request, answer := []byte(postOf("0123456789")), make([]byte, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := a.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
}
