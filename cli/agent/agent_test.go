package agent_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/cli/agent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts an HTTP server that answers as handle does, and returns a client of it.
func serve(t *testing.T, handle http.HandlerFunc) *agent.Client {
	t.Helper()
	s := httptest.NewServer(handle)
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); s.Close() })
	return &agent.Client{URL: s.URL + "/mcp", Key: "gwk_test", HTTP: &http.Client{Transport: transport}}
}

// answer writes a body of a content type.
func answer(w http.ResponseWriter, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	_, _ = io.WriteString(w, body)
}

func TestCallToolReturnsTheResultAsItCame(t *testing.T) {
	const result = `{"content":[ ],"n":9007199254740993,"z":1,"a":1.50}`
	bodies := map[string]string{
		"application/json":  `{"jsonrpc":"2.0","id":1,"result":` + result + `}`,
		"text/event-stream": ": ping\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\ndata: \"result\":" + result + "}\n\n",
	}
	for contentType, body := range bodies {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if got, want := r.Header.Get("Authorization"), "Bearer gwk_test"; got != want {
				t.Errorf("Authorization = %q, want %q", got, want)
			}
			answer(w, contentType, body)
		})
		got, err := c.CallTool(t.Context(), "execute_tool", map[string]any{"server": "s"})
		if err != nil || string(got) != result {
			t.Errorf("CallTool over %s = %s, %v, want %s", contentType, got, err, result)
		}
	}
}

func TestCallToolTellsRefusalsApart(t *testing.T) {
	var status *agent.StatusError
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":null,"error":{"code":401,"message":"no key"}}`)
	})
	_, err := c.CallTool(t.Context(), "x", nil)
	if !errors.As(err, &status) || status.Code != http.StatusUnauthorized || status.Message != "no key" {
		t.Errorf("a 401 gives %#v, want a StatusError with the gateway's words", err)
	}

	var refusal *agent.RPCError
	c = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, "application/json", `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"unknown tool"}}`)
	})
	_, err = c.CallTool(t.Context(), "x", nil)
	if !errors.As(err, &refusal) || refusal.Code != -32602 {
		t.Errorf("a JSON-RPC error gives %#v, want an RPCError", err)
	}

	for _, body := range []string{"", "data: {}", "not json"} {
		c = serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, "text/event-stream", body) })
		if _, err = c.CallTool(t.Context(), "x", nil); err == nil {
			t.Errorf("a stream of %q gives no error, want one", body)
		}
	}
}

func TestNoRedirectCarriesTheKeyAway(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer elsewhere.Close()
	here := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer here.Close()
	c := &agent.Client{URL: here.URL, Key: "gwk_test"}
	var status *agent.StatusError
	if _, err := c.CallTool(t.Context(), "x", nil); !errors.As(err, &status) {
		t.Errorf("a redirect gives %v, want a StatusError", err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// gateway is a legacy MCP server that records what reaches it.
type gateway struct {
	mu       sync.Mutex // guards below
	requests []string   // method, body and the headers that matter
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	g.requests = append(g.requests, fmt.Sprintf("%s %s session=%s version=%s method=%s name=%s", r.Method, body,
		r.Header.Get("Mcp-Session-Id"), r.Header.Get("Mcp-Protocol-Version"), r.Header.Get("Mcp-Method"), r.Header.Get("Mcp-Name")))
	g.mu.Unlock()
	switch {
	case strings.Contains(string(body), `"initialize"`):
		w.Header().Set("Mcp-Session-Id", "s1")
		answer(w, "application/json", `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}`)
	case strings.Contains(string(body), `"id"`):
		answer(w, "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n"+
			"data: {\"jsonrpc\":\"2.0\",\"id\":2,\ndata: \"result\":{}}\n\n")
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// saw says whether a request that holds all the words came in.
func (g *gateway) saw(words ...string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.requests {
		all := true
		for _, w := range words {
			all = all && strings.Contains(r, w)
		}
		if all {
			return true
		}
	}
	return false
}

func TestBridgeKeepsTheSessionAndGivesItBack(t *testing.T) {
	g := &gateway{}
	c := serve(t, g.ServeHTTP)
	in := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}
{"jsonrpc":"2.0","method":"notifications/initialized"}
{"jsonrpc":"2.0","id":2,"method":"tools/list"}
`
	var out strings.Builder
	if err := c.Bridge(t.Context(), strings.NewReader(in), &out); err != nil {
		t.Fatalf("Bridge = %v, want nil", err)
	}
	want := `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}
{"jsonrpc":"2.0","method":"notifications/progress"}
{"jsonrpc":"2.0","id":2,"result":{}}
`
	if out.String() != want {
		t.Errorf("Bridge wrote\n%s\nwant\n%s", out.String(), want)
	}
	for _, words := range [][]string{
		{"initialize", "session= version= "}, {"tools/list", "session=s1 version=2025-11-25"},
		{"notifications/initialized", "session=s1"}, {"DELETE", "session=s1"},
	} {
		if !g.saw(words...) {
			t.Errorf("the gateway saw %q, want a request with %q", g.requests, words)
		}
	}
}

func TestBridgeRepeatsModernRequestsInHeaders(t *testing.T) {
	g := &gateway{}
	c := serve(t, g.ServeHTTP)
	in := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"größe","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
	if err := c.Bridge(t.Context(), strings.NewReader(in), io.Discard); err != nil {
		t.Fatalf("Bridge = %v, want nil", err)
	}
	if !g.saw("session= version=2026-07-28 method=tools/call name==?base64?Z3LDtsOfZQ==?=") {
		t.Errorf("the gateway saw %q, want the routing headers of the modern era", g.requests)
	}
}

func TestBridgeAnswersWhatCannotBeSent(t *testing.T) {
	c := &agent.Client{URL: "http://127.0.0.1:1/mcp"}
	in := "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"ping\"}\n" +
		"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\"}\nnot json\n"
	var out strings.Builder
	if err := c.Bridge(t.Context(), strings.NewReader(in), &out); err != nil {
		t.Fatalf("Bridge = %v, want nil", err)
	}
	got := out.String()
	if strings.Count(got, "\n") != 2 || !strings.Contains(got, `"id":"x"`) || !strings.Contains(got, `cannot be reached`) {
		t.Errorf("Bridge wrote %q, want one error for the request", got)
	}
	if !strings.Contains(got, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,`) {
		t.Errorf("Bridge wrote %q, want a parse error for the line that is none", got)
	}
}

// TestBridgeGivesErrorsWithoutAnIDToTheirRequests has a gateway refuse before it reads, as one does for an unknown key.
func TestBridgeGivesErrorsWithoutAnIDToTheirRequests(t *testing.T) {
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8"} {
		for _, status := range []int{401, 403, 404, 503} {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				w.WriteHeader(status)
				_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32%d,"message":"no","data":{"why":1}}}`, status)
			})
			in := "{\"jsonrpc\":\"2.0\",\"id\":9007199254740993,\"method\":\"ping\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n"
			var out strings.Builder
			if err := c.Bridge(t.Context(), strings.NewReader(in), &out); err != nil {
				t.Fatalf("Bridge = %v, want nil", err)
			}
			want := fmt.Sprintf(`{"jsonrpc":"2.0","id":9007199254740993,"error":{"code":-32%d,"message":"no","data":{"why":1}}}`+"\n", status)
			if out.String() != want {
				t.Errorf("Bridge over a %d of %s wrote %q, want %q", status, contentType, out.String(), want)
			}
		}
	}
}

func TestBridgeAnswersWhereTheStreamEndsTooEarly(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, "text/event-stream", "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n")
	})
	var out strings.Builder
	if err := c.Bridge(t.Context(), strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"ping"}`), &out); err != nil {
		t.Fatalf("Bridge = %v, want nil", err)
	}
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"id":7,"error"`) {
		t.Errorf("Bridge wrote %q, want the notification and an error for the request", got)
	}
}

// TestBridgeRunsRequestsBesideEachOther sends a request that is answered only once another one was.
func TestBridgeRunsRequestsBesideEachOther(t *testing.T) {
	second := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "first") {
			<-second
			answer(w, "application/json", `{"jsonrpc":"2.0","id":"first","result":{}}`)
			return
		}
		close(second)
		answer(w, "application/json", `{"jsonrpc":"2.0","id":"second","result":{}}`)
	})
	in := "{\"jsonrpc\":\"2.0\",\"id\":\"first\",\"method\":\"ping\"}\n{\"jsonrpc\":\"2.0\",\"id\":\"second\",\"method\":\"ping\"}\n"
	var out strings.Builder
	if err := c.Bridge(t.Context(), strings.NewReader(in), &out); err != nil {
		t.Fatalf("Bridge = %v, want nil", err)
	}
	if got := out.String(); !strings.Contains(got, "first") || !strings.Contains(got, "second") {
		t.Errorf("Bridge wrote %q, want both answers", got)
	}
}

// slowStart is a network on which calls take a while to get away, unless a cancellation overtakes them.
type slowStart struct{ overtaken chan struct{} }

func (s *slowStart) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	text, _ := io.ReadAll(body)
	if strings.Contains(string(text), "notifications/cancelled") {
		close(s.overtaken)
		return http.DefaultTransport.RoundTrip(r)
	}
	select {
	case <-s.overtaken:
		return nil, errors.New("overtaken")
	case <-time.After(100 * time.Millisecond):
		return http.DefaultTransport.RoundTrip(r)
	}
}

func TestBridgeLetsNoCancellationOvertakeItsCall(t *testing.T) {
	c := serve(t, new(gateway).ServeHTTP)
	c.HTTP = &http.Client{Transport: &slowStart{overtaken: make(chan struct{})}}
	in := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}` + "\n" +
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}` + "\n"
	var out strings.Builder
	if err := c.Bridge(t.Context(), strings.NewReader(in), &out); err != nil {
		t.Fatalf("Bridge = %v, want nil", err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if got := out.String(); strings.Contains(got, "overtaken") {
		t.Errorf("Bridge wrote %s: the cancellation came first", got)
	}
}

func TestBridgeEndsWithItsContext(t *testing.T) {
	reached := make(chan struct{})
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(reached)
		<-r.Context().Done()
	})
	in, feed := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Bridge(ctx, in, io.Discard) }()
	w := bufio.NewWriter(feed)
	_, _ = w.WriteString("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n")
	_ = w.Flush()
	<-reached
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Bridge = %v, want nil", err)
		}
	case <-time.After(time.Minute):
		t.Error("Bridge goes on after its context ended")
	}
	_ = feed.Close()
}

// FuzzEvents feeds any text as an event stream: every message that comes out must have been there.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{"data: {}\n\n", "data:{\"id\":1}\r\n\r\n", ": c\ndata: a\ndata: b\n\n", "data: x", "event: y\n\n\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stream string) {
		c := &agent.Client{URL: "http://127.0.0.1/mcp", HTTP: &http.Client{Transport: canned(stream)}}
		if got, err := c.CallTool(context.Background(), "x", nil); err == nil && !strings.Contains(stream, "data:") {
			t.Errorf("a stream without data gave %s", got)
		}
	})
}

// canned answers every request with the same event stream.
type canned string

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}},
		Body: io.NopCloser(strings.NewReader(string(c))),
	}, nil
}
