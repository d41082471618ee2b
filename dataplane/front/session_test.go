package front_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
)

const (
	initializeIt = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}`
	pingIt       = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
)

// begin returns the id of a new session.
func begin(h http.Handler) string {
	return post(h, []byte(initializeIt)).Header().Get("Mcp-Session-Id")
}

// end ends a session.
func end(h http.Handler, session string) int {
	r := httptest.NewRequest(http.MethodDelete, "/mcp", nil)
	r.Header.Set("Authorization", "Bearer "+laptopKey)
	r.Header.Set("Mcp-Session-Id", session)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestSessionsDoNotLiveForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := front.New(config(t, newTools()))
		session := begin(h)
		time.Sleep(29 * 24 * time.Hour)
		if got := post(h, []byte(pingIt), "Mcp-Session-Id", session).Code; got != http.StatusOK {
			t.Errorf("ping after 29 days: %d, want 200", got)
		}
		time.Sleep(2 * 24 * time.Hour)
		if got := post(h, []byte(pingIt), "Mcp-Session-Id", session).Code; got != http.StatusNotFound {
			t.Errorf("ping after 31 days: %d, want 404", got)
		}
	})
}

func TestEndedSessionsStayEnded(t *testing.T) {
	h := front.New(config(t, newTools()))
	kept, last := begin(h), ""
	for range 5000 { // more than are remembered
		last = begin(h)
		if got := end(h, last); got != http.StatusNoContent {
			t.Fatalf("DELETE: %d, want 204", got)
		}
	}
	if got := post(h, []byte(pingIt), "Mcp-Session-Id", last).Code; got != http.StatusNotFound {
		t.Errorf("ping in an ended session: %d, want 404", got)
	}
	if got := post(h, []byte(pingIt), "Mcp-Session-Id", kept).Code; got != http.StatusOK {
		t.Errorf("ping in a session that goes on: %d, want 200", got)
	}
}

func TestIdleStreamsGetComments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := config(t, newTools())
		conf.PingEvery = 0 // the default: 25 s
		h := front.New(conf)
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/mcp", nil)
		r.Header.Set("Authorization", "Bearer "+laptopKey)
		r.Header.Set("Mcp-Session-Id", begin(h))
		r.Header.Set("Accept", "application/json, text/event-stream")
		w := httptest.NewRecorder()
		done := make(chan struct{})
		go func() { h.ServeHTTP(w, r); close(done) }()
		time.Sleep(101 * time.Second)
		cancel()
		<-done
		if got, want := w.Body.String(), strings.Repeat(": ping\n\n", 5); got != want || !w.Flushed {
			t.Errorf("the stream sent %q in 101 s, want %q", got, want)
		}
	})
}

// An id that is under way already cannot be cancelled, since nobody could say which of the two is meant.
func TestCancellationMeansTheFirstOfEqualIDs(t *testing.T) {
	g := newTools()
	a := agent{t, serve(t, config(t, g)).URL}
	session := a.initialize()
	answers := make(chan string, 2)
	call := func() {
		_, text := a.post(waitCall, "Mcp-Session-Id", session)
		answers <- text
	}
	go call()
	receive(t, g.started)
	go call()
	receive(t, g.started)
	a.post(cancelIt, "Mcp-Session-Id", session)
	if got := receive(t, answers); !strings.Contains(got, "cancelled") {
		t.Errorf("first answer = %s, want the cancelled call's", got)
	}
	a.post(cancelIt, "Mcp-Session-Id", session) // reaches nobody any more
	g.release <- struct{}{}
	if got := receive(t, answers); !strings.Contains(got, `"content":[]`) {
		t.Errorf("second answer = %s, want a result", got)
	}
}

func TestIDsOfOtherTypesAreOtherIDs(t *testing.T) {
	g := newTools()
	a := agent{t, serve(t, config(t, g)).URL}
	session := a.initialize()
	done := make(chan string, 1)
	go func() {
		_, text := a.post(strings.Replace(waitCall, `"id":1`, `"id":"1"`, 1), "Mcp-Session-Id", session)
		done <- text
	}()
	receive(t, g.started)
	a.post(cancelIt, "Mcp-Session-Id", session) // means the number
	g.release <- struct{}{}
	if got, want := receive(t, done), `{"jsonrpc":"2.0","id":"1","result":{"content":[]}}`; got != want {
		t.Errorf("answer = %s, want %s", got, want)
	}
}

func TestVersionsOfTheEraAreServedWithOrWithoutASession(t *testing.T) {
	h := front.New(config(t, newTools()))
	for _, version := range []string{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"} {
		for _, session := range []string{"", begin(h)} {
			w := post(h, []byte(pingIt), "Mcp-Protocol-Version", version, "Mcp-Session-Id", session)
			if want := `{"jsonrpc":"2.0","id":1,"result":{}}`; w.Body.String() != want {
				t.Errorf("ping in %s = %d %s, want %s", version, w.Code, w.Body, want)
			}
		}
	}
}
