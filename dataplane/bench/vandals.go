package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// vandalCallers is how many call the bad server, each without a pause.
	vandalCallers = 16
	// vandalPatience bounds a call of theirs, in milliseconds: some answers never end.
	vandalPatience = 500
	// writeBytes is how much of an answer is written at a time, as io.Copy does it.
	writeBytes = 32 << 10

	asJSON, asEvents = "application/json", "text/event-stream"
)

// crime is what a server does with a call instead of answering it well. It costs as little as it can, for it shares the
// processors with what is measured: what takes time to make is made once.
type crime func(w http.ResponseWriter, r *http.Request, id string)

// crimes are those of the bad server, by the tool that commits them.
func crimes() map[string]crime {
	const good = `{"jsonrpc":"2.0","id":ID,"result":{"content":[]}}`
	const remark = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n"
	block := strings.Repeat("x", writeBytes)
	return map[string]crime{
		"bad_json":         says(asJSON, `{"jsonrpc":"2.0","id":ID,"result":{]}`),
		"half_a_message":   says(asJSON, `{"jsonrpc":"2.0","id":ID,"res`),
		"half_an_event":    says(asEvents, `data: {"jsonrpc":"2.0","id":ID,"res`),
		"wrong_id":         says(asJSON, strings.ReplaceAll(good, "ID", "123456")),
		"batch":            says(asJSON, "["+good+"]"),
		"bad_utf8":         says(asJSON, "{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"content\":\"\xff\"}}"),
		"deep":             says(asJSON, `{"jsonrpc":"2.0","id":ID,"result":{"a":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}}`),
		"html":             says("text/html", "<html><body>Welcome!</body></html>"),
		"nothing":          says(asJSON, ""),
		"events_end":       says(asEvents, remark),
		"no_message":       says(asEvents, "data: hello\n\n"),
		"huge_body":        says(asJSON, `{"jsonrpc":"2.0","id":ID,"result":{"content":"`+strings.Repeat(block, 16<<20/writeBytes)+`"}}`),
		"endless_body":     endless(asJSON, `{"jsonrpc":"2.0","id":ID,"result":{"content":"`, block),
		"endless_event":    endless(asEvents, "data: ", block),
		"endless_line":     endless(asEvents, "", "data: "+block+"\n"),
		"endless_events":   endless(asEvents, "", remark),
		"endless_comments": endless(asEvents, "", ": "+block+"\n"),
		"bomb":             bomb(),
		"headers":          headers(),
		"trickle":          trickle,
		"silence":          endless(asEvents, remark, ""),
		"cut_off":          instead("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"jsonrpc\":"),
		"error_500": func(w http.ResponseWriter, _ *http.Request, _ string) {
			http.Error(w, "oops", http.StatusInternalServerError)
		},
		"redirect_loop": func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
		},
	}
}

func crimeNames() string {
	return strings.ReplaceAll(strings.Join(slices.Sorted(maps.Keys(crimes())), ", "), "_", " ")
}

// says answers with a text in which ID stands for the request's.
func says(kind, format string) crime {
	before, after, found := strings.Cut(format, "ID")
	return func(w http.ResponseWriter, _ *http.Request, id string) {
		w.Header().Set("Content-Type", kind)
		if !found {
			id = ""
		}
		for _, part := range []string{before, id, after} {
			if send(w, part) != nil {
				return
			}
		}
	}
}

// send writes a text piece by piece, until whoever reads it has had enough.
func send(w io.Writer, text string) error {
	for len(text) > 0 {
		n, err := io.WriteString(w, text[:min(len(text), writeBytes)])
		if err != nil {
			return err //nolint:wrapcheck // nobody is told
		}
		text = text[n:]
	}
	return nil
}

// endless begins an answer and then sends a text again and again, or nothing more, until the gateway has had enough.
func endless(kind, begin, text string) crime {
	return func(w http.ResponseWriter, r *http.Request, id string) {
		says(kind, begin)(w, r, id)
		_ = http.NewResponseController(w).Flush()
		if text == "" {
			<-r.Context().Done()
		}
		for err := error(nil); err == nil && r.Context().Err() == nil; {
			_, err = io.WriteString(w, text)
		}
	}
}

// bomb is a quarter of a gigabyte, made small: gzip takes one file behind the other for one (RFC 1952 §2.2).
func bomb() crime {
	mib := zipped(strings.Repeat("x", 1<<20))
	say := says(asJSON, zipped(`{"jsonrpc":"2.0","id":1,"result":{"content":"`)+strings.Repeat(mib, 256))
	return func(w http.ResponseWriter, r *http.Request, id string) {
		w.Header().Set("Content-Encoding", "gzip")
		say(w, r, id)
	}
}

func zipped(text string) string {
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text) // a Builder takes everything
	_ = z.Close()
	return b.String()
}

// headers are 10 MB of them.
func headers() crime {
	var text strings.Builder
	text.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "X-%d: %s\r\n", i, strings.Repeat("h", 1000))
	}
	text.WriteString("Content-Length: 2\r\n\r\n{}")
	return instead(text.String())
}

// instead sends a text instead of an answer, and closes the connection.
func instead(text string) crime {
	return func(w http.ResponseWriter, _ *http.Request, _ string) {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = send(c, text)
			c.Close()
		}
	}
}

// trickle sends a byte now and then.
func trickle(w http.ResponseWriter, r *http.Request, _ string) {
	w.Header().Set("Content-Type", asJSON)
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, "{")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(10 * time.Millisecond):
		case <-r.Context().Done():
		}
	}
}

// serveGarbage is an MCP server whose tools are crimes.
func serveGarbage(addr string) error {
	if err := yield(os.Getpid()); err != nil {
		return err
	}
	all := crimes()
	var tools []string
	for name := range all {
		tools = append(tools, fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object"}}`, name))
	}
	rest := &echo{list: "[" + strings.Join(tools, ",") + "]"}
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params struct {
				Name string `json:"name"`
			} `json:"params"`
		}
		if err != nil || json.Unmarshal(body, &m) != nil || m.ID == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		if commit := all[m.Params.Name]; m.Method == "tools/call" && commit != nil {
			commit(w, r, string(m.ID))
			return
		}
		w.Header().Set("Content-Type", asJSON)
		_, _ = w.Write(bytes.Join(rest.answer(body), nil))
	}))
}

// thrown counts the calls of the bad server that were answered, and those of them that the gateway refused as too many.
type thrown struct {
	Calls   int64 `json:"calls"`
	Limited int64 `json:"limited"`
}

func (t thrown) plus(more thrown) thrown {
	return thrown{t.Calls + more.Calls, t.Limited + more.Limited}
}

func (t thrown) less(from thrown) thrown {
	return thrown{t.Calls - from.Calls, t.Limited - from.Limited}
}

// serveVandals calls all tools of the bad server through a gateway, over and over again, and tells how many it has called.
func serveVandals(addr, gateway, key string) error {
	if err := yield(os.Getpid()); err != nil {
		return err
	}
	var bodies []string
	for _, name := range slices.Sorted(maps.Keys(crimes())) {
		bodies = append(bodies, toolsCall("execute_tool", fmt.Sprintf(`{"server":"garbage","tool":%q,"args":{},"timeout_ms":%d}`, name, vandalPatience)))
	}
	var calls, limited atomic.Int64
	e := endpoint{addr: gateway, path: "/mcp", key: key, legacy: true}
	for i := range vandalCallers {
		time.Sleep(vandalPatience * time.Millisecond / vandalCallers) // so that what never ends does not end for all at once
		at := i * len(bodies) / vandalCallers
		go e.vandalise(slices.Concat(bodies[at:], bodies[:at]), &calls, &limited)
	}
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(thrown{calls.Load(), limited.Load()})
	}))
}

// vandalise is one of the callers. One that the gateway has cut off comes again a moment later.
func (e endpoint) vandalise(bodies []string, calls, limited *atomic.Int64) {
	for {
		c, err := e.open("", bodies...)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		for err == nil {
			if err = c.call(); err == nil {
				calls.Add(1)
			}
			if h, ok := c.(*httpCaller); ok && err == nil && bytes.Contains(h.body, []byte("RATE_LIMITED")) {
				limited.Add(1)
			}
		}
		c.close()
	}
}
