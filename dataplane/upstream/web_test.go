package upstream_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// web is an MCP server over Streamable HTTP, written without any SDK so that it can misbehave.
type web struct {
	modern   bool
	stateful bool
	stream   bool                                                    // answers with event streams
	tasks    bool                                                    // keeps tasks
	quiet    bool                                                    // keeps no note of what arrives
	probe    int                                                     // status that answers server/discover; 0 answers as the era does
	lost     int                                                     // status that answers an unknown session; 0 means 404
	respond  func(w http.ResponseWriter, r *http.Request, q request) // of tools/call; nil answers with what came
	onGet    func(w http.ResponseWriter, r *http.Request)            // nil answers 405

	mu       sync.Mutex // guards below
	sessions map[string]bool
	made     int
	seen     []seen
	page     string // the tools of tools/list
}

// seen is one request as it arrived.
type seen struct {
	httpMethod, method, params string
	header                     http.Header
}

func (s *web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var q request
	json.Unmarshal(body, &q)
	s.mu.Lock()
	if !s.quiet {
		s.seen = append(s.seen, seen{r.Method, q.Method, string(q.Params), r.Header.Clone()})
	}
	known := s.sessions[r.Header.Get("Mcp-Session-Id")]
	s.mu.Unlock()
	switch {
	case r.Method == http.MethodGet && s.onGet != nil:
		s.onGet(w, r)
	case r.Method == http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case q.Method == "server/discover":
		s.discover(w, q)
	case q.Method == "initialize":
		s.initialize(w, q)
	case s.stateful && !known:
		s.unknownSession(w)
	case r.Method == http.MethodDelete:
		s.forget()
	case q.ID == nil, q.Method == "":
		w.WriteHeader(http.StatusAccepted)
	default:
		s.serve(w, r, q)
	}
}

func (s *web) serve(w http.ResponseWriter, r *http.Request, q request) {
	switch {
	case q.Method == "tools/list":
		s.mu.Lock()
		page := s.page
		s.mu.Unlock()
		s.result(w, q.ID, `{"tools":[`+page+`]}`)
	case q.Method == "tools/call" && s.respond != nil:
		s.respond(w, r, q)
	default:
		var p struct {
			Name string `json:"name"`
		}
		json.Unmarshal(q.Params, &p)
		if result, ok := odd[p.Name]; ok {
			s.result(w, q.ID, result)
			return
		}
		s.result(w, q.ID, string(q.Params))
	}
}

func (s *web) discover(w http.ResponseWriter, q request) {
	switch {
	case s.probe != 0:
		http.Error(w, "what is this?", s.probe)
	case s.modern:
		s.result(w, q.ID, `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}`)
	default:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`, q.ID)
	}
}

func (s *web) initialize(w http.ResponseWriter, q request) {
	if s.modern {
		http.Error(w, "no", http.StatusNotFound)
		return
	}
	if s.stateful {
		s.mu.Lock()
		s.made++
		id := fmt.Sprint("session-", s.made)
		if s.sessions == nil {
			s.sessions = make(map[string]bool)
		}
		s.sessions[id] = true
		s.mu.Unlock()
		w.Header().Set("Mcp-Session-Id", id)
	}
	offers := `{"tools":{"listChanged":true}}`
	if s.tasks {
		offers = `{"tools":{},"tasks":{"list":{}}}`
	}
	s.result(w, q.ID, `{"protocolVersion":"2025-06-18","capabilities":`+offers+`}`)
}

func (s *web) unknownSession(w http.ResponseWriter) {
	if s.lost == http.StatusBadRequest {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(s.lost)
		io.WriteString(w, `{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}`)
		return
	}
	http.Error(w, "Session not found", http.StatusNotFound)
}

// forget makes the server forget its sessions.
func (s *web) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions = nil
}

func (s *web) result(w http.ResponseWriter, id json.RawMessage, result string) {
	message := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, id, result)
	if !s.stream {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		io.WriteString(w, message)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, ": hello\n\nid: 1\ndata:\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n")
	fmt.Fprintf(w, "event: message\nid: 2\ndata: %s\n\n", message)
}

// requests returns those of one MCP method, or of one HTTP method.
func (s *web) requests(method string) (list []seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.seen {
		if q.method == method || q.httpMethod == method {
			list = append(list, q)
		}
	}
	return list
}

// start serves and returns the definition of the server.
func (s *web) start(t testing.TB) *gatehousev1.Server {
	t.Helper()
	return remote(serve(t, s) + "/mcp")
}

// serve serves until the test ends and returns the URL.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL
}

func remote(url string) *gatehousev1.Server {
	h := &gatehousev1.Http{Url: url, Transport: gatehousev1.HttpTransport_HTTP_TRANSPORT_STREAMABLE_HTTP}
	if strings.Contains(url, "/auto") || strings.HasSuffix(url, "/sse") {
		h.Transport = gatehousev1.HttpTransport_HTTP_TRANSPORT_UNSPECIFIED
	}
	return &gatehousev1.Server{Transport: &gatehousev1.Server_Http{Http: h}}
}
