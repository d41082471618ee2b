package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestHTTPResultsPassThroughByteForByte(t *testing.T) {
	for _, w := range []*web{{}, {stateful: true}, {stream: true}, {modern: true}, {modern: true, stream: true}} {
		u := one(t, upstream.Config{}, w.start(t))
		for name, want := range odd {
			if got := mustCall(t, u, tool(name)); got != want {
				t.Errorf("modern=%v stream=%v: Call(%s) = %s, want %s", w.modern, w.stream, name, got, want)
			}
		}
	}
}

func TestMCPGoServersWorkOverEveryTransport(t *testing.T) {
	s := server.NewMCPServer("mcpgo", "1", server.WithToolCapabilities(true))
	s.AddTool(mcpgo.NewTool("echo", mcpgo.WithString("message")),
		func(_ context.Context, r mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
			return mcpgo.NewToolResultText(r.GetString("message", "")), nil
		})
	sse := server.NewSSEServer(s)
	for name, url := range map[string]string{
		"streamable": serve(t, server.NewStreamableHTTPServer(s)) + "/mcp",
		"stateful":   serve(t, server.NewStreamableHTTPServer(s, server.WithStateful(true))) + "/mcp",
		"sse":        serve(t, sse) + "/sse",
	} {
		u := one(t, upstream.Config{}, remote(url))
		if problem := echoes(u, soon(t), "hello"); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
		if c, err := u.Tools(soon(t)); err != nil || c.Tool("echo") == nil {
			t.Errorf("%s: Tools = %v, %v, want echo in it", name, c, err)
		}
	}
}

func TestLegacyRequestsCarrySessionAndVersion(t *testing.T) {
	w := &web{stateful: true}
	s := w.start(t)
	t.Setenv("TOKEN", "top-secret")
	s.GetHttp().Headers = map[string]string{"Authorization": "Bearer ${TOKEN}"}
	mustCall(t, one(t, upstream.Config{Version: "9"}, s), tool("x"))
	h := w.requests("tools/call")[0].header
	for name, want := range map[string]string{
		"Mcp-Session-Id": "session-1", "Mcp-Protocol-Version": "2025-06-18", "Authorization": "Bearer top-secret",
		"Accept": "application/json, text/event-stream", "Content-Type": "application/json", "User-Agent": "gatehouse/9",
		"Mcp-Method": "", "Mcp-Name": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
}

func TestModernRequestsMirrorTheBodyInHeaders(t *testing.T) {
	w := &web{modern: true, page: `{"name":"träge","inputSchema":{"type":"object","properties":{` +
		`"region":{"type":"string","x-mcp-header":"Region"}}}},{"name":"bad","inputSchema":{"type":"object","properties":{` +
		`"region":{"type":"number","x-mcp-header":"not a token"}}}}`}
	u := one(t, upstream.Config{}, w.start(t))
	c, err := u.Tools(soon(t))
	if err != nil || c.Tool("bad") != nil || c.Tool("träge") == nil {
		t.Fatalf("Tools = %v, %v, want the tool with wrong annotations left out", c, err)
	}
	mustCall(t, u, &mcp.Call{
		Method: "tools/call", Name: "träge", Params: []byte(`{"name":"träge","arguments":{"region":"us-west1"}}`),
	})
	q := w.requests("tools/call")[0]
	for name, want := range map[string]string{
		"Mcp-Method": "tools/call", "Mcp-Name": "=?base64?dHLDpGdl?=", "Mcp-Param-Region": "us-west1",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Session-Id": "",
	} {
		if got := q.header.Get(name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(q.params, `"io.modelcontextprotocol/clientCapabilities":{}`) {
		t.Errorf("params = %s, want our _meta in it", q.params)
	}
}

func TestProbeRefusedIsNotTakenForTheOtherEra(t *testing.T) {
	for status, works := range map[int]bool{400: true, 404: true, 405: true, 406: true, 500: true, 401: false, 403: false, 429: false, 503: false} {
		w := &web{stateful: true, probe: status}
		u := one(t, upstream.Config{}, w.start(t))
		reply, err := u.Call(soon(t), tool("x"))
		reply.Close()
		if works != (err == nil) {
			t.Errorf("probe answered %d: Call = %v, want success = %v", status, err, works)
		}
		if !works && (!errors.Is(err, mcp.ErrUnavailable) || !strings.Contains(err.Error(), fmt.Sprint(status))) {
			t.Errorf("probe answered %d: Call = %v, want %v and the status", status, err, mcp.ErrUnavailable)
		}
		if got := len(w.requests("initialize")); (got == 1) != works {
			t.Errorf("probe answered %d: %d times initialize, want it tried = %v", status, got, works)
		}
	}
}

func TestForgottenSessionIsMadeAnew(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusBadRequest} {
		w := &web{stateful: true, lost: status}
		u := one(t, upstream.Config{}, w.start(t))
		mustCall(t, u, tool("x"))
		w.forget()
		mustCall(t, u, tool("x"))
		calls := w.requests("tools/call")
		if got := calls[len(calls)-1].header.Get("Mcp-Session-Id"); got != "session-2" {
			t.Errorf("after %d: session = %q, want session-2", status, got)
		}
		if len(calls) != 3 {
			t.Errorf("after %d: %d calls arrived, want 3", status, len(calls))
		}
	}
}

func TestSessionIsDeletedAtTheEnd(t *testing.T) {
	w := &web{stateful: true}
	p := newPool(t, upstream.Config{})
	tab := tableOf(t, servers{"s": w.start(t)})
	p.Prepare(tab)
	mustCall(t, p.Upstream(tab.Server("s")), tool("x"))
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if d := w.requests(http.MethodDelete); len(d) != 1 || d[0].header.Get("Mcp-Session-Id") != "session-1" {
		t.Errorf("DELETE requests = %v, want one of session-1", d)
	}
}

// answering is a server whose tools answer with one text.
func answering(status int, contentType, format string) *web {
	return &web{respond: func(w http.ResponseWriter, _ *http.Request, q request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, strings.ReplaceAll(format, "ID", string(q.ID)))
	}}
}

func TestAnswersThatAreNone(t *testing.T) {
	const js, sse = "application/json", "text/event-stream"
	for name, c := range map[string]struct {
		status       int
		kind, answer string
		want         error
	}{
		"wrong id":           {200, js, `{"jsonrpc":"2.0","id":424242,"result":{}}`, mcp.ErrInvalidResponse},
		"string id":          {200, js, `{"jsonrpc":"2.0","id":"ID","result":{}}`, mcp.ErrInvalidResponse},
		"null id":            {200, js, `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`, mcp.ErrInvalidResponse},
		"request":            {200, js, `{"jsonrpc":"2.0","id":ID,"method":"ping"}`, mcp.ErrInvalidResponse},
		"duplicate id":       {200, js, `{"jsonrpc":"2.0","id":1,"id":ID,"result":{}}`, mcp.ErrInvalidResponse},
		"half":               {200, js, `{"jsonrpc":"2.0","id":ID,"result":{`, mcp.ErrInvalidResponse},
		"batch":              {200, js, `[{"jsonrpc":"2.0","id":ID,"result":{}}]`, mcp.ErrInvalidResponse},
		"no JSON":            {200, "text/plain", `fine`, mcp.ErrInvalidResponse},
		"accepted":           {202, "", ``, mcp.ErrInvalidResponse},
		"detail":             {422, js, `{"detail":"no"}`, mcp.ErrInvalidResponse},
		"unauthorized":       {401, js, `{"detail":"no"}`, mcp.ErrUnavailable},
		"overload":           {503, "text/html", `<html>`, mcp.ErrUnavailable},
		"found":              {302, "text/html", ``, mcp.ErrUnavailable},
		"wrong id in stream": {200, sse, "data: {\"jsonrpc\":\"2.0\",\"id\":424242,\"result\":{}}\n\n", mcp.ErrInvalidResponse},
		"noise in stream":    {200, sse, "data: hello\n\n", mcp.ErrInvalidResponse},
		"empty stream":       {200, sse, "", mcp.ErrUnavailable},
		"huge":               {200, js, `{"jsonrpc":"2.0","id":ID,"result":"` + strings.Repeat("x", 1<<17) + `"}`, mcp.ErrInvalidResponse},
		"huge event":         {200, sse, "data: \"" + strings.Repeat("x", 1<<17) + "\n\n", mcp.ErrInvalidResponse},
	} {
		u := one(t, upstream.Config{MaxMessageBytes: 1 << 16}, answering(c.status, c.kind, c.answer).start(t))
		if reply, err := u.Call(soon(t), tool("x")); !errors.Is(err, c.want) {
			t.Errorf("%s: Call = %v, %v, want %v", name, reply, err, c.want)
		}
	}
}

// A compressed answer is refused by its head, whatever its length: the server here would go on for ever.
func TestCompressedAnswersAreRefusedUnread(t *testing.T) {
	left := make(chan struct{})
	w := &web{respond: func(w http.ResponseWriter, r *http.Request, _ request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		for r.Context().Err() == nil {
			w.Write(make([]byte, 1<<16))
		}
		close(left)
	}}
	u := one(t, upstream.Config{}, w.start(t))
	_, err := u.Call(soon(t), tool("x"))
	if !errors.Is(err, mcp.ErrInvalidResponse) || !strings.Contains(err.Error(), "compressed") {
		t.Errorf("Call = %v, want ErrInvalidResponse that says compressed", err)
	}
	<-left
}

func TestErrorsArePassedOnWhateverTheStatus(t *testing.T) {
	for _, status := range []int{200, 400, 404, 500} {
		w := answering(status, "application/json", `{"jsonrpc":"2.0","id":ID,"error":{"code":-32050,"message":"m","data":[1.0]}}`)
		reply, err := one(t, upstream.Config{}, w.start(t)).Call(soon(t), tool("x"))
		if err != nil || reply.Error == nil || reply.Error.Code != -32050 || string(reply.Error.Data) != "[1.0]" {
			t.Errorf("status %d: Call = %+v, %v, want the server's error", status, reply, err)
		}
	}
}

func TestMultiLineAndCRLFEventsAreRead(t *testing.T) {
	w := answering(200, "text/event-stream", "retry: 5\r\nevent: message\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":ID,\"result\":{ \"a\":1}}\r\n\r\n")
	if got := mustCall(t, one(t, upstream.Config{}, w.start(t)), tool("x")); got != `{ "a":1}` {
		t.Errorf("Call = %s, want the result", got)
	}
}

// hanging is a server whose tools never answer; ended counts the requests that their callers closed.
func hanging(modern, stream bool) (w *web, ended *atomic.Int64) {
	ended = new(atomic.Int64)
	return &web{modern: modern, respond: func(w http.ResponseWriter, r *http.Request, _ request) {
		if stream {
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
		ended.Add(1)
	}}, ended
}

func TestDeadlineCancelsOverHTTP(t *testing.T) {
	for _, c := range []struct{ modern, stream bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		w, closed := hanging(c.modern, c.stream)
		u := one(t, upstream.Config{}, w.start(t))
		ctx := passes(t, "the call has arrived", func() bool { return len(w.requests("tools/call")) == 1 })
		if _, err := u.Call(ctx, tool("x")); !errors.Is(err, mcp.ErrTimeout) {
			t.Errorf("%+v: Call = %v, want %v", c, err, mcp.ErrTimeout)
		}
		eventually(t, "the server saw the request end", func() bool { return closed.Load() == 1 })
		if c.modern {
			continue // closing the stream says it all
		}
		eventually(t, "a legacy server was told", func() bool { return len(w.requests("notifications/cancelled")) == 1 })
		if p := w.requests("notifications/cancelled")[0].params; !strings.HasPrefix(p, `{"requestId":3,`) {
			t.Errorf("%+v: notifications/cancelled has %s, want request 3", c, p)
		}
	}
}

func TestServerRequestsOnAStreamAreAnswered(t *testing.T) {
	w := &web{}
	w.respond = func(rw http.ResponseWriter, r *http.Request, q request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(rw, "data: {\"jsonrpc\":\"2.0\",\"id\":\"p\",\"method\":\"ping\"}\n\n")
		rw.(http.Flusher).Flush()
		for len(w.requests("")) == 0 && r.Context().Err() == nil {
			<-time.After(time.Millisecond)
		}
		fmt.Fprintf(rw, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":\"answered\"}\n\n", q.ID)
	}
	if got := mustCall(t, one(t, upstream.Config{}, w.start(t)), tool("x")); got != `"answered"` {
		t.Errorf("Call = %s, want answered", got)
	}
}

func TestStreamThatStaysOpenAfterTheAnswerCostsOneShortWait(t *testing.T) {
	w := &web{respond: func(rw http.ResponseWriter, r *http.Request, q request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(rw, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":1}\n\n", q.ID)
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	}}
	u := one(t, upstream.Config{}, w.start(t))
	for range 3 {
		mustCall(t, u, tool("x"))
	}
}

func TestRedirectsStayWithinTheOrigin(t *testing.T) {
	foreign := &web{}
	foreignURL := serve(t, foreign)
	home := &web{}
	mux := http.NewServeMux()
	mux.Handle("/mcp/", home)
	mux.Handle("/mcp", http.RedirectHandler("/mcp/", http.StatusTemporaryRedirect))
	mux.Handle("/away", http.RedirectHandler(foreignURL, http.StatusPermanentRedirect))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusTemporaryRedirect))
	url := serve(t, mux)
	mustCall(t, one(t, upstream.Config{}, remote(url+"/mcp")), tool("x"))
	for _, path := range []string{"/away", "/loop"} {
		_, err := one(t, upstream.Config{}, remote(url+path)).Call(soon(t), tool("x"))
		if !errors.Is(err, mcp.ErrUnavailable) || !strings.Contains(err.Error(), "redirects") {
			t.Errorf("%s: Call = %v, want %v and the redirect", path, err, mcp.ErrUnavailable)
		}
	}
	if len(foreign.seen) > 0 {
		t.Errorf("the foreign origin got %v, want nothing", foreign.seen)
	}
}

func TestServerThatIsDownComesBack(t *testing.T) {
	w := &web{stateful: true}
	var down atomic.Bool
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if down.Load() {
			panic(http.ErrAbortHandler)
		}
		w.ServeHTTP(rw, r)
	})
	u := one(t, upstream.Config{}, remote(serve(t, h)))
	mustCall(t, u, tool("x"))
	down.Store(true)
	if _, err := u.Call(soon(t), tool("x")); !errors.Is(err, mcp.ErrUnavailable) {
		t.Errorf("Call = %v, want %v", err, mcp.ErrUnavailable)
	}
	down.Store(false)
	mustCall(t, u, tool("x"))
	if n := len(w.requests("initialize")); n != 1 {
		t.Errorf("%d times initialize, want 1: the session is still good", n)
	}
}

func TestNobodyListens(t *testing.T) {
	u := one(t, upstream.Config{}, remote("http://127.0.0.1:1/mcp?token=hidden"))
	_, err := u.Call(soon(t), tool("x"))
	if !errors.Is(err, mcp.ErrUnavailable) || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("Call = %v, want %v with the reason and without the URL", err, mcp.ErrUnavailable)
	}
}

func TestOlderTransportIsTriedWhereNoneIsNamed(t *testing.T) {
	s := server.NewMCPServer("mcpgo", "1", server.WithToolCapabilities(true))
	s.AddTool(mcpgo.NewTool("echo", mcpgo.WithString("message")),
		func(_ context.Context, r mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
			return mcpgo.NewToolResultText(r.GetString("message", "")), nil
		})
	sse := server.NewSSEServer(s, server.WithSSEEndpoint("/auto"), server.WithMessageEndpoint("/post"))
	if problem := echoes(one(t, upstream.Config{}, remote(serve(t, sse)+"/auto")), soon(t), "hi"); problem != "" {
		t.Error(problem)
	}
}

func TestHeadersThatNoLongerFitAreMadeAnew(t *testing.T) {
	w := &web{modern: true, page: `{"name":"x","inputSchema":{"type":"object","properties":{"a":{"type":"string"}}}}`}
	w.respond = func(rw http.ResponseWriter, r *http.Request, q request) {
		rw.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Mcp-Param-A") != "1" {
			rw.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(rw, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32020,"message":"header mismatch"}}`, q.ID)
			return
		}
		fmt.Fprintf(rw, `{"jsonrpc":"2.0","id":%s,"result":"fits"}`, q.ID)
	}
	u := one(t, upstream.Config{}, w.start(t))
	names(t, u)
	w.mu.Lock()
	w.page = `{"name":"x","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"}}}}`
	w.mu.Unlock()
	eventually(t, "the changed schema is read, at most once a second", func() bool {
		reply, err := u.Call(soon(t), &mcp.Call{
			Method: "tools/call", Name: "x", Params: []byte(`{"name":"x","arguments":{"a":"1"}}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Close()
		return string(reply.Result) == `"fits"`
	})
}

func TestSessionsOverHTTPIsolate(t *testing.T) {
	for mode, want := range map[gatehousev1.SessionMode]int{
		gatehousev1.SessionMode_SESSION_MODE_SHARED:  1,
		gatehousev1.SessionMode_SESSION_MODE_AGENT:   2,
		gatehousev1.SessionMode_SESSION_MODE_SESSION: 3,
		gatehousev1.SessionMode_SESSION_MODE_CALL:    4,
	} {
		w := &web{}
		s := w.start(t)
		s.Session = mode
		u := one(t, upstream.Config{}, s)
		for _, c := range [][2]string{{"a", "1"}, {"a", "1"}, {"a", "2"}, {"b", "1"}} {
			call := tool("x")
			call.Agent, call.Session = c[0], c[1]
			mustCall(t, u, call)
		}
		if got := len(w.requests("initialize")); got != want {
			t.Errorf("%v: %d sessions, want %d", mode, got, want)
		}
	}
}

func TestAbandonedCallsLeaveNothingBehind(t *testing.T) {
	w, _ := hanging(false, true)
	p := newPool(t, upstream.Config{})
	tab := tableOf(t, servers{"s": w.start(t)})
	p.Prepare(tab)
	u := p.Upstream(tab.Server("s"))
	if _, err := u.Tools(soon(t)); err != nil {
		t.Fatal(err)
	}
	routines := runtime.NumGoroutine()
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := u.Call(ctx, tool("x")); !errors.Is(err, mcp.ErrTimeout) {
			t.Errorf("Call = %v, want %v", err, mcp.ErrTimeout)
		}
		cancel()
	}
	eventually(t, "goroutines are back where they were", func() bool {
		return runtime.NumGoroutine() <= routines+4 // a TCP connection that is kept has two on each side
	})
}

func TestRefusalOfAnExecutedCallIsNotRepeated(t *testing.T) {
	w := &web{stateful: true}
	w.respond = func(rw http.ResponseWriter, _ *http.Request, q request) {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(rw, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"no such browser session"}}`, q.ID)
	}
	reply, err := one(t, upstream.Config{}, w.start(t)).Call(soon(t), tool("x"))
	if err != nil || reply.Error == nil || reply.Error.Code != -32602 {
		t.Errorf("Call = %+v, %v, want the server's error", reply, err)
	}
	if n := len(w.requests("tools/call")); n != 1 {
		t.Errorf("the call arrived %d times, want once", n)
	}
}

func TestServerThatForgetsEverySessionIsNotAskedForEver(t *testing.T) {
	w := &web{stateful: true}
	h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.ServeHTTP(rw, r)
		w.forget()
	})
	u := one(t, upstream.Config{}, remote(serve(t, h)))
	if _, err := u.Call(soon(t), tool("x")); !errors.Is(err, mcp.ErrUnavailable) {
		t.Errorf("Call = %v, want %v", err, mcp.ErrUnavailable)
	}
	if n := len(w.requests("initialize")); n > 2 {
		t.Errorf("%d times initialize for one call, want at most 2", n)
	}
}

func TestURLThatIsNoneHurtsOnlyItsServer(t *testing.T) {
	for _, url := range []string{"ftp://127.0.0.1/x", "http://", "not a url", "http://[::1"} {
		u := one(t, upstream.Config{}, remote(url))
		if _, err := u.Call(soon(t), tool("x")); !errors.Is(err, mcp.ErrUnavailable) {
			t.Errorf("%s: Call = %v, want %v", url, err, mcp.ErrUnavailable)
		}
	}
}

func TestUnchangedHTTPServerKeepsItsSessionAcrossASwap(t *testing.T) {
	w := &web{stateful: true}
	s := w.start(t)
	p, live := newPool(t, upstream.Config{}), new(table.Live)
	for range 5 {
		swap(p, live, tableOf(t, servers{"s": s}))
		mustCall(t, p.Upstream(live.Load().Server("s")), tool("x"))
	}
	if n := len(w.requests("initialize")); n != 1 {
		t.Errorf("%d sessions over five tables, want 1", n)
	}
	swap(p, live, tableOf(t, servers{}))
	eventually(t, "the removed server's session was deleted", func() bool { return len(w.requests(http.MethodDelete)) == 1 })
}

func TestManyCallersOverHTTPGetTheirOwnAnswers(t *testing.T) {
	for _, stream := range []bool{false, true} {
		w := &web{stream: stream, quiet: true}
		u := one(t, upstream.Config{}, w.start(t))
		done := make(chan string, 16)
		for i := range cap(done) {
			go func() {
				done <- mirrored(u, soon(t), i)
			}()
		}
		for range cap(done) {
			if problem := <-done; problem != "" {
				t.Errorf("stream=%v: %s", stream, problem)
			}
		}
	}
}

// mirrored says what is wrong with 20 answers of a server that answers with the params it got.
func mirrored(u *upstream.Upstream, ctx context.Context, n int) string {
	for i := range 20 {
		params := fmt.Sprintf(`{"name":"x","arguments":{"n":%d,"i":%d}}`, n, i)
		reply, err := u.Call(ctx, &mcp.Call{Method: "tools/call", Name: "x", Params: []byte(params)})
		if err != nil {
			return err.Error()
		}
		got := string(reply.Result)
		if reply.Close(); got != params {
			return fmt.Sprintf("Call = %s, want %s", got, params)
		}
	}
	return ""
}

// Not all servers are reached the short way.
func TestHeadersThatSteerTheConnectionWork(t *testing.T) {
	w := &web{}
	s := w.start(t)
	s.GetHttp().Headers = map[string]string{"Connection": "close", "X-Team": "a"}
	mustCall(t, one(t, upstream.Config{}, s), tool("x"))
	if got := w.requests("tools/call")[0].header; got.Get("X-Team") != "a" || got.Get("Content-Type") != "application/json" {
		t.Errorf("headers = %v, want those of the definition and ours", got)
	}
}

func TestDefinitionsHeadersDoNotWinOverThoseOfARequest(t *testing.T) {
	w := &web{modern: true}
	s := w.start(t)
	s.GetHttp().Headers = map[string]string{"Mcp-Method": "other", "Mcp-Name": "other", "Accept": "text/html", "Host": "elsewhere"}
	mustCall(t, one(t, upstream.Config{}, s), tool("x"))
	got := w.requests("tools/call")[0].header
	for name, want := range map[string]string{"Mcp-Method": "tools/call", "Mcp-Name": "x", "Accept": "application/json, text/event-stream"} {
		if all := got.Values(name); len(all) != 1 || all[0] != want {
			t.Errorf("header %s = %q, want %q alone", name, all, want)
		}
	}
}
