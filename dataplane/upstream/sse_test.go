package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// oldWeb is a server over HTTP+SSE, written without any SDK.
type oldWeb struct {
	place string // what the stream names first

	mu      sync.Mutex // guards below
	streams int
	events  chan string        // to the newest stream
	cut     context.CancelFunc // ends the newest stream
	asking  json.RawMessage    // the id of the call that waits for the agent's answer
	seen    []string           // methods, and answers to our requests
}

func (s *oldWeb) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		s.open(w, r)
		return
	}
	var q request
	body, _ := io.ReadAll(r.Body)
	json.Unmarshal(body, &q)
	s.mu.Lock()
	s.seen = append(s.seen, q.Method+string(q.Result))
	events, known := s.events, r.URL.Query().Get("s") == fmt.Sprint(s.streams)
	s.mu.Unlock()
	if !known {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	if answer := s.answer(q); answer != "" {
		events <- answer
	}
}

func (s *oldWeb) open(w http.ResponseWriter, r *http.Request) {
	ctx, cut := context.WithCancel(r.Context())
	defer cut()
	events := make(chan string, 16)
	s.mu.Lock()
	s.streams++
	s.events, s.cut = events, cut
	n := s.streams
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "event: endpoint\ndata: %s?s=%d\n\n", s.place, n)
	w.(http.Flusher).Flush()
	for {
		select {
		case e := <-events:
			fmt.Fprintf(w, "data: %s\n\n", e)
			w.(http.Flusher).Flush()
		case <-ctx.Done():
			return
		}
	}
}

func (s *oldWeb) answer(q request) string {
	var p struct {
		Name string `json:"name"`
	}
	json.Unmarshal(q.Params, &p)
	result := func(r string) string { return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, q.ID, r) }
	switch {
	case q.Method == "" && s.asking != nil: // the call goes on with the agent's answer
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, s.asking, q.Result)
	case q.Method == "initialize":
		return result(`{"protocolVersion":"2024-11-05","capabilities":{"tools":{"listChanged":true}}}`)
	case q.Method == "tools/list":
		return result(fmt.Sprintf(`{"tools":[{"name":"stream%d"}]}`, s.streams))
	case q.Method != "tools/call" || p.Name == "hang":
		return ""
	case p.Name == "sample":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asking = q.ID
		return `{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage","params":{}}`
	case p.Name == "ping":
		return `{"jsonrpc":"2.0","id":"p","method":"ping"}`
	}
	return result(odd[p.Name])
}

// saw says whether something arrived.
func (s *oldWeb) saw(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.seen, what)
}

// end ends the newest stream.
func (s *oldWeb) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut()
}

func oldUpstream(t *testing.T, s *oldWeb) *upstream.Upstream {
	return one(t, upstream.Config{}, remote(serve(t, s)+"/sse"))
}

func TestOlderTransportPassesResultsByteForByte(t *testing.T) {
	u := oldUpstream(t, &oldWeb{place: "/post"})
	for name, want := range odd {
		if got := mustCall(t, u, tool(name)); got != want {
			t.Errorf("Call(%s) = %s, want %s", name, got, want)
		}
	}
}

func TestOlderTransportIsNeverProbed(t *testing.T) {
	w := &oldWeb{place: "/post"}
	mustCall(t, oldUpstream(t, w), tool("empty"))
	if w.saw("server/discover") || !w.saw("notifications/initialized") {
		t.Errorf("server saw %v, want initialize alone", w.seen)
	}
}

func TestBrokenEventStreamFailsItsCallsAndComesBack(t *testing.T) {
	w := &oldWeb{place: "/post"}
	u := oldUpstream(t, w)
	if got := names(t, u); len(got) != 1 || got[0] != "stream1" {
		t.Fatalf("tools = %v, want stream1", got)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := u.Call(soon(t), tool("hang"))
		failed <- err
	}()
	eventually(t, "the call arrived", func() bool { return w.saw("tools/call") })
	w.end()
	if err := <-failed; !errors.Is(err, mcp.ErrUnavailable) {
		t.Errorf("Call = %v, want %v", err, mcp.ErrUnavailable)
	}
	if got := names(t, u); len(got) != 1 || got[0] != "stream2" {
		t.Errorf("tools = %v, want those of the new stream", got)
	}
	mustCall(t, u, tool("empty"))
}

func TestOlderTransportCancelsAndAnswers(t *testing.T) {
	w := &oldWeb{place: "/post"}
	u := oldUpstream(t, w)
	mustCall(t, u, tool("empty"))
	ctx := passes(t, "the ping was answered", func() bool { return w.saw("{}") })
	if _, err := u.Call(ctx, tool("ping")); !errors.Is(err, mcp.ErrTimeout) { // the server asks, and never answers
		t.Errorf("Call = %v, want %v", err, mcp.ErrTimeout)
	}
	eventually(t, "the call was cancelled", func() bool { return w.saw("notifications/cancelled") })
	eventually(t, "the ping was answered", func() bool { return w.saw("{}") })
}

func TestOlderTransportAsksTheAgent(t *testing.T) {
	w := &oldWeb{place: "/post"}
	u := oldUpstream(t, w)
	a := &agent{answer: func(context.Context, string, string) (*mcp.Reply, error) {
		return &mcp.Reply{Result: []byte(`{"sampled":true}`)}, nil
	}}
	c := tool("sample")
	c.Stream, c.Client, c.Session = a, willing(), "s1"
	if got, want := mustCall(t, u, c), `{"sampled":true}`; got != want {
		t.Errorf("the server got %s, want %s", got, want)
	}
}

func TestPlaceOfAnotherOriginIsRefused(t *testing.T) {
	u := oldUpstream(t, &oldWeb{place: "http://127.0.0.2:1/post"})
	_, err := u.Call(soon(t), tool("empty"))
	if !errors.Is(err, mcp.ErrUnavailable) || !strings.Contains(err.Error(), "another origin") {
		t.Errorf("Call = %v, want %v and the reason", err, mcp.ErrUnavailable)
	}
}

func TestForgottenEventStreamIsOpenedAgain(t *testing.T) {
	w := &oldWeb{place: "/post"}
	u := oldUpstream(t, w)
	mustCall(t, u, tool("empty"))
	w.mu.Lock()
	w.streams++ // as if the server had been restarted behind a proxy that holds the stream
	w.mu.Unlock()
	mustCall(t, u, tool("empty"))
}
