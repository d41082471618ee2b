package front_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
)

// agent sends requests with one key.
type agent struct {
	t   *testing.T
	url string
}

// send posts a body with headers given as name, value, name, value…
func (a agent) send(ctx context.Context, method, body string, headers ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, a.url+"/mcp", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+laptopKey)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return http.DefaultClient.Do(r)
}

// post returns the status and the body of the answer.
func (a agent) post(body string, headers ...string) (int, string) {
	a.t.Helper()
	resp, err := a.send(a.t.Context(), http.MethodPost, body, headers...)
	if err != nil {
		a.t.Errorf("POST %s: %v", body, err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Errorf("reading the answer to %s: %v", body, err)
	}
	return resp.StatusCode, string(text)
}

// initialize returns the id of a new session.
func (a agent) initialize() string {
	a.t.Helper()
	resp, err := a.send(a.t.Context(), http.MethodPost, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}`)
	if err != nil {
		a.t.Fatalf("initialize: %v", err)
	}
	defer resp.Body.Close()
	return resp.Header.Get("Mcp-Session-Id")
}

const (
	waitCall   = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}`
	waitModern = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	cancelIt   = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"enough"}}`
)

// A14: a modern agent that goes away cancels.
func TestModernDisconnectCancelsTheCall(t *testing.T) {
	g := newTools()
	a := agent{t, serve(t, config(t, g)).URL}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := a.send(ctx, http.MethodPost, waitModern, "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "wait")
		done <- err
	}()
	receive(t, g.started)
	cancel()
	if err := receive(t, g.ended); err != context.Canceled {
		t.Errorf("the call ended with %v, want context.Canceled", err)
	}
	receive(t, done)
}

// A24: a legacy agent that goes away does not.
func TestLegacyDisconnectLetsTheCallEnd(t *testing.T) {
	g := newTools()
	h := front.New(config(t, g))
	gone := make(chan (<-chan struct{}), 1)
	s := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gone <- r.Context().Done()
		h.ServeHTTP(w, r)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := agent{t, s.URL}.send(ctx, http.MethodPost, waitCall)
		done <- err
	}()
	receive(t, g.started)
	cancel()
	receive(t, done)
	receive(t, receive(t, gone)) // the server has seen it
	select {
	case err := <-g.ended:
		t.Errorf("the call ended with %v as the agent went away", err)
	case g.release <- struct{}{}:
		if err := receive(t, g.ended); err != nil {
			t.Errorf("the call ended with %v, want nil", err)
		}
	}
}

func TestCancellationReachesOwnSessionOnly(t *testing.T) {
	g := newTools()
	a := agent{t, serve(t, config(t, g)).URL}
	one, two := a.initialize(), a.initialize()
	answers := make(chan string, 1)
	go func() {
		_, text := a.post(waitCall, "Mcp-Session-Id", one)
		answers <- text
	}()
	if id := receive(t, g.started); !strings.HasPrefix(one, id) || id == "" {
		t.Errorf("session of the call = %q, want the id of %q", id, one)
	}
	for _, headers := range [][]string{{"Mcp-Session-Id", two}, nil, {"Mcp-Protocol-Version", "2026-07-28", "Mcp-Session-Id", one}} {
		if status, text := a.post(cancelIt, headers...); status != http.StatusAccepted || text != "" {
			t.Errorf("foreign cancellation: %d %s, want 202", status, text)
		}
	}
	for _, miss := range []string{`{}`, `{"requestId":"1"}`, `{"requestId":2}`} {
		a.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":`+miss+`}`, "Mcp-Session-Id", one)
	}
	select {
	case err := <-g.ended:
		t.Fatalf("the call ended with %v by a foreign cancellation", err)
	default:
	}
	a.post(cancelIt, "Mcp-Session-Id", one)
	if err := receive(t, g.ended); err != context.Canceled {
		t.Errorf("the call ended with %v, want context.Canceled", err)
	}
	want := `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"the agent cancelled the call"}}`
	if got := receive(t, answers); got != want {
		t.Errorf("answer = %s, want %s", got, want)
	}
}

func TestStreamLivesUntilItsSessionEnds(t *testing.T) {
	conf := config(t, newTools())
	ended := make(chan string, 1)
	conf.EndSession = func(id string) { ended <- id }
	a := agent{t, serve(t, conf).URL}
	session := a.initialize()
	resp := a.stream(session)
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for range 3 { // more than the one it begins with
		if line, err := r.ReadString('\n'); err != nil || line != ": ping\n" {
			t.Fatalf("stream: %q, %v, want a comment", line, err)
		}
		r.ReadString('\n')
	}
	del, err := a.send(t.Context(), http.MethodDelete, "", "Mcp-Session-Id", session)
	if err != nil || del.StatusCode != http.StatusNoContent {
		t.Fatalf("DELETE = %v, %v, want 204", del, err)
	}
	del.Body.Close()
	if id := receive(t, ended); !strings.HasPrefix(session, id) {
		t.Errorf("EndSession(%q), want the id of %q", id, session)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("the stream ended with %v, want its regular end", err)
	}
}

func (a agent) stream(session string) *http.Response {
	a.t.Helper()
	resp, err := a.send(a.t.Context(), http.MethodGet, "", "Mcp-Session-Id", session, "Accept", "text/event-stream")
	if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("X-Accel-Buffering") != "no" {
		a.t.Fatalf("GET = %v, %v, want an event stream", resp, err)
	}
	return resp
}

func TestDrainEndsStreams(t *testing.T) {
	conf := config(t, newTools())
	h := front.New(conf)
	s := serveHandler(t, h)
	a := agent{t, s.URL}
	resp := a.stream(a.initialize())
	defer resp.Body.Close()
	h.Drain()
	h.Drain()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the stream ended with %v, want its regular end", err)
	}
}

func TestAnyProxyWithTheKeyOpensASession(t *testing.T) {
	conf := config(t, newTools())
	one, two := agent{t, serve(t, conf).URL}, agent{t, serve(t, conf).URL}
	if status, text := two.post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Mcp-Session-Id", one.initialize()); status != http.StatusOK {
		t.Errorf("ping at the other proxy: %d %s, want 200", status, text)
	}
}

func TestSessionsFollowTheKey(t *testing.T) {
	conf := config(t, newTools())
	var key []byte
	conf.SealKey = func() []byte { return key }
	a := agent{t, serve(t, conf).URL}
	if id := a.initialize(); id != "" {
		t.Errorf("initialize without a key gave session %q, want none", id)
	}
	key = []byte("one")
	session := a.initialize()
	key = []byte("two")
	if status, _ := a.post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Mcp-Session-Id", session); status != http.StatusNotFound {
		t.Errorf("ping after the key changed: %d, want 404", status)
	}
}

func TestBigResultsPassUnchanged(t *testing.T) {
	a := agent{t, serve(t, config(t, newTools())).URL}
	status, got := a.post(`{"jsonrpc":"2.0","id":"b","method":"tools/call","params":{"name":"big"}}`)
	if want := `{"jsonrpc":"2.0","id":"b","result":` + bigResult() + `}`; status != http.StatusOK || got != want {
		t.Errorf("big result: %d and %d bytes, want 200 and %d", status, len(got), len(want))
	}
}

func TestBigArgumentsPassUnchanged(t *testing.T) {
	a := agent{t, serve(t, config(t, newTools())).URL}
	args := `{"x":"` + strings.Repeat("é", 1<<20) + `"}`
	_, got := a.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":` + args + `}}`)
	if !strings.Contains(got, `"structuredContent":`+args) {
		t.Errorf("big arguments came back as %d bytes", len(got))
	}
}

func TestBodiesAboveTheLimitAreRefused(t *testing.T) {
	conf := config(t, newTools())
	conf.MaxBody = 1000
	a := agent{t, serve(t, conf).URL}
	body := `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"` + strings.Repeat("x", 1000) + `"}}`
	if status, text := a.post(body); status != http.StatusRequestEntityTooLarge {
		t.Errorf("POST of %d bytes: %d %s, want 413", len(body), status, text)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, a.url+"/mcp", io.MultiReader(strings.NewReader(body))) // chunked
	r.Header.Set("Authorization", "Bearer "+laptopKey)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("chunked POST: %v, %v, want 413", resp, err)
	}
	resp.Body.Close()
}

func TestRefusedCallersAreRecorded(t *testing.T) {
	g := newTools()
	a := agent{t, serve(t, config(t, g)).URL}
	a.post(waitCall, "Authorization", "Bearer gwk_wrong")
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.refused) != 1 || !strings.Contains(g.refused[0], "not known") {
		t.Errorf("recorded %q, want one refusal", g.refused)
	}
}

func TestConcurrentCallsGetTheirOwnAnswers(t *testing.T) {
	a := agent{t, serve(t, config(t, newTools())).URL}
	session := a.initialize()
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			for i := range 20 {
				args := fmt.Sprintf(`{"n":%d,"x":"%s"}`, n*100+i, strings.Repeat("y", n*i*30))
				_, got := a.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":"%d-%d","method":"tools/call","params":{"name":"echo","arguments":%s}}`, n, i, args), "Mcp-Session-Id", session)
				if !strings.Contains(got, fmt.Sprintf(`"id":"%d-%d"`, n, i)) || !strings.Contains(got, args) {
					t.Errorf("call %d-%d was answered %.200s", n, i, got)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzAnyBodyGetsAnAnswer(f *testing.F) {
	for _, seed := range []string{waitModern, cancelIt, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{}}}`, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":7}}`, `[]`, `{`} {
		f.Add([]byte(seed), "2026-07-28", "tools/call")
		f.Add([]byte(seed), "", "")
	}
	g := newTools()
	close(g.release)
	h := front.New(config(f, g))
	f.Fuzz(func(t *testing.T, body []byte, version, method string) {
		w := post(h, body, "Mcp-Protocol-Version", version, "Mcp-Method", method)
		drainSignals(g)
		if text := w.Body.Bytes(); len(text) > 0 && !bytes.HasPrefix(text, []byte(`{"jsonrpc":"2.0",`)) {
			t.Errorf("POST %q = %d %q, want a JSON-RPC response", body, w.Code, text)
		}
	})
}
