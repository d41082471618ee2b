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
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// agent notes what it is told, and answers what it is asked.
type agent struct {
	answer func(ctx context.Context, method, params string) (*mcp.Reply, error)

	mu   sync.Mutex // guards below
	told []string
}

func (a *agent) Notify(method string, params []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, method+" "+string(params))
}

func (a *agent) Ask(ctx context.Context, method string, params []byte) (*mcp.Reply, error) {
	return a.answer(ctx, method, string(params))
}

// heard returns what the agent was told so far.
func (a *agent) heard() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.told...)
}

// willing is an agent that may be asked.
func willing() *mcp.Client {
	return &mcp.Client{
		Capabilities: []byte(`{"elicitation":{},"sampling":{}}`), Info: []byte(`{"name":"tester","version":"7"}`), Version: "2025-11-25",
	}
}

// telling is a call of the tool tell with a progress token.
func telling(token string, a *agent) *mcp.Call {
	return &mcp.Call{
		Method: "tools/call", Name: "tell", Stream: a,
		Params: []byte(`{"name":"tell","_meta":{"progressToken":"` + token + `"}}`),
	}
}

// TestWhatNamesNoCallStaysWithTheOnlyCaller: on a pipe that all share, a message that names no call reaches the call under way
// only while nobody else has ever called: it may be of a call that is over.
func TestWhatNamesNoCallStaysWithTheOnlyCaller(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	call := func(agentID, session string) (logs int) {
		a := new(agent)
		c := telling("token", a)
		c.Agent, c.Session = agentID, session
		reply, err := u.Call(soon(t), c)
		reply.Close()
		if err != nil {
			t.Fatalf("Call = %v", err)
		}
		for _, text := range a.heard() {
			if strings.HasPrefix(text, "notifications/message") {
				logs++
			}
		}
		return logs
	}
	for i, want := range []int{1, 1} {
		if got := call("one", "s1"); got != want {
			t.Errorf("call %d of the only caller heard %d log messages, want %d", i, got, want)
		}
	}
	for _, other := range [][2]string{{"one", "s2"}, {"two", ""}, {"one", "s1"}} {
		if got := call(other[0], other[1]); got != 0 {
			t.Errorf("agent %q in session %q heard %d log messages, want none: others have called", other[0], other[1], got)
		}
	}
}

// TestWhatFollowsACancellationIsNotTheNextCalls: a server may go on talking of a call after it was told to cancel it.
func TestWhatFollowsACancellationIsNotTheNextCalls(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	ctx, cancel := context.WithCancel(soon(t))
	hanging := make(chan struct{})
	go func() {
		defer close(hanging)
		_, err := u.Call(ctx, tool("hang"))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Call = %v, want it to be cancelled", err)
		}
	}()
	eventually(t, "the call hangs", func() bool { return mustCall(t, u, tool("hanging")) == "1" })
	cancel()
	<-hanging
	var a agent
	reply, err := u.Call(soon(t), telling("token", &a))
	reply.Close()
	if err != nil {
		t.Fatalf("Call = %v", err)
	}
	for _, text := range a.heard() {
		if strings.HasPrefix(text, "notifications/message") {
			t.Errorf("heard %s, which may be of the call before", text)
		}
	}
}

func TestProgressReachesTheCallItIsAboutInOrder(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	agents := make([]agent, 4)
	var calls sync.WaitGroup
	for i := range agents {
		calls.Go(func() {
			reply, err := u.Call(soon(t), telling(fmt.Sprint("token-", i), &agents[i]))
			reply.Close()
			if err != nil {
				t.Errorf("Call = %v", err)
			}
		})
	}
	calls.Wait()
	for i := range agents {
		n := 0
		for _, text := range agents[i].heard() {
			if strings.HasPrefix(text, "notifications/message") {
				continue // only where a call was alone
			}
			if want := fmt.Sprintf(`notifications/progress {"progressToken":"token-%d","progress":%d}`, i, n); text != want {
				t.Fatalf("agent %d heard %s, want %s", i, text, want)
			}
			n++
		}
		if n != 500 {
			t.Errorf("agent %d heard %d reports, want 500", i, n)
		}
	}
}

func TestLoneCallHearsWhatBelongsToNone(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	var a agent
	mustCall(t, u, telling("x", &a))
	heard := a.heard()
	if len(heard) != 501 || heard[500] != `notifications/message {"data":1}` {
		t.Errorf("heard %d messages, the last %q; want 501 and the log message", len(heard), heard[len(heard)-1])
	}
}

func TestServerAsksTheAgentWhoseSessionItIs(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	a := &agent{answer: func(_ context.Context, method, params string) (*mcp.Reply, error) {
		return &mcp.Reply{Result: []byte(`{"asked":"` + method + `"}`)}, nil
	}}
	c := tool("ask")
	c.Stream, c.Client, c.Session = a, willing(), "s1"
	if got, want := mustCall(t, u, c), `{\"asked\":\"sampling/createMessage\"}`; !strings.Contains(got, want) {
		t.Errorf("the server got %s, want %s in it", got, want)
	}
	// Without a stream, or on the shared session, nobody is asked.
	c.Stream = nil
	if got := mustCall(t, u, c); !strings.Contains(got, "-32601") {
		t.Errorf("without a stream the server got %s, want a refusal", got)
	}
	c.Stream, c.Client = a, nil
	if got := mustCall(t, u, c); !strings.Contains(got, "-32601") {
		t.Errorf("on the shared session the server got %s, want a refusal", got)
	}
}

func TestSessionIsOpenedWithWhatTheAgentDeclared(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	c := tool("greeting")
	c.Client, c.Session = willing(), "s1"
	got := mustCall(t, u, c)
	for _, want := range []string{`\"capabilities\":{\"elicitation\":{},\"sampling\":{}}`, `\"name\":\"tester\"`} {
		if !strings.Contains(got, want) {
			t.Errorf("initialize had %s, want %s in it", got, want)
		}
	}
	pid := func(session string, client *mcp.Client) string {
		c := tool("pid")
		c.Client, c.Session = client, session
		return mustCall(t, u, c)
	}
	if a, b := pid("s1", willing()), pid("s1", willing()); a != b {
		t.Errorf("two calls of one session reached processes %s and %s, want one", a, b)
	}
	if a, b := pid("s1", willing()), pid("s2", willing()); a == b {
		t.Errorf("two sessions share process %s, want two", a)
	}
	if a, b := pid("s1", new(mcp.Client)), pid("s2", nil); a != b {
		t.Errorf("agents that declare nothing reached %s and %s, want one process", a, b)
	}
}

func TestAgentThatTakesRequestsSpeaksToBothEras(t *testing.T) {
	for kind, want := range map[string]mcp.Era{"mcpgo": mcp.Legacy, "modern": mcp.Modern} {
		u := one(t, upstream.Config{}, child(kind))
		own := &mcp.Call{Client: willing(), Session: "s1"}
		for _, c := range []*mcp.Call{own, {}, own} {
			h, err := u.Hello(soon(t), c)
			if err != nil {
				t.Fatalf("Hello of %s = %v", kind, err)
			}
			if c == own && h.Era != want {
				t.Errorf("the agent's own session with %s has era %v, want %v", kind, h.Era, want)
			}
			if c != own && h.Era != mcp.Modern {
				t.Errorf("the shared session with %s has era %v, want the modern one", kind, h.Era)
			}
		}
	}
}

func TestServerMayWithdrawWhatItAsked(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	a := &agent{answer: func(ctx context.Context, _, _ string) (*mcp.Reply, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	c := tool("withdraw")
	c.Stream, c.Client, c.Session = a, willing(), "s1"
	if got := mustCall(t, u, c); !strings.Contains(got, `\"p\"`) && !strings.Contains(got, `"\"p`) {
		t.Errorf("the first answer was %s, want that to the ping", got)
	}
}

func TestCancelledCallEndsWhatItsServerAsked(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	ctx, cancel := context.WithCancel(soon(t))
	a := &agent{answer: func(ctx context.Context, _, _ string) (*mcp.Reply, error) {
		cancel() // the agent is asked, and gives the call up instead
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	c := tool("ask")
	c.Stream, c.Client, c.Session = a, willing(), "s1"
	if _, err := u.Call(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("Call = %v, want context canceled", err)
	}
	if got := mustCall(t, u, &mcp.Call{Method: "tools/call", Params: []byte(`{"name":"empty"}`), Client: willing(), Session: "s1"}); got != "{}" {
		t.Errorf("the session's next call = %s, want {}", got)
	}
}

func TestAgentsErrorGoesBackToTheServer(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	a := &agent{answer: func(context.Context, string, string) (*mcp.Reply, error) {
		return &mcp.Reply{Error: &mcp.Error{Code: -1, Message: "User rejected sampling request"}}, nil
	}}
	c := tool("ask")
	c.Stream, c.Client, c.Session = a, willing(), "s1"
	if got := mustCall(t, u, c); !strings.Contains(got, "User rejected sampling request") {
		t.Errorf("the server got %s, want the agent's error", got)
	}
}

func TestHelloIsWhatTheServerSaid(t *testing.T) {
	for kind, want := range map[string]mcp.Era{"legacy": mcp.Legacy, "modern": mcp.Modern} {
		u := one(t, upstream.Config{}, child(kind))
		h, err := u.Hello(soon(t), &mcp.Call{Client: new(mcp.Client)})
		if err != nil || h.Era != want || !json.Valid(h.Result) || !strings.Contains(string(h.Result), "capabilities") {
			t.Errorf("Hello of %s = %+v, %v", kind, h, err)
		}
	}
}

func TestModernServerSeesTheAgentsDeclaration(t *testing.T) {
	u := one(t, upstream.Config{}, child("modern"))
	c := tool("params")
	c.Client = &mcp.Client{Capabilities: []byte(`{"elicitation":{"form":{}}}`), Info: []byte(`{"name":"tester"}`), Version: mcp.ModernVersion}
	got := mustCall(t, u, c)
	for _, want := range []string{`clientCapabilities\":{\"elicitation\":{\"form\":{}}}`, `clientInfo\":{\"name\":\"tester\"}`} {
		if !strings.Contains(got, want) {
			t.Errorf("the server got %s, want %s in it", got, want)
		}
	}
}

func TestHTTPStreamOfACallIsItsAgents(t *testing.T) {
	answers := make(chan string, 1)
	w := &web{stateful: true, respond: func(rw http.ResponseWriter, r *http.Request, q request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		for i := range 300 {
			fmt.Fprintf(rw, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":%d}}\n\n", i)
		}
		io.WriteString(rw, "data: {\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"elicitation/create\",\"params\":{\"m\":1}}\n\n")
		rw.(http.Flusher).Flush()
		got := ""
		select {
		case got = <-answers:
		case <-r.Context().Done():
		}
		fmt.Fprintf(rw, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%q}\n\n", q.ID, got)
	}}
	front := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var q request
		if json.Unmarshal(body, &q) == nil && q.Method == "" && q.ID != nil {
			answers <- string(q.ID) + string(q.Result)
			rw.WriteHeader(http.StatusAccepted)
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		w.ServeHTTP(rw, r)
	})
	u := one(t, upstream.Config{}, remote(serve(t, front)+"/mcp"))
	a := &agent{answer: func(_ context.Context, method, params string) (*mcp.Reply, error) {
		return &mcp.Reply{Result: []byte(`{"action":"accept"}`)}, nil
	}}
	c := tool("x")
	c.Stream, c.Client, c.Session = a, willing(), "s1"
	if got, want := mustCall(t, u, c), `"9{\"action\":\"accept\"}"`; got != want {
		t.Errorf("the server got %s, want %s", got, want)
	}
	heard := a.heard()
	for i, text := range heard {
		if want := fmt.Sprintf(`notifications/message {"data":%d}`, i); text != want {
			t.Fatalf("heard %s, want %s", text, want)
		}
	}
	if len(heard) != 300 {
		t.Errorf("heard %d messages, want 300", len(heard))
	}
	if h := w.requests("initialize"); len(h) != 1 || !strings.Contains(h[0].params, `"elicitation"`) {
		t.Errorf("initialize = %v, want one with the agent's capabilities", h)
	}
}

// listening starts to listen with c; stop ends that and returns the error.
func listening(t *testing.T, u *upstream.Upstream, c *mcp.Call) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(soon(t))
	done := make(chan error, 1)
	go func() { done <- u.Listen(ctx, c) }()
	return func() error {
		cancel()
		return <-done
	}
}

func TestListenersHearOfChanges(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	mustCall(t, u, tool("empty"))
	var first, second agent
	stops := []func() error{listening(t, u, &mcp.Call{Stream: &first}), listening(t, u, &mcp.Call{Stream: &second})}
	const want = `notifications/resources/updated {"uri":"x:1"}`
	eventually(t, "both heard of it", func() bool {
		mustCall(t, u, tool("update"))
		return slices.Contains(first.heard(), want) && slices.Contains(second.heard(), want)
	})
	for _, stop := range stops {
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Listen = %v, want context canceled", err)
		}
	}
}

func TestModernSubscriptionIsHeardByItsOwnStream(t *testing.T) {
	u := one(t, upstream.Config{}, child("modern"))
	var a, b agent
	params := []byte(`{"notifications":{"toolsListChanged":true}}`)
	ask := func(a *agent) *mcp.Call {
		return &mcp.Call{Method: "subscriptions/listen", Params: params, Stream: a, Client: new(mcp.Client)}
	}
	stopA, stopB := listening(t, u, ask(&a)), listening(t, u, ask(&b))
	eventually(t, "both were acknowledged", func() bool { return len(a.heard()) > 0 && len(b.heard()) > 0 })
	if len(a.heard()) != 1 || len(b.heard()) != 1 {
		t.Errorf("heard %v and %v, want one acknowledgement each", a.heard(), b.heard())
	}
	for _, stop := range []func() error{stopA, stopB} {
		if err := stop(); err == nil {
			t.Error("Listen = nil, want that it was cancelled")
		}
	}
}

func TestHTTPListenersHearOfChanges(t *testing.T) {
	w := &web{stateful: true, onGet: func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			io.WriteString(rw, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/prompts/list_changed\"}\n\n")
			rw.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}}
	u := one(t, upstream.Config{}, w.start(t))
	var a agent
	stop := listening(t, u, &mcp.Call{Stream: &a})
	eventually(t, "the agent heard of it", func() bool { return slices.Contains(a.heard(), "notifications/prompts/list_changed ") })
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Listen = %v, want context canceled", err)
	}
}

func TestHTTPListenersHearWhatIsSaidOnACall(t *testing.T) {
	w := &web{stateful: true, respond: func(rw http.ResponseWriter, _ *http.Request, q request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(rw, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n")
		io.WriteString(rw, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n")
		fmt.Fprintf(rw, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", q.ID)
	}}
	u := one(t, upstream.Config{}, w.start(t))
	var a agent
	stop := listening(t, u, &mcp.Call{Stream: &a})
	eventually(t, "the agent heard of the change, and of nothing else", func() bool {
		mustCall(t, u, tool("x")) // again and again, since listening begins beside this
		heard := a.heard()
		return len(heard) > 0 && !slices.ContainsFunc(heard, func(s string) bool { return s != "notifications/tools/list_changed " })
	})
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Listen = %v, want context canceled", err)
	}
}
