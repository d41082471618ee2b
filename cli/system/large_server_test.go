package system_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// largeEnv has this test's program serve large results on a pipe.
const largeEnv = "GATEHOUSE_TEST_LARGE"

// largeRequest is what a server of large results reads of a message.
type largeRequest struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Arguments struct {
			Size int64  `json:"size"` // of the result, about
			How  string `json:"how"`  // break: in the middle; long: without telling the length
		} `json:"arguments"`
	} `json:"params"`
}

const (
	largeHead = `{"content":[{"type":"text","text":"`
	largeTail = `"}],"isError":false}`
	largeLine = "0123456789abcdefghijklmnopqrstuvwxyz-\\u00e9\\n\\\"0123456789 \u00e9 abc "
)

// largeResult is a result of at least so many bytes.
func largeResult(size int64) (text io.Reader, length int64) {
	n := max(0, size-int64(len(largeHead)+len(largeTail)))/int64(len(largeLine)) + 1
	repeated := io.LimitReader(&repeating{text: strings.Repeat(largeLine, 1024)}, n*int64(len(largeLine)))
	return io.MultiReader(strings.NewReader(largeHead), repeated, strings.NewReader(largeTail)),
		n*int64(len(largeLine)) + int64(len(largeHead)+len(largeTail))
}

// repeating is a text without end.
type repeating struct {
	text string
	at   int
}

func (r *repeating) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// smallAnswer answers all but calls; empty for what has no answer.
func smallAnswer(m largeRequest, modern bool) string {
	var result string
	switch {
	case m.ID == nil:
		return ""
	case m.Method == "tools/list":
		result = `{"tools":[{"name":"large","inputSchema":{"type":"object"}}]`
	case m.Method == "initialize" && !modern:
		result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"prompts":{"listChanged":true}},"serverInfo":{"name":"large","version":"1"}`
	case m.Method == "server/discover" && modern:
		result = `{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}`
	default:
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`, m.ID)
	}
	if modern {
		result += `,"resultType":"complete"`
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}}`, m.ID, result)
}

// largeAnswer is the whole answer to a call, of which half is sent where it breaks off.
func largeAnswer(m largeRequest) (text io.Reader, length int64) {
	result, length := largeResult(m.Params.Arguments.Size)
	head := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":`, m.ID)
	text, length = io.MultiReader(strings.NewReader(head), result, strings.NewReader("}")), length+int64(len(head))+1
	if m.Params.Arguments.How == "break" {
		text = io.LimitReader(text, length/2)
	}
	return text, length
}

// largeLines serves large results on a pipe.
func largeLines(in io.Reader, out io.Writer) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var m largeRequest
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			return
		}
		var text io.Reader = strings.NewReader(smallAnswer(m, false))
		if m.Method == "tools/call" {
			text, _ = largeAnswer(m)
		}
		if _, err := io.Copy(out, text); err != nil || m.Params.Arguments.How == "break" {
			return
		}
		if _, err := io.WriteString(out, "\n"); err != nil {
			return
		}
	}
}

// startLarge serves large results over HTTP, as JSON or as events.
func startLarge(t *testing.T, modern, events bool) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m largeRequest
		if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&m) != nil {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if m.Method == "tools/call" {
			answerLarge(w, m, events)
			return
		}
		text := smallAnswer(m, modern)
		if text == "" {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/mcp"
}

func answerLarge(w http.ResponseWriter, m largeRequest, events bool) {
	text, length := largeAnswer(m)
	how := m.Params.Arguments.How
	switch {
	case events:
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "event: message\ndata: ")
	case how != "long":
		w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
		fallthrough
	default:
		w.Header().Set("Content-Type", "application/json")
	}
	if _, err := io.Copy(w, text); err != nil || how == "break" {
		panic(http.ErrAbortHandler)
	}
	if events {
		io.WriteString(w, "\n\n")
	}
}
