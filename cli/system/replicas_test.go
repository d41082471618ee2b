package system_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// session is a legacy agent's session, whose every request goes through the proxy of the test's choice.
type session struct {
	t    *testing.T
	path string
	id   string
}

// begin initializes at a proxy, which becomes the session's home.
func begin(t *testing.T, p *proxy, path string) *session {
	t.Helper()
	s := &session{t: t, path: path}
	resp := s.post(p, object{"id": 0, "method": "initialize", "params": object{"protocolVersion": "2025-11-25",
		"capabilities": object{"elicitation": object{}}, "clientInfo": object{"name": "roamer", "version": "1"}}})
	if s.id = resp.Header.Get("Mcp-Session-Id"); s.id == "" {
		t.Fatalf("initialize at %s: status %s and no session", p.id, resp.Status)
	}
	return s
}

// do sends a request through a proxy; the response is closed with the test.
func (s *session) do(p *proxy, method string, body []byte) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+p.addr+s.path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Gatehouse-Agent", "a")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if s.id != "" {
		r.Header.Set("Mcp-Session-Id", s.id)
	}
	resp, err := agents.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (s *session) post(p *proxy, message object) *http.Response {
	s.t.Helper()
	return s.do(p, http.MethodPost, encode(message))
}

// work calls the server's tool through a proxy and returns what is said until the answer and with it.
func (s *session) work(p *proxy, kind, secret string) *bufio.Reader {
	s.t.Helper()
	resp := s.post(p, object{"id": secret, "method": "tools/call", "params": object{"name": "work",
		"arguments": object{"kind": kind, "secret": secret}, "_meta": object{"progressToken": secret}}})
	return bufio.NewReader(resp.Body)
}

// next returns the next message of an answer, plain or in events.
func (s *session) next(r *bufio.Reader) (m wire) {
	s.t.Helper()
	for {
		line, err := r.ReadBytes('\n')
		line = bytes.TrimPrefix(line, []byte("data: "))
		if bytes.HasPrefix(line, []byte("{")) {
			return parse[wire](line)
		}
		if err != nil {
			s.t.Fatalf("no more messages: %v", err)
		}
	}
}

// asks has the server ask the agent something in a call through one proxy, and answers through another.
func (s *session) asks(call, answer *proxy, secret string) {
	s.t.Helper()
	said := s.work(call, kindAsk, secret)
	question := s.next(said)
	for question.Method != "elicitation/create" {
		if question.Method == "" {
			s.t.Fatalf("the call through %s ended with %s %s, want a question first", call.id, question.Result, question.Error)
		}
		question = s.next(said)
	}
	resp := s.post(answer, object{"id": question.ID, "result": object{"action": "accept", "content": object{"word": "w-" + secret}}})
	if resp.StatusCode != http.StatusAccepted {
		s.t.Errorf("answer through %s: %s, want 202", answer.id, resp.Status)
	}
	last := s.next(said)
	for last.Method != "" {
		last = s.next(said)
	}
	if want := secret + "|w-" + secret; !strings.Contains(string(last.Result), want) {
		s.t.Errorf("call through %s, answered through %s, ended with %s %s, want %q", call.id, answer.id, last.Result, last.Error, want)
	}
}

// listen opens the session's stream through a proxy.
func (s *session) listen(p *proxy) *bufio.Reader {
	s.t.Helper()
	resp := s.do(p, http.MethodGet, nil)
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("GET through %s: %s, want 200", p.id, resp.Status)
	}
	return bufio.NewReader(resp.Body)
}

// replicated is a fleet of three in front of a server that each of them starts for itself.
func replicated(t *testing.T) (proxies []*proxy, dir string) {
	t.Helper()
	dir = t.TempDir()
	c := startControlPlane(t)
	c.waitReady(t)
	proxies = startFleet(t, c, 3)
	exe, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	server := fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: work}\n"+
		"spec: {stdio: {command: %q, env: {%s: lines, %s: %q, GORACE: atexit_sleep_ms=0}}}\n---\n", exe, serverEnv, marksEnv, dir)
	mustGwctl(t, c, nil, "apply", "-f", manifest(t, server+policy("a", "{allow: {servers: [work]}}")), "--wait", "--timeout", "60s")
	return proxies, dir
}

// TestASessionOutlivesItsProxy: whatever an agent of the legacy era does with a server works through proxies that did not
// begin its session, and goes on where the one that did is killed.
func TestASessionOutlivesItsProxy(t *testing.T) {
	p, dir := replicated(t)
	s := begin(t, p[0], "/mcp/work")
	s.asks(p[1], p[2], "first")
	s.asks(p[2], p[0], "second")
	if n := len(children(t, p[1].cmd.Process.Pid)) + len(children(t, p[2].cmd.Process.Pid)); n != 0 {
		t.Errorf("proxies that are not the session's home have started %d servers", n)
	}

	stream := s.listen(p[1])
	s.hears(stream, func() { s.work(p[2], kindUpdate, "x") })
	s.work(p[1], kindHang, "third")
	eventually(t, "the call hangs", func() bool { return marks(t, dir, "hangs") == 1 })
	s.post(p[2], object{"method": "notifications/cancelled", "params": object{"requestId": "third"}})
	eventually(t, "the call is cancelled", func() bool { return marks(t, dir, "hangs") == 0 })

	p[0].kill()
	if _, err := io.Copy(io.Discard, stream); err != nil {
		t.Logf("the stream ended with %v", err) // which tells clients to open another
	}
	s.asks(p[1], p[2], "fourth")
	s.asks(p[2], p[1], "fifth")
	stream = s.listen(p[1])
	s.hears(stream, func() { s.work(p[1], kindUpdate, "x") })

	p[0].start(t) // and the session comes home
	p[0].waitReady(t)
	eventually(t, "the session is served at its home again", func() bool {
		s.asks(p[1], p[2], "sixth")
		return len(children(t, p[0].cmd.Process.Pid)) > 0
	})
	if resp := s.do(p[2], http.MethodDelete, nil); resp.StatusCode != http.StatusNoContent {
		t.Errorf("DELETE: %s, want 204", resp.Status)
	}
	for _, via := range p {
		eventually(t, via.id+" has heard of the session's end", func() bool {
			return s.post(via, object{"id": 1, "method": "tools/list"}).StatusCode == http.StatusNotFound
		})
	}
}

// hears has something said until a stream brings it: whether the stream is on its way yet, nobody tells.
func (s *session) hears(stream *bufio.Reader, say func()) {
	s.t.Helper()
	heard := make(chan wire, 1)
	go func() {
		for {
			line, err := stream.ReadBytes('\n')
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				heard <- parse[wire](data)
				return
			}
			if err != nil {
				close(heard)
				return
			}
		}
	}()
	var m wire
	eventually(s.t, "the stream brings what was said", func() bool {
		say()
		select {
		case m = <-heard:
			return true
		default:
			return false
		}
	})
	if m.Method != "notifications/tools/list_changed" {
		s.t.Errorf("the stream brought %q, want notifications/tools/list_changed", m.Method)
	}
}

// TestCancellationsCrossTheFleet: calls of the gateway's own tools are served where they arrive, so nobody knows where the
// one is that a cancellation means.
func TestCancellationsCrossTheFleet(t *testing.T) {
	p, dir := replicated(t)
	s := begin(t, p[0], "/mcp")
	ended := make(chan string, 1)
	go func() {
		resp := s.post(p[1], object{"id": 7, "method": "tools/call", "params": object{"name": "execute_tool",
			"arguments": object{"agent_id": "a", "server": "work", "tool": "work", "args": object{"kind": kindHang, "secret": "seventh"}}}})
		text, _ := io.ReadAll(resp.Body)
		ended <- string(text)
	}()
	eventually(t, "the call hangs", func() bool { return marks(t, dir, "hangs") == 1 })
	eventually(t, "the call is cancelled", func() bool { // once the proxies know each other
		s.post(p[2], object{"method": "notifications/cancelled", "params": object{"requestId": 7}})
		return marks(t, dir, "hangs") == 0
	})
	var m struct{ Error *struct{ Message string } }
	if got := <-ended; json.Unmarshal([]byte(got), &m) != nil || m.Error == nil {
		t.Errorf("the cancelled call was answered with %s, want an error", got)
	}
}
