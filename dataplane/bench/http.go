package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
)

// endpoint is where and how something is called over HTTP.
type endpoint struct {
	addr, path, key string
	headers         string // more of them, each with its line end
	legacy          bool   // a session is opened, and its headers added
}

// head is the head of a request of a method; headers end it.
func (e endpoint) head(method string) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json, text/event-stream\r\n", method, e.path, e.addr)
	if e.key != "" {
		b = append(b, "Authorization: Bearer "+e.key+"\r\n"...)
	}
	return append(b, e.headers...)
}

func (e endpoint) post(body string) []byte {
	return fmt.Appendf(e.head("POST"), "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// connect opens a connection without a session.
func (e endpoint) connect() (*httpCaller, error) {
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		return nil, fmt.Errorf("opening a connection: %w", err)
	}
	return newCaller(conn, 1<<16), nil
}

func newCaller(conn net.Conn, buffer int) *httpCaller {
	return &httpCaller{conn: conn, in: bufio.NewReaderSize(conn, buffer)}
}

// open returns a caller that posts the bodies, one after the other and over again, and expects want within each answer.
func (e endpoint) open(want string, bodies ...string) (caller, error) {
	c, err := e.connect()
	if err != nil {
		return nil, err
	}
	if e.legacy {
		if e.headers, err = c.session(e); err != nil {
			c.close()
			return nil, err
		}
	}
	c.want = []byte(want)
	for _, body := range bodies {
		c.requests = append(c.requests, e.post(body))
	}
	return c, nil
}

// session opens a session on an endpoint and returns the headers of those who use it.
func (c *httpCaller) session(e endpoint) (headers string, err error) {
	if _, err := c.conn.Write(e.post(initialize)); err != nil {
		return "", fmt.Errorf("sending initialize: %w", err)
	}
	if err := c.readAnswer(); err != nil {
		return "", err
	}
	if !bytes.Contains(c.body, []byte(`"protocolVersion"`)) {
		return "", fmt.Errorf("initialize was answered %.200q", c.body)
	}
	headers = e.headers + "MCP-Protocol-Version: " + legacyVersion + "\r\n"
	if c.sessionID != "" {
		headers += "Mcp-Session-Id: " + c.sessionID + "\r\n"
	}
	return headers, nil
}

// httpCaller is a keep-alive HTTP client that costs little: the machine is shared with what it measures.
type httpCaller struct {
	conn      net.Conn
	in        *bufio.Reader
	requests  [][]byte
	next      int
	want      []byte
	body      []byte
	sessionID string
}

func (c *httpCaller) close() { c.conn.Close() }

func (c *httpCaller) call() error {
	request := c.requests[c.next]
	if c.next++; c.next == len(c.requests) {
		c.next = 0
	}
	if _, err := c.conn.Write(request); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if err := c.readAnswer(); err != nil {
		return err
	}
	if !bytes.Contains(c.body, c.want) {
		return fmt.Errorf("answer %.200q lacks %.200q", c.body, c.want)
	}
	return nil
}

// readAnswer reads one answer, whose body it keeps until the next one.
func (c *httpCaller) readAnswer() error {
	length, err := c.readHead()
	if err != nil {
		return err
	}
	if err := c.readBody(length); err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	return nil
}

// readHead reads status and headers; the length is -1 for a chunked answer.
func (c *httpCaller) readHead() (length int, err error) {
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, fmt.Errorf("reading an answer's head: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
			return 0, errors.New("answered " + string(line))
		}
		if len(line) == 0 {
			return length, nil
		}
		switch name, value, _ := bytes.Cut(line, []byte(": ")); {
		case bytes.EqualFold(name, []byte("content-length")):
			length, _ = strconv.Atoi(string(value))
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			length = -1
		case bytes.EqualFold(name, []byte("mcp-session-id")):
			c.sessionID = string(value)
		}
	}
}

func (c *httpCaller) readBody(length int) error {
	if length < 0 {
		return c.readChunks()
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	_, err := io.ReadFull(c.in, c.body)
	return err
}

func (c *httpCaller) readChunks() error {
	c.body = c.body[:0]
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return fmt.Errorf("reading a chunk's size: %w", err)
		}
		at := len(c.body)
		c.body = slices.Grow(c.body, int(n)+2)[:at+int(n)+2] // with its line end
		if _, err := io.ReadFull(c.in, c.body[at:]); err != nil {
			return err
		}
		c.body = c.body[:at+int(n)]
		if n == 0 {
			return nil
		}
	}
}
