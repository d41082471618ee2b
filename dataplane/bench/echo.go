package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
)

// request is what the echo upstream reads of a message.
type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Arguments struct {
			Message json.RawMessage `json:"message"`
		} `json:"arguments"`
	} `json:"params"`
}

// answer returns the response to a message, or nil for a notification.
func answer(message []byte, list string) []byte {
	var r request
	if json.Unmarshal(message, &r) != nil || r.ID == nil {
		return nil
	}
	switch r.Method {
	case "tools/call":
		return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":%s}]}}`, r.ID, r.Params.Arguments.Message)
	case "tools/list":
		return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":{"tools":%s}}`, r.ID, list)
	case "initialize":
		return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"echo","version":"1"}}}`, r.ID)
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`, r.ID)
}

// toolList is a list of n tools, the first of which is echo.
func toolList(n int) string {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		name := "echo"
		if i > 0 {
			fmt.Fprintf(&b, ",")
			name = "tool_" + strconv.Itoa(i)
		}
		fmt.Fprintf(&b, `{"name":%q,"description":"Returns its message, number %d of the tools of this server","inputSchema":{"type":"object","properties":{"message":{"type":"string","description":"what to return"}},"required":["message"]}}`, name, i)
	}
	b.WriteByte(']')
	return b.String()
}

func serveEchoHTTP(addr string, tools int) error {
	list := toolList(tools)
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b := answer(body, list)
		if b == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		_, _ = w.Write(b) // the client notices a short answer
	}
	return http.ListenAndServe(addr, http.HandlerFunc(handler))
}

func serveEchoStdio(in io.Reader, out io.Writer, tools int) error {
	list := toolList(tools)
	lines := bufio.NewReaderSize(in, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a line: %w", err)
		}
		if b := answer(line, list); b != nil {
			if _, err := out.Write(append(b, '\n')); err != nil {
				return fmt.Errorf("writing a line: %w", err)
			}
		}
	}
}

// serveReverse is the plain reverse proxy that the gateway is compared with.
func serveReverse(addr, to string) error {
	target, err := url.Parse(to)
	if err != nil {
		return fmt.Errorf("parsing %q: %w", to, err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
	}
	buffered := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // unbuffered, it cuts some large answers short
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}
	return http.ListenAndServe(addr, http.HandlerFunc(buffered))
}
