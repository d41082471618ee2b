package front_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/loopback"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// member is one proxy of a fleet, with a gateway of its own.
type member struct {
	*tools
	name   string
	server *httptest.Server
	front  *front.Handler

	mu   sync.Mutex // guards below
	gone []string
}

// Direct says who answers "who" and what the agent declared, and else what tools says.
func (m *member) Direct(ctx context.Context, d *gateway.Direct) (*mcp.Reply, error) {
	if d.Name == "parked" { // where its only parameter says
		var p struct{ At string }
		if err := json.Unmarshal(d.Params, &p); err != nil {
			return nil, err
		}
		if p.At != m.server.Listener.Addr().String() && !d.Lost {
			return nil, &gateway.ElsewhereError{Address: p.At}
		}
		return &mcp.Reply{Result: fmt.Appendf(nil, `{"who":%q,"lost":%t}`, m.name, d.Lost)}, nil
	}
	if d.Name != "who" {
		return m.tools.Direct(ctx, d)
	}
	client := "nothing"
	if d.Client != nil {
		client = string(d.Client.Capabilities) + string(d.Client.Info) + d.Client.Version
	}
	return &mcp.Reply{Result: fmt.Appendf(nil, `{"who":%q,"client":%q,"level":%q}`, m.name, client, d.LogLevel)}, nil
}

func (m *member) endSession(session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = append(m.gone, session)
}

// url is where agents reach the member.
func (m *member) url() string { return m.server.URL }

// fleet starts proxies that share a key and know each other, and those at other addresses.
func fleet(t *testing.T, size int, others ...string) []*member {
	t.Helper()
	members := make([]*member, size)
	addresses := slices.Clone(others)
	for i := range members {
		members[i] = &member{tools: newTools(), name: string(rune('a' + i)), server: httptest.NewUnstartedServer(nil)}
		addresses = append(addresses, members[i].server.Listener.Addr().String())
	}
	for _, m := range members {
		conf := config(t, m.tools)
		own := m.server.Listener.Addr().String()
		conf.Gateway, conf.EndSession, conf.Address = m, m.endSession, own
		peers := slices.DeleteFunc(slices.Clone(addresses), func(a string) bool { return a == own })
		conf.Peers = func() []string { return peers }
		m.front = front.New(conf)
		m.server.Config.Handler = m.front
		m.server.Start()
	}
	t.Cleanup(func() {
		for _, m := range members {
			m.front.Drain()
		}
		http.DefaultClient.CloseIdleConnections()
		for _, m := range members {
			m.front.Close() // lets go of connections that another's server waits for
		}
		for _, m := range members {
			m.server.Close()
		}
	})
	return members
}

// kill ends a member as a crash would: its port is closed, and so are all connections.
func (m *member) kill() {
	m.server.Listener.Close()
	m.server.CloseClientConnections()
}

const who = `{"jsonrpc":"2.0","id":1,"method":"who"}`

// answerOf returns the answer of a single server to a message.
func answerOf(t *testing.T, url, session, body string) string {
	t.Helper()
	text, err := io.ReadAll(direct(t, url, session, body).Body)
	if err != nil {
		t.Fatalf("ReadAll: %v", err)
	}
	return string(text)
}

func startedAt(t *testing.T, m *member) (session string) {
	t.Helper()
	session = direct(t, m.url(), "", hello).Header.Get("Mcp-Session-Id")
	if session == "" {
		t.Fatal("initialize gave no session")
	}
	return session
}

func TestSessionsOfAServerAreServedAtTheirHome(t *testing.T) {
	m := fleet(t, 3)
	session := startedAt(t, m[0])
	direct(t, m[1].url(), session, `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`)
	for _, via := range m {
		got := answerOf(t, via.url(), session, who)
		want := `{"jsonrpc":"2.0","id":1,"result":{"who":"a","client":"{\"elicitation\":{}}{\"name\":\"a\",\"version\":\"1\"}2025-11-25","level":"\"error\""}}`
		if got != want {
			t.Errorf("via %s: %s, want %s", via.name, got, want)
		}
	}
	if got := answerOf(t, m[1].url(), "", who); !strings.Contains(got, `"who":"b"`) {
		t.Errorf("without a session: %s, want b's answer", got)
	}
}

func TestAnswersFindTheProxyThatAsked(t *testing.T) {
	m := fleet(t, 3)
	session, stranger := startedAt(t, m[0]), startedAt(t, m[1])
	call := direct(t, m[1].url(), session, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"ask"}}`)
	events := bufio.NewReader(call.Body)
	event(t, events) // progress: what comes before the answer is not held back
	event(t, events) // a log message
	var asked struct{ ID string }
	if err := json.Unmarshal([]byte(event(t, events)), &asked); err != nil || asked.ID == "" {
		t.Fatalf("question = %+v, %v, want one with a string id", asked, err)
	}
	answer := func(from, id, who string) {
		t.Helper()
		body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"by":%q}}`, id, who)
		if got := direct(t, m[2].url(), from, body); got.StatusCode != http.StatusAccepted {
			t.Errorf("answer by %s = %s, want 202", who, got.Status)
		}
	}
	id, _ := json.Marshal(asked.ID)
	answer(stranger, string(id), "a stranger")
	answer("", string(id), "nobody")
	answer(session, `"`+strings.ToLower(asked.ID)+`"`, "a forger")
	answer(session, "1", "a guesser")
	answer(session, string(id), "the agent")
	if got, want := event(t, events), `{"jsonrpc":"2.0","id":"c","result":{"answer":{"by":"the agent"}}}`; got != want {
		t.Errorf("answer of the call = %s, want %s", got, want)
	}
}

// asking has a call ask its agent at one proxy; answer answers it through another one, and holds what the call comes to.
func asking(t *testing.T, at, through *member, session string) (answer func()) {
	t.Helper()
	call := direct(t, at.url(), session, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"ask"}}`)
	events := bufio.NewReader(call.Body)
	event(t, events)
	event(t, events)
	var asked struct{ ID json.RawMessage }
	if err := json.Unmarshal([]byte(event(t, events)), &asked); err != nil {
		t.Fatalf("Unmarshal: %v", err)
	}
	return func() {
		t.Helper()
		direct(t, through.url(), session, `{"jsonrpc":"2.0","id":`+string(asked.ID)+`,"result":{}}`)
		if got, want := event(t, events), `{"jsonrpc":"2.0","id":"c","result":{"answer":{}}}`; got != want {
			t.Errorf("answer of the call = %s, want %s", got, want)
		}
	}
}

// A proxy that was away a moment ago and asks something now is there again, whatever others believe.
func TestAnswersReachAProxyThatIsBack(t *testing.T) {
	m := fleet(t, 3)
	session := startedAt(t, m[0])
	answer := asking(t, m[1], m[2], session)
	m[0].server.Listener.Close()
	if got := answerOf(t, m[2].url(), session, who); !strings.Contains(got, `"who":"c"`) {
		t.Errorf("while the home is away = %s, want the answer of c", got)
	}
	var back net.Listener
	waitFor(t, "the home's address", func() (held bool) {
		var err error
		back, err = net.Listen("tcp", m[0].server.Listener.Addr().String())
		return err == nil
	})
	t.Cleanup(func() { back.Close() })
	go m[0].server.Config.Serve(back) // until it is closed
	answer()
}

func TestCancellationsReachTheProxyOfTheCall(t *testing.T) {
	for _, path := range []string{"/mcp", "/mcp/everything"} {
		t.Run(path, func(t *testing.T) {
			m := fleet(t, 3, deadAddress(t))
			session := startedAt(t, m[0])
			send := func(via *member, body string) *http.Response {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, via.url()+path, strings.NewReader(body))
				return do(t, r, session)
			}
			at := m[0] // where sessions of a server are served; the gateway's own tools are served anywhere
			if path == "/mcp" {
				at = m[1]
			}
			var call sync.WaitGroup
			call.Go(func() { send(m[1], `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"wait"}}`) })
			defer call.Wait()
			receive(t, at.started)
			send(m[2], `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`)
			if err := receive(t, at.ended); err == nil {
				t.Error("call ended well, want it cancelled")
			}
		})
	}
}

// do sends a request that httptest made as the agent of a session, and returns the response, closed at the test's end.
func do(t *testing.T, r *http.Request, session string) *http.Response {
	t.Helper()
	r.RequestURI = ""
	r.Header.Set("Authorization", "Bearer "+laptopKey)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Mcp-Session-Id", session)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Errorf("Do: %v", err)
		return &http.Response{Body: http.NoBody, Header: http.Header{}}
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// deadAddress is one that nobody listens at.
func deadAddress(t *testing.T) string {
	t.Helper()
	addr, err := loopback.Addr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestStreamsOfAServerAreServedAtTheirHome(t *testing.T) {
	m := fleet(t, 3)
	session := startedAt(t, m[0])
	stream := do(t, httptest.NewRequestWithContext(t.Context(), http.MethodGet, m[1].url()+"/mcp/everything", nil), session)
	events := bufio.NewReader(stream.Body)
	event(t, events)
	direct(t, m[2].url(), session, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a"}}`)
	if got, want := event(t, events), `{"jsonrpc":"2.0","method":"notifications/heard","params":{"uris":"a"}}`; got != want {
		t.Errorf("event = %s, want %s", got, want)
	}
	m[1].front.Drain() // ends streams that are only passed through, too
	if _, err := events.ReadString('\x00'); err != io.EOF {
		t.Errorf("stream through a proxy that drains: %v, want its end", err)
	}
}

func TestSessionsEndEverywhere(t *testing.T) {
	for _, path := range []string{"/mcp", "/mcp/everything"} {
		t.Run(path, func(t *testing.T) {
			m := fleet(t, 3, deadAddress(t))
			session := startedAt(t, m[0])
			ended := do(t, httptest.NewRequestWithContext(t.Context(), http.MethodDelete, m[1].url()+path, nil), session)
			if ended.StatusCode != http.StatusNoContent {
				t.Fatalf("DELETE: %s, want 204", ended.Status)
			}
			for _, via := range m {
				waitFor(t, "the session's end at "+via.name, func() bool {
					via.mu.Lock()
					defer via.mu.Unlock()
					return slices.Equal(via.gone, []string{session[:24]})
				})
				if got := direct(t, via.url(), session, who); got.StatusCode != http.StatusNotFound {
					t.Errorf("request via %s: %s, want 404", via.name, got.Status)
				}
			}
		})
	}
}

// waitFor waits until something holds, but not for ever.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func TestSessionsOutliveTheirHome(t *testing.T) {
	m := fleet(t, 3)
	session := startedAt(t, m[0])
	answerOf(t, m[1].url(), session, who) // so that there is a connection to lose
	m[0].kill()
	for _, via := range m[1:] {
		waitFor(t, "the end of "+m[0].name, func() bool { return !strings.Contains(answerOf(t, via.url(), session, who), errorHead) })
		got := answerOf(t, via.url(), session, who)
		if !strings.Contains(got, `"who":"`+via.name+`","client":"{\"elicitation\":{}}`) {
			t.Errorf("via %s: %s, want its own answer, and what the agent declared", via.name, got)
		}
	}
	if sent, unreached, _ := m[1].front.Forwards(); sent == 0 || unreached == 0 {
		t.Errorf("Forwards = %d sent, %d unreached, want some of both", sent, unreached)
	}
	// The new place asks under its own address, so the answer may come through any proxy.
	answer := asking(t, m[1], m[2], session)
	answer()
	// A call of such a session is cancelled wherever it is.
	var waiting sync.WaitGroup
	waiting.Go(func() {
		direct(t, m[1].url(), session, `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"wait"}}`)
	})
	defer waiting.Wait()
	receive(t, m[1].started)
	direct(t, m[2].url(), session, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`)
	if err := receive(t, m[1].ended); err == nil {
		t.Error("call ended well, want it cancelled")
	}
}

const errorHead = `"error":{"code":-32603,"message":"the proxy that serves this session has gone away`

func TestAgentsLearnThatTheirCallWasLost(t *testing.T) {
	t.Run("before it said anything", func(t *testing.T) {
		m := fleet(t, 2)
		session := startedAt(t, m[0])
		answer := make(chan string, 1)
		go func() {
			answer <- answerOf(t, m[1].url(), session, `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"wait"}}`)
		}()
		receive(t, m[0].started)
		m[0].kill()
		if got := receive(t, answer); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":5,`+errorHead) {
			t.Errorf("answer = %s, want an error", got)
		}
		m[0].release <- struct{}{}
	})
	t.Run("during its stream", func(t *testing.T) {
		m := fleet(t, 2)
		session := startedAt(t, m[0])
		call := direct(t, m[1].url(), session, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"ask"}}`)
		events := bufio.NewReader(call.Body)
		event(t, events)
		event(t, events)
		question := event(t, events)
		m[0].kill()
		if got := event(t, events); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":"c",`+errorHead) {
			t.Errorf("answer = %s, want an error", got)
		}
		var asked struct{ ID json.RawMessage }
		if err := json.Unmarshal([]byte(question), &asked); err != nil {
			t.Fatalf("Unmarshal: %v", err)
		}
		m[0].server.Config.Handler.ServeHTTP(httptest.NewRecorder(), answerTo(session, string(asked.ID))) // lets the call end
	})
}

// answerTo is an agent's answer to a question.
func answerTo(session, id string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/mcp/everything", strings.NewReader(`{"jsonrpc":"2.0","id":`+id+`,"result":{}}`))
	r.Header.Set("Authorization", "Bearer "+laptopKey)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Mcp-Session-Id", session)
	return r
}

// A home that takes requests and gives no answer gets each of them once, on new connections and on kept ones.
func TestRequestsAreSentOnce(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	home := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen[string(body)]++
		if r.Header.Get(front.HeaderForwarded) == "" {
			t.Error("a request was forwarded without saying so")
		}
		if bytes.Contains(body, []byte("drop")) {
			panic(http.ErrAbortHandler)
		}
	}))
	m := fleet(t, 1)
	address := m[0].server.Listener.Addr().String()
	home.Start()
	defer home.Close()
	conf := config(t, newTools())
	conf.Address = home.Listener.Addr().String()
	session := direct(t, serve(t, conf).URL, "", hello).Header.Get("Mcp-Session-Id")
	for i := range 20 {
		method := [...]string{"keep", "drop"}[i%2]
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/mcp/everything",
			strings.NewReader(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q}`, i, method)))
		r.Header.Set("Idempotency-Key", "again")
		do(t, r, session)
	}
	mu.Lock()
	defer mu.Unlock()
	for body, times := range seen {
		if times != 1 {
			t.Errorf("%s was sent %d times", body, times)
		}
	}
	if len(seen) != 20 {
		t.Errorf("%d requests reached the home, want 20", len(seen))
	}
}

func TestForwardedRequestsAreNotForwardedAgain(t *testing.T) {
	m := fleet(t, 2)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, m[1].url()+"/mcp/everything", strings.NewReader(who))
	r.Header.Set(front.HeaderForwarded, "10.0.0.9:8080")
	text, err := io.ReadAll(do(t, r, startedAt(t, m[0])).Body)
	if err != nil || !strings.Contains(string(text), `"who":"b"`) {
		t.Errorf("answer = %s, %v, want b's own", text, err)
	}
}

// Ten thousand sessions have set something, and none is forgotten.
func TestManySessionsAreRemembered(t *testing.T) {
	m := fleet(t, 1)
	const many = 10_000
	level := func(i int) string { return [...]string{"error", "debug", "info"}[i%3] }
	serve := func(session, body string) string {
		r := httptest.NewRequest(http.MethodPost, "/mcp/everything", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+laptopKey)
		r.Header.Set("Content-Type", "application/json")
		if session != "" {
			r.Header.Set("Mcp-Session-Id", session)
		}
		w := httptest.NewRecorder()
		m[0].front.ServeHTTP(w, r)
		if session == "" {
			return w.Header().Get("Mcp-Session-Id")
		}
		return w.Body.String()
	}
	sessions := make([]string, many)
	for i := range sessions {
		sessions[i] = serve("", hello)
		serve(sessions[i], `{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"`+level(i)+`"}}`)
	}
	for i, session := range sessions {
		if got := serve(session, who); !strings.Contains(got, level(i)) {
			t.Fatalf("session %d: %s, want level %s", i, got, level(i))
		}
	}
}

// What does not fit into a session's id is remembered at its home.
func TestLargeDeclarationsAreKeptAtHome(t *testing.T) {
	m := fleet(t, 2)
	large := strings.Replace(hello, `{"elicitation":{}}`, `{"elicitation":{},"experimental":{"x":"`+strings.Repeat("y", 2000)+`"}}`, 1)
	first := direct(t, m[0].url(), "", large)
	session := first.Header.Get("Mcp-Session-Id")
	if len(session) > 1000 {
		t.Errorf("the session's id has %d characters", len(session))
	}
	if got := answerOf(t, m[1].url(), session, who); !strings.Contains(got, `elicitation`) || !strings.Contains(got, "yyyy") {
		t.Errorf("the agent at home: %s, want all that it declared", got)
	}
}

func TestAnswersGoWhereTheirCallIsParked(t *testing.T) {
	m := fleet(t, 2)
	at := func(address string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"parked","params":{"at":%q}}`, address)
	}
	addressOf := func(m *member) string { return m.server.Listener.Addr().String() }
	for address, want := range map[string]string{
		addressOf(m[0]): `{"who":"a","lost":false}`,
		addressOf(m[1]): `{"who":"b","lost":false}`,
		"127.0.0.1:9":   `{"who":"a","lost":true}`, // where nobody listens
	} {
		if got := answerOf(t, m[0].url(), "", at(address)); !strings.Contains(got, want) {
			t.Errorf("the answer to a call parked at %s = %s, want %s", address, got, want)
		}
	}
}
