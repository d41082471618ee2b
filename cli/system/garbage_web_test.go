package system_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// crime is what a server does with a call instead of answering it well, and how the call ends: with a code, which is empty
// where the gateway makes the best of it, and with words that tell a person what happened.
type crime struct {
	code, words string
	commit      func(w http.ResponseWriter, r *http.Request, id string)
}

// result is a good answer.
func result(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":{"content":[{"type":"text","text":"well"}]}}`
}

// says answers with a text.
func says(kind, format string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, id string) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, strings.ReplaceAll(format, "ID", id))
	}
}

// without sends a text again and again until the gateway has had enough, or the given number of times.
func without(end int, kind, begin, text string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, id string) {
		w.Header().Set("Content-Type", kind)
		_, err := io.WriteString(w, strings.ReplaceAll(begin, "ID", id))
		for i := 0; err == nil && r.Context().Err() == nil && i != end; i++ {
			_, err = io.WriteString(w, text)
		}
		if end > 0 {
			_, _ = io.WriteString(w, "data: "+result(id)+"\n\n")
		}
	}
}

const (
	asJSON   = "application/json"
	asEvents = "text/event-stream"
	remark   = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n"
)

// webCrimes are those of a server over HTTP. elsewhere is a URL of another origin.
func webCrimes(elsewhere string) map[string]crime {
	return map[string]crime{
		"bad JSON":           {"UPSTREAM_ERROR", "is none", says(asJSON, `{"jsonrpc":"2.0","id":ID,"result":{]}`)},
		"half of it":         {"UPSTREAM_ERROR", "is none", says(asJSON, `{"jsonrpc":"2.0","id":ID,"res`)},
		"cut off":            {"SERVER_UNAVAILABLE", "", cutOff},
		"wrong id":           {"UPSTREAM_ERROR", "another request", says(asJSON, result("123456"))},
		"wrong id in events": {"UPSTREAM_ERROR", "another request", says(asEvents, "data: "+result("123456")+"\n\n")},
		"id as text":         {"UPSTREAM_ERROR", "another request", says(asJSON, result(`"ID"`))},
		"batch":              {"UPSTREAM_ERROR", "is none", says(asJSON, "["+result("ID")+"]")},
		"result and error":   {"UPSTREAM_ERROR", "is none", says(asJSON, `{"jsonrpc":"2.0","id":ID,"result":{},"error":{"code":1,"message":"x"}}`)},
		"two results":        {"UPSTREAM_ERROR", "is none", says(asJSON, `{"jsonrpc":"2.0","id":ID,"result":{},"r\u0065sult":{"content":[]}}`)},
		"no object":          {"UPSTREAM_ERROR", "no object", says(asJSON, `{"jsonrpc":"2.0","id":ID,"result":7}`)},
		"bad UTF-8":          {"UPSTREAM_ERROR", "is none", says(asJSON, "{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"content\":\"\xff\"}}")},
		"deep":               {"UPSTREAM_ERROR", "is none", says(asJSON, `{"jsonrpc":"2.0","id":ID,"result":{"a":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}}`)},
		"HTML":               {"UPSTREAM_ERROR", "is none", says("text/html", "<html><body>Welcome!</body></html>")},
		"nothing":            {"UPSTREAM_ERROR", "is none", says(asJSON, "")},
		"bomb":               {"UPSTREAM_ERROR", "is compressed", bomb},
		"headers":            {"SERVER_UNAVAILABLE", "", manyHeaders},
		"trickle":            {"TIMEOUT", "in time", trickle},
		"silence":            {"TIMEOUT", "in time", silence},
		"endless body":       {"UPSTREAM_ERROR", "too big", without(-1, asJSON, `{"jsonrpc":"2.0","id":ID,"result":{"content":"`, strings.Repeat("x", 1<<16))},
		"endless event":      {"UPSTREAM_ERROR", "too big", without(-1, asEvents, "data: ", strings.Repeat("x", 1<<16))},
		"endless line":       {"UPSTREAM_ERROR", "too big", without(-1, asEvents, "", "data: "+strings.Repeat("x", 1<<16)+"\n")},
		"endless events":     {"UPSTREAM_ERROR", "without end", without(-1, asEvents, "", remark)},
		"endless comments":   {"UPSTREAM_ERROR", "too big", without(-1, asEvents, "", ": "+strings.Repeat("c", 1<<16)+"\n")},
		"many events":        {"", "well", without(1500, asEvents, "", remark)},
		"huge progress":      {"", "well", without(3, asEvents, "", strings.Replace(remark, "progress\":1}", "message\":\""+strings.Repeat("x", 3<<20)+"\"}", 1))},
		"events end":         {"SERVER_UNAVAILABLE", "before the answer", says(asEvents, remark)},
		"no message":         {"UPSTREAM_ERROR", "no message", says(asEvents, "data: hello\n\n")},
		"twice":              {"", "well", says(asEvents, "data: "+result("ID")+"\n\ndata: "+result("ID")+"\n\n")},
		"redirect loop":      {"SERVER_UNAVAILABLE", "without end", redirects("/again")},
		"redirect away":      {"SERVER_UNAVAILABLE", "another origin", redirects(elsewhere)},
		"500": {"SERVER_UNAVAILABLE", "HTTP 500", func(w http.ResponseWriter, _ *http.Request, _ string) {
			http.Error(w, "oops", http.StatusInternalServerError)
		}},
	}
}

func cutOff(w http.ResponseWriter, _ *http.Request, _ string) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"jsonrpc\":")
	_ = c.Close()
}

// bomb is a quarter of a gigabyte, made small.
func bomb(w http.ResponseWriter, _ *http.Request, id string) {
	w.Header().Set("Content-Type", asJSON)
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	defer z.Close()
	_, err := fmt.Fprintf(z, `{"jsonrpc":"2.0","id":%s,"result":{"content":"`, id)
	for i := 0; i < 256 && err == nil; i++ {
		_, err = z.Write(bytes.Repeat([]byte("x"), 1<<20))
	}
}

// manyHeaders is 10 MB of them.
func manyHeaders(w http.ResponseWriter, _ *http.Request, id string) {
	for i := range 10_000 {
		w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("h", 1000))
	}
	says(asJSON, result("ID"))(w, nil, id)
}

// silence begins a stream of events and leaves it at that.
func silence(w http.ResponseWriter, r *http.Request, _ string) {
	w.Header().Set("Content-Type", asEvents)
	_, _ = io.WriteString(w, remark)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// trickle sends a byte now and then.
func trickle(w http.ResponseWriter, r *http.Request, _ string) {
	w.Header().Set("Content-Type", asJSON)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, "{")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
		}
	}
}

func redirects(to string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, _ string) {
		http.Redirect(w, r, to, http.StatusTemporaryRedirect)
	}
}

// evilServer is an MCP server over HTTP, whose tools are crimes. A list, where there is one, is what it answers tools/list
// with.
func evilServer(t *testing.T, crimes map[string]crime, list func(w http.ResponseWriter, r *http.Request, id string)) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     json.RawMessage
			Method string
			Params struct{ Name string }
		}
		if json.NewDecoder(r.Body).Decode(&m) != nil || m.ID == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		id := string(m.ID)
		c, known := crimes[m.Params.Name]
		switch {
		case m.Method == "initialize":
			says(asJSON, `{"jsonrpc":"2.0","id":ID,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"w","version":"1"}}}`)(w, r, id)
		case m.Method == "tools/list" && list != nil:
			list(w, r, id)
		case m.Method == "tools/list":
			names := []string{}
			for name := range crimes {
				names = append(names, fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object"}}`, name))
			}
			says(asJSON, `{"jsonrpc":"2.0","id":ID,"result":{"tools":[`+strings.Join(names, ",")+`]}}`)(w, r, id)
		case m.Method == "tools/call" && known:
			c.commit(w, r, id)
		case m.Method == "tools/call":
			says(asJSON, result("ID"))(w, r, id)
		default:
			says(asJSON, `{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"no such method"}}`)(w, r, id)
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s
}

// lists answers tools/list with n tools of one schema, in one page.
func lists(n int, schema string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, id string) {
		w.Header().Set("Content-Type", asJSON)
		_, err := fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"t","inputSchema":%s}`, id, schema)
		for i := 1; i < n && err == nil; i++ {
			_, err = fmt.Fprintf(w, `,{"name":"t%d","inputSchema":%s}`, i, schema)
		}
		_, _ = io.WriteString(w, `]}}`)
	}
}

// pages answers tools/list with pages that go round in a circle.
func pages(w http.ResponseWriter, r *http.Request, id string) {
	says(asJSON, `{"jsonrpc":"2.0","id":ID,"result":{"tools":[],"nextCursor":"again"}}`)(w, r, id)
}

// strangers counts who comes to a place that nobody should.
func strangers(t *testing.T) (url string, came *atomic.Int64) {
	came = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came.Add(1) }))
	t.Cleanup(s.Close)
	return s.URL + "/mcp", came
}
