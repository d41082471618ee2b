package front_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// writes is a ResponseWriter that keeps how large each write was.
type writes struct {
	header http.Header
	sizes  []int
}

func (w *writes) Header() http.Header { return w.header }

func (w *writes) WriteHeader(int) {}

func (w *writes) Write(p []byte) (int, error) {
	w.sizes = append(w.sizes, len(p))
	return len(p), nil
}

func (w *writes) WriteBoth(p, tail []byte) (int, error) { return w.Write(slices.Concat(p, tail)) }

func (*writes) SetReadDeadline(time.Time) error { return nil }

func (*writes) SetWriteDeadline(time.Time) error { return nil }

// A result of a round size has a few bytes around it, for which a write of their own, and a packet, would be a waste.
func TestLargeResultsLeaveInPiecesOfWhichNoneIsTiny(t *testing.T) {
	const piece = 256 << 10
	for _, size := range []int{piece - 1, piece, piece + 1, 4*piece - 1, 4 * piece, 4*piece + 40, 4*piece + 16<<10, 4*piece + 16<<10 + 1} {
		conf := config(t, newTools())
		conf.Gateway = &fixed{mcp.Reply{Result: []byte(`"` + strings.Repeat("x", size-2) + `"`)}}
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8080/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"execute_tool","arguments":{}}}`))
		r.Header.Set("Authorization", "Bearer "+laptopKey)
		r.Header.Set("Content-Type", "application/json")
		w := &writes{header: http.Header{}}
		front.New(conf).ServeHTTP(w, r)

		sum := 0
		for i, n := range w.sizes[1:] { // the first is what stands before the result
			sum += n
			if n < 16<<10 || n > piece+17<<10 {
				t.Errorf("write %d of a result of %d bytes has %d", i+1, size, n)
			}
		}
		if want := size + len(mcp.ResponseTail); sum != want {
			t.Errorf("a result of %d bytes was written in %d, want %d with what is behind it", size, sum, want)
		}
	}
}
