package front_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
)

// direct sends a message to a single server and returns the response, whose body the test closes at its end.
func direct(t *testing.T, url, session, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/mcp/everything", strings.NewReader(body))
	if err != nil {
		t.Fatalf("NewRequest: %v", err)
	}
	r.Header.Set("Authorization", "Bearer "+laptopKey)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"a","version":"1"}}}`

// event reads the data of the next event.
func event(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("reading event: %v", err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			return strings.TrimSuffix(data, "\n")
		}
	}
}

func TestServerAsksItsAgentDuringTheCall(t *testing.T) {
	for answer, want := range map[string]string{
		`"result":{"action":"accept"}`:            `{"jsonrpc":"2.0","id":"c","result":{"answer":{"action":"accept"}}}`,
		`"error":{"code":-1,"message":"no user"}`: `{"jsonrpc":"2.0","id":"c","error":{"code":-1,"message":"no user"}}`,
	} {
		url := serve(t, config(t, newTools())).URL
		session := direct(t, url, "", hello).Header.Get("Mcp-Session-Id")
		stranger := direct(t, url, "", hello).Header.Get("Mcp-Session-Id")
		call := direct(t, url, session, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"ask"}}`)
		events := bufio.NewReader(call.Body)
		event(t, events) // progress
		event(t, events) // a log message
		var asked struct {
			ID     json.RawMessage
			Method string
		}
		if err := json.Unmarshal([]byte(event(t, events)), &asked); err != nil || asked.Method != "elicitation/create" {
			t.Fatalf("event = %+v, %v, want elicitation/create", asked, err)
		}
		// Another session's answer with the same id is dropped.
		for _, from := range []string{stranger, "", session} {
			body := answer
			if from != session {
				body = `"result":{"action":"stolen"}`
			}
			if got := direct(t, url, from, `{"jsonrpc":"2.0","id":`+string(asked.ID)+`,`+body+`}`); got.StatusCode != http.StatusAccepted {
				t.Errorf("answer = %s, want 202", got.Status)
			}
		}
		if got := event(t, events); got != want {
			t.Errorf("answer of the call = %s, want %s", got, want)
		}
	}
}

func TestCancellationReachesAServersCall(t *testing.T) {
	g := newTools()
	url := serve(t, config(t, g)).URL
	session := direct(t, url, "", hello).Header.Get("Mcp-Session-Id")
	var call sync.WaitGroup
	call.Go(func() {
		direct(t, url, session, `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"wait"}}`)
	})
	defer call.Wait()
	receive(t, g.started)
	direct(t, url, session, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`)
	if err := receive(t, g.ended); err == nil {
		t.Error("call ended well, want it cancelled")
	}
}

func TestStreamOfAServerFollowsSubscriptions(t *testing.T) {
	url := serve(t, config(t, newTools())).URL
	session := direct(t, url, "", hello).Header.Get("Mcp-Session-Id")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/mcp/everything", nil)
	if err != nil {
		t.Fatalf("NewRequest: %v", err)
	}
	r.Header.Set("Authorization", "Bearer "+laptopKey)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Mcp-Session-Id", session)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	defer resp.Body.Close()
	events := bufio.NewReader(resp.Body)
	for _, step := range []struct{ method, uri, want string }{
		{"", "", ""},
		{"subscribe", "a", "a"},
		{"subscribe", "b", "a,b"},
		{"unsubscribe", "a", "b"},
	} {
		if step.method != "" {
			direct(t, url, session, `{"jsonrpc":"2.0","id":1,"method":"resources/`+step.method+`","params":{"uri":"`+step.uri+`"}}`)
		}
		want := `{"jsonrpc":"2.0","method":"notifications/heard","params":{"uris":"` + step.want + `"}}`
		if got := event(t, events); got != want {
			t.Errorf("event after %s %s = %s, want %s", step.method, step.uri, got, want)
		}
	}
	r.Method = http.MethodDelete
	ended, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("Do: %v", err)
	}
	defer ended.Body.Close()
	if _, err := events.ReadString('\x00'); err != io.EOF {
		t.Errorf("stream of an ended session: %v, want its end", err)
	}
}

func TestErrorsComeInTheFormThatTheAgentNamesFirst(t *testing.T) {
	h := front.New(config(t, newTools()))
	const body = `{"jsonrpc":"2.0","id":"r","method":"resources/read","params":{"uri":"x"}}`
	const text = `{"jsonrpc":"2.0","id":"r","error":{"code":-32002,"message":"no such thing","data":{"uri":"x"}}}`
	for accept, want := range map[string]struct{ kind, body string }{
		"application/json, text/event-stream": {"application/json", text},
		"text/event-stream, application/json": {"text/event-stream", "retry: 1000\nevent: message\ndata: " + text + "\n\n"},
	} {
		w := postTo(h, "/mcp/everything", body, "Accept", accept)
		if got := w.Body.String(); w.Code != http.StatusOK || w.Header().Get("Content-Type") != want.kind || got != want.body {
			t.Errorf("Accept: %s: %d %s %q, want %s %q", accept, w.Code, w.Header().Get("Content-Type"), got, want.kind, want.body)
		}
	}
}
