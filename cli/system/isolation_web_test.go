package system_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// webServer is a server over Streamable HTTP, of either era. Calls answer with a stream of events.
type webServer struct {
	modern   bool
	marks    string
	sessions atomic.Int64

	mu    sync.Mutex               // guards below
	calls map[string]chan struct{} // :: session and id → closed when it is cancelled, maybe before it came
	asked map[string]chan elicited // :: session and id of our question → its answer
}

// startWeb serves one, and returns its URL and what ends the connections that nobody uses.
func startWeb(t *testing.T, modern bool, marks string) (url string, idle func()) {
	t.Helper()
	s := &webServer{modern: modern, marks: marks, calls: map[string]chan struct{}{}, asked: map[string]chan elicited{}}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return h.URL + "/mcp", func() { h.Config.SetKeepAlivesEnabled(false) }
}

func (s *webServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	switch r.Method {
	case http.MethodDelete:
		s.endSession(r.Header.Get("Mcp-Session-Id"))
		return
	case http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	m := parse[wire](body)
	if s.modern {
		s.serveModern(w, r, m)
		return
	}
	s.serveLegacy(w, r.Header.Get("Mcp-Session-Id"), m)
}

func (s *webServer) serveModern(w http.ResponseWriter, r *http.Request, m wire) {
	switch m.Method {
	case "server/discover":
		reply(w, encode(object{"id": m.ID, "result": object{"resultType": "complete", "supportedVersions": []string{"2026-07-28"},
			"capabilities": object{"tools": object{}, "logging": object{}}}}))
	case "tools/list":
		reply(w, plainAnswer(m))
	case "tools/call":
		s.call(w, m, &worker{cancelled: r.Context().Done()})
	default:
		w.WriteHeader(http.StatusNotFound)
		reply(w, plainAnswer(wire{ID: m.ID}))
	}
}

func (s *webServer) serveLegacy(w http.ResponseWriter, session string, m wire) {
	switch {
	case m.Method == "":
		s.mu.Lock()
		s.asked[session+string(m.ID)] <- parse[elicited](m.Result)
		s.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	case m.Method == "notifications/cancelled":
		s.cancel(session + string(parse[struct{ RequestID json.RawMessage }](m.Params).RequestID))
		w.WriteHeader(http.StatusAccepted)
	case m.ID == nil:
		w.WriteHeader(http.StatusAccepted)
	case m.Method == "tools/call":
		cancelled := s.cancellation(session + string(m.ID))
		s.call(w, m, &worker{cancelled: cancelled, ask: s.asker(w, session, m.ID, cancelled)})
	default:
		if m.Method == "initialize" {
			w.Header().Set("Mcp-Session-Id", fmt.Sprintf("s%d-", s.sessions.Add(1)))
		}
		reply(w, plainAnswer(m))
	}
}

// cancellation is what is closed when a call is cancelled.
func (s *webServer) cancellation(call string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[call] == nil {
		s.calls[call] = make(chan struct{})
	}
	return s.calls[call]
}

func (s *webServer) cancel(call string) {
	c := s.cancellation(call)
	select {
	case <-c: // cancelled twice
	default:
		close(c)
	}
}

// endSession cancels the calls that a session leaves.
func (s *webServer) endSession(session string) {
	s.mu.Lock()
	var left []string
	for call := range s.calls {
		if strings.HasPrefix(call, session) {
			left = append(left, call)
		}
	}
	s.mu.Unlock()
	for _, call := range left {
		s.cancel(call)
	}
}

// asker asks on the stream of a call, with the call's own id.
func (s *webServer) asker(w http.ResponseWriter, session string, id json.RawMessage, cancelled <-chan struct{}) func(any) elicited {
	return func(params any) elicited {
		answer := make(chan elicited, 1)
		s.mu.Lock()
		s.asked[session+string(id)] = answer
		s.mu.Unlock()
		event(w, encode(object{"id": id, "method": "elicitation/create", "params": params}))
		return await(answer, cancelled)
	}
}

// call does the work on a stream of events.
func (s *webServer) call(w http.ResponseWriter, m wire, by *worker) {
	w.Header().Set("Content-Type", "text/event-stream")
	by.marks = s.marks
	by.notify = func(method string, params any) { event(w, encode(object{"method": method, "params": params})) }
	c := parse[work](m.Params)
	if result := by.do(&c); result != nil {
		event(w, encode(object{"id": m.ID, "result": result}))
	}
}

// event writes one at once. A client that is gone is noticed elsewhere.
func event(w http.ResponseWriter, message []byte) {
	fmt.Fprintf(w, "data: %s\n\n", message)
	_ = http.NewResponseController(w).Flush()
}

func reply(w http.ResponseWriter, message []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(message)
}
