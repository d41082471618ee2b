// Package agent speaks MCP to a gateway from the other side: as the agents do. It calls one tool for an operator, and it
// bridges a client that speaks MCP on a pipe to a gateway that speaks HTTP. Results pass through it as bytes.
//
// It refuses to follow redirects, since they would carry the key to wherever they point.
package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
)

// maxBody bounds one answer.
const maxBody = 256 << 20

// errNoAnswer is a stream that ended too early.
var errNoAnswer = errors.New("the stream ended before the answer")

// Client reaches one gateway.
type Client struct {
	// URL is the gateway's MCP endpoint.
	URL string
	// Key is the API key; empty sends none.
	Key string
	// HTTP performs the requests; nil means a client that follows no redirects.
	HTTP *http.Client
}

// StatusError is an HTTP answer that carries no MCP message.
type StatusError struct {
	// Code is the HTTP status code.
	Code int
	// Message is the gateway's explanation, where it gave one.
	Message string
}

// Error names the status and what the gateway said.
func (e *StatusError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("gateway answered %d %s", e.Code, http.StatusText(e.Code))
	}
	return e.Message
}

// RPCError is a JSON-RPC error of the gateway.
type RPCError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Error is the gateway's message with its code.
func (e *RPCError) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

// CallTool calls one tool of the gateway and returns the result's bytes. The error is a *StatusError, an *RPCError, or
// what kept the gateway from being reached.
func (c *Client) CallTool(ctx context.Context, name string, args any) (json.RawMessage, error) {
	type params struct {
		Name      string `json:"name"`
		Arguments any    `json:"arguments"`
	}
	type request struct {
		Version string `json:"jsonrpc"`
		ID      int    `json:"id"`
		Method  string `json:"method"`
		Params  params `json:"params"`
	}
	body, err := json.Marshal(request{Version: "2.0", ID: 1, Method: "tools/call", Params: params{Name: name, Arguments: args}})
	if err != nil {
		return nil, fmt.Errorf("encoding arguments: %w", err)
	}
	answer, err := c.exchange(ctx, body)
	if err != nil {
		return nil, err
	}
	var m struct {
		Result json.RawMessage `json:"result"`
		Error  *RPCError       `json:"error"`
	}
	if err := json.Unmarshal(answer, &m); err != nil {
		return nil, fmt.Errorf("reading answer of %s: %w", c.URL, err)
	}
	if m.Error != nil {
		return nil, m.Error
	}
	return m.Result, nil
}

// exchange sends one request and returns the message that answers it.
func (c *Client) exchange(ctx context.Context, body []byte) ([]byte, error) {
	resp, err := c.post(ctx, body, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK { // a redirect as well
		return nil, statusError(resp)
	}
	// Notifications may come before the answer; nobody here wants them.
	var last []byte
	err = messages(resp, func(m []byte) error {
		last = bytes.Clone(m)
		return nil
	})
	if err == nil && last == nil {
		err = errNoAnswer
	}
	if err != nil {
		return nil, fmt.Errorf("reading answer of %s: %w", c.URL, err)
	}
	return last, nil
}

// post sends one message with the headers that every message needs, and those that are given.
func (c *Client) post(ctx context.Context, body []byte, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("reading gateway URL: %w", err)
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	c.authorize(req)
	return c.http().Do(req)
}

// authorize adds the key.
func (c *Client) authorize(req *http.Request) {
	if c.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.Key)
	}
}

// http is the client to use.
func (c *Client) http() *http.Client {
	if c.HTTP != nil {
		return c.HTTP
	}
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// statusError reads what the gateway says about a refusal: its JSON error, or the first line of the text.
func statusError(resp *http.Response) *StatusError {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return &StatusError{Code: resp.StatusCode}
	}
	var m struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &m) == nil && m.Error.Message != "" {
		return &StatusError{Code: resp.StatusCode, Message: m.Error.Message}
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return &StatusError{Code: resp.StatusCode, Message: line}
}
