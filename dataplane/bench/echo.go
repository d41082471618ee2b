package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// request is what the echo upstream reads of a message.
type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Arguments struct {
			Message json.RawMessage `json:"message"`
			amount
		} `json:"arguments"`
	} `json:"params"`
}

// echo is the upstream that does as little as it can.
type echo struct {
	list  string   // of its tools
	texts sync.Map // amount → []byte, the JSON string of such a text
}

// answer returns the response to a message, in parts, or nothing for a notification.
func (e *echo) answer(message []byte) [][]byte {
	var r request
	if json.Unmarshal(message, &r) != nil || r.ID == nil {
		return nil
	}
	switch args := r.Params.Arguments; {
	case r.Method == "tools/call" && args.Size > 0:
		return [][]byte{fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":`, r.ID), e.text(args.amount), []byte(`}]}}`)}
	case r.Method == "tools/call":
		return one(`{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":%s}]}}`, r.ID, args.Message)
	case r.Method == "tools/list":
		return one(`{"jsonrpc":"2.0","id":%s,"result":{"tools":%s}}`, r.ID, e.list)
	case r.Method == "initialize":
		return one(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"%s","capabilities":{"tools":{}},"serverInfo":{"name":"echo","version":"1"}}}`, r.ID, legacyVersion)
	}
	return one(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`, r.ID)
}

func one(format string, args ...any) [][]byte { return [][]byte{fmt.Appendf(nil, format, args...)} }

// text returns the JSON string of a text, made at its first use.
func (e *echo) text(of amount) []byte {
	if got, ok := e.texts.Load(of); ok {
		return got.([]byte) //nolint:forcetypeassert // it holds nothing else
	}
	quoted := []byte(`"` + of.text() + `"`)
	e.texts.Store(of, quoted)
	return quoted
}

// toolList is a list of n tools, the last of which is echo.
func toolList(n int) string {
	var b bytes.Buffer
	for i := 1; i <= n; i++ {
		name := "echo"
		if i < n {
			name = "tool_" + strconv.Itoa(i)
		}
		fmt.Fprintf(&b, `,{"name":%q,"description":"Returns its message, number %d of the tools of this server","inputSchema":{"type":"object","properties":{"message":{"type":"string","description":"what to return"},"size":{"type":"integer"}}}}`, name, i)
	}
	return "[" + b.String()[1:] + "]"
}

func serveEchoHTTP(addr string, tools int) error {
	e := &echo{list: toolList(tools)}
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		parts := e.answer(body)
		if parts == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		length := 0
		for _, part := range parts {
			length += len(part)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(length))
		for _, part := range parts {
			_, _ = w.Write(part) // the client notices a short answer
		}
	}))
}

func serveEchoStdio(in io.Reader, out io.Writer, tools int) error {
	e := &echo{list: toolList(tools)}
	lines := bufio.NewReaderSize(in, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a line: %w", err)
		}
		if parts := e.answer(line); parts != nil {
			if _, err := out.Write(append(bytes.Join(parts, nil), '\n')); err != nil {
				return fmt.Errorf("writing a line: %w", err)
			}
		}
	}
}
