package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// poller is a server that ends the stream of a call before the answer, and goes on where it is asked to.
type poller struct {
	*web

	mu   sync.Mutex // guards below
	id   string     // of the call
	gets []string   // the events after which it was asked to go on
}

// newPoller makes one whose first stream is given; next answers the n-th request to go on, from 1.
func newPoller(first string, next func(p *poller, w http.ResponseWriter, n int)) *poller {
	p := &poller{web: new(web)}
	p.respond = func(w http.ResponseWriter, _ *http.Request, q request) {
		p.mu.Lock()
		p.id = string(q.ID)
		p.mu.Unlock()
		says(w, first)
	}
	p.onGet = func(w http.ResponseWriter, r *http.Request) {
		after := r.Header.Get("Last-Event-ID")
		if after == "" { // of those who listen
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		p.mu.Lock()
		p.gets = append(p.gets, after)
		n := len(p.gets)
		p.mu.Unlock()
		next(p, w, n)
	}
	return p
}

// says is a stream of events that ends.
func says(w http.ResponseWriter, events string) {
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, events)
}

// answer is the event that ends the call.
func (p *poller) answer() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":\"late\"}\n\n", p.id)
}

func (p *poller) asked() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.gets, ",")
}

const progress = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n"

func TestServerMayEndStreamsBeforeTheAnswerAsOftenAsItLikes(t *testing.T) {
	for name, c := range map[string]struct {
		first string
		next  func(p *poller, w http.ResponseWriter, n int)
		want  string // after which events it is to be asked
	}{
		"streams that say nothing": {"id: e1\nretry: 1\ndata:\n\n", func(p *poller, w http.ResponseWriter, n int) {
			if n < 9 {
				says(w, "")
				return
			}
			says(w, p.answer())
		}, "e1,e1,e1,e1,e1,e1,e1,e1,e1"},
		"a new place each time": {"id: e0\nretry: 0\ndata:\n\n", func(p *poller, w http.ResponseWriter, n int) {
			if n < 7 {
				says(w, fmt.Sprintf("id: e%d\n%s", n, progress))
				return
			}
			says(w, p.answer())
		}, "e0,e1,e2,e3,e4,e5,e6"},
		"an event that was cut": {"id: e1\nretry: 1\ndata:\n\nid: e2\n", func(p *poller, w http.ResponseWriter, _ int) {
			says(w, p.answer())
		}, "e1"},
		"an id that is no header": {"id: e1\nretry: 1\ndata:\n\nid: e2\rX: y\n\n", func(p *poller, w http.ResponseWriter, _ int) {
			says(w, p.answer())
		}, "e1"},
		"trouble on the way": {"id: e1\nretry: 1\ndata:\n\n", func(p *poller, w http.ResponseWriter, n int) {
			switch n {
			case 1:
				w.WriteHeader(http.StatusServiceUnavailable)
			case 2:
				panic(http.ErrAbortHandler)
			default:
				says(w, p.answer())
			}
		}, "e1,e1,e1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPoller(c.first, c.next)
			if got := mustCall(t, one(t, upstream.Config{}, p.start(t)), tool("x")); got != `"late"` {
				t.Errorf("Call = %s, want late", got)
			}
			if got := p.asked(); got != c.want {
				t.Errorf("asked to go on after %q, want %q", got, c.want)
			}
		})
	}
}

func TestStreamThatCannotBeTakenUpIsUnanswered(t *testing.T) {
	for name, c := range map[string]struct {
		first   string
		modern  bool
		status  int // that answers each GET
		unknown bool
		gets    int
	}{
		"no id":       {"retry: 1\ndata:\n\n", false, 200, true, 0},
		"an empty id": {"id: 1\ndata:\n\nid\ndata:\n\n", false, 200, true, 0},
		"modern":      {"id: e1\nretry: 1\ndata:\n\n", true, 200, true, 0},
		"not offered": {"id: e1\nretry: 1\ndata:\n\n", false, 405, false, 1},
		"in trouble":  {"id: e1\nretry: 1\ndata:\n\n", false, 500, false, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPoller(c.first, func(_ *poller, w http.ResponseWriter, _ int) { w.WriteHeader(c.status) })
			p.modern = c.modern
			_, err := one(t, upstream.Config{}, p.start(t)).Call(soon(t), tool("x"))
			if !errors.Is(err, mcp.ErrUnavailable) || errors.Is(err, mcp.ErrUnanswered) != c.unknown {
				t.Errorf("Call = %v, want %v, and %v: %v", err, mcp.ErrUnavailable, mcp.ErrUnanswered, c.unknown)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if got := len(p.gets); got != c.gets {
				t.Errorf("asked %d times to go on, want %d", got, c.gets)
			}
		})
	}
}

func TestWaitForAStreamThatWasEndedEndsWithTheCall(t *testing.T) {
	for name, first := range map[string]string{
		"a long pause":        "id: e1\nretry: 3600000\ndata:\n\n",
		"streams without end": "id: e1\nretry: 0\ndata:\n\n",
	} {
		for _, want := range []error{mcp.ErrTimeout, context.Canceled} {
			t.Run(name+", "+want.Error(), func(t *testing.T) {
				t.Parallel()
				p := newPoller(first, func(_ *poller, w http.ResponseWriter, _ int) { says(w, "") })
				u := one(t, upstream.Config{}, p.start(t))
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				if want != mcp.ErrTimeout {
					ctx, cancel = context.WithCancel(t.Context())
					defer time.AfterFunc(100*time.Millisecond, cancel).Stop()
				}
				if _, err := u.Call(ctx, tool("x")); !errors.Is(err, want) {
					t.Errorf("Call = %v, want %v", err, want)
				}
				eventually(t, "the server was told", func() bool { return len(p.requests("notifications/cancelled")) == 1 })
			})
		}
	}
}
