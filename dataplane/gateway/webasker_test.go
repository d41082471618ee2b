package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// webAsker is a legacy server over Streamable HTTP whose one tool asks on the stream of its call, whatever was declared.
type webAsker struct {
	mu      sync.Mutex // guards below
	last    int
	answers map[string]chan string
}

func (a *webAsker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m asked
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&m) != nil {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	switch {
	case m.Method == "initialize":
		a.mu.Lock()
		a.last++
		w.Header().Set("Mcp-Session-Id", fmt.Sprint("session-", a.last))
		a.mu.Unlock()
		a.answer(w, m, `{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"web","version":"1"}}`)
	case m.Method == "tools/call":
		a.call(w, r, m)
	case m.Method == "" && m.ID != nil:
		a.mu.Lock()
		c := a.answers[string(m.ID)]
		a.mu.Unlock()
		if c != nil {
			c <- string(m.Result) + string(m.Error)
		}
		w.WriteHeader(http.StatusAccepted)
	case m.ID == nil:
		w.WriteHeader(http.StatusAccepted)
	default: // server/discover too
		http.Error(w, "no such method", http.StatusBadRequest)
	}
}

func (a *webAsker) answer(w http.ResponseWriter, m asked, result string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
}

func (a *webAsker) call(w http.ResponseWriter, r *http.Request, m asked) {
	a.mu.Lock()
	a.last++
	id, c := fmt.Sprintf(`"web-%d"`, a.last), make(chan string, 1)
	a.answers[id] = c
	a.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"elicitation/create\",\"params\":{\"message\":%q}}\n\n", id, m.Params.Arguments["of"])
	_ = http.NewResponseController(w).Flush()
	select {
	case heard := <-c:
		fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[],\"heard\":[%s]}}\n\n", m.ID, heard)
	case <-r.Context().Done():
	}
}

func TestQuestionsOverHTTP(t *testing.T) {
	web := httptest.NewServer(&webAsker{answers: map[string]chan string{}})
	t.Cleanup(web.Close)
	for _, tier := range []gatehousev1.QuestionTier{refuses, replies, replays, parks} {
		t.Run(tier.String(), func(t *testing.T) {
			w, _ := tiered(t, nil, nil)
			w.serve(edit("s", func(s *gatehousev1.Server) {
				s.Questions = questionsFor(tier)
				s.Transport = &gatehousev1.Server_Http{Http: &gatehousev1.Http{Url: web.URL + "/mcp"}}
			}), policy("a", []string{"*"}, nil, nil))
			d := modern("ask", `{"of":"them"}`, everything)
			switch tier {
			case refuses:
				if got := w.direct(d); !strings.Contains(got, "spec.questions.tier") {
					t.Errorf("a question = %s, want a refusal", got)
				}
				if got := w.direct(modern("ask", `{"of":"them"}`, `{}`)); !strings.Contains(got, "-32021") {
					t.Errorf("a question to an agent that takes none = %s, want -32021", got)
				}
				if got := w.direct(asModern(request("s", "a", "vendor/unknown", `{}`), `{}`)); !strings.Contains(got, "-32601") {
					t.Errorf("a method that the server has never heard of = %s, want -32601", got)
				}
			case replies:
				w.round(d).mustHear(t, `[{"action":"decline"}]`)
			default:
				r := w.round(d).mustAsk(t, 1)
				w.round(retry(d, r, map[string]string{"r1": accept("x")})).mustHear(t, `[`+accept("x")+`]`)
			}
		})
	}
}
