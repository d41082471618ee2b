package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// maxInFlight bounds the requests that a bridge has under way; more wait in the pipe.
const maxInFlight = 64

// metaVersion is where a modern request names its protocol version.
const metaVersion = "io.modelcontextprotocol/protocolVersion"

// bridge carries one client's messages, one a line, to a gateway, and the answers back.
type bridge struct {
	client *Client
	calls  sync.WaitGroup
	slots  chan struct{} // one for each request under way

	mu  sync.Mutex // guards out
	out io.Writer

	session session
	flights flights
}

// Bridge serves MCP on a pair of streams by a gateway, until in ends or ctx does. Each message goes as its own request;
// initialize goes alone, since what follows needs its answer. At the end it waits for what is under way and gives the
// session back.
func (c *Client) Bridge(ctx context.Context, in io.Reader, out io.Writer) error {
	b := &bridge{client: c, out: out, slots: make(chan struct{}, maxInFlight)}
	lines := make(chan []byte)
	ended := make(chan error, 1)
	go func() { ended <- readLines(ctx, in, lines) }() // a read of a pipe cannot be cancelled: it ends with the process
	listening, stop := context.WithCancel(ctx)
	defer b.session.listening.Wait()
	defer stop()
	defer b.calls.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			b.calls.Wait()
			return errors.Join(err, b.endSession(ctx))
		case line := <-lines:
			if err := b.take(ctx, line); err != nil {
				return err
			}
			b.listenOnce(listening)
		}
	}
}

// readLines hands lines over until the stream ends.
func readLines(ctx context.Context, in io.Reader, lines chan<- []byte) error {
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			select {
			case lines <- line:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading standard input: %w", err)
		}
	}
}

// take sends one message on its way. Only requests other than initialize run beside the others.
func (b *bridge) take(ctx context.Context, line []byte) error {
	m, err := mcp.ScanMessage(line)
	if err != nil { // also where no id could be read: then it is null (JSON-RPC 2.0 §5.1)
		return b.write(mcp.AppendError(nil, m.ID, asError(err)))
	}
	// Notifications keep their order, and a cancellation is not held up by the calls that fill the slots.
	if m.Method == "notifications/cancelled" && b.flights.cancel(m.Params) {
		return nil
	}
	if m.Kind != mcp.Request || m.Method == "initialize" {
		return b.forward(ctx, line, m)
	}
	return b.begin(ctx, line, m)
}

// begin sends a request beside the others, and returns once it has left.
func (b *bridge) begin(ctx context.Context, line []byte, m mcp.Message) error {
	select {
	case b.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	sent, once := make(chan struct{}), new(sync.Once)
	left := func() { once.Do(func() { close(sent) }) }
	flying, landed := b.flights.begin(ctx, m)
	traced := httptrace.WithClientTrace(flying, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { left() }})
	b.calls.Go(func() {
		defer func() { <-b.slots }()
		defer left()
		defer landed()
		// A client that no longer reads is noticed by the reader of its other end.
		_ = b.forward(traced, line, m)
	})
	<-sent // else a cancellation on the next line could overtake its request, and be lost
	return nil
}

// forward posts a message and writes what comes back. What goes wrong on the way answers a request; a notification has
// nobody to tell.
func (b *bridge) forward(ctx context.Context, line []byte, m mcp.Message) error {
	resp, err := b.post(ctx, line, m)
	if wasCancelled(ctx) {
		return nil // the client wants no answer any more
	}
	if err != nil {
		return b.refuse(m.ID, mcp.CodeInternalError, "gateway cannot be reached: "+err.Error())
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusAccepted {
		return nil
	}
	// A proxy in between answers in HTML or text; its status says more than the body.
	if resp.StatusCode != http.StatusOK && !isJSON(resp) {
		return b.refuse(m.ID, mcp.CodeInternalError, statusError(resp).Error())
	}
	return b.relay(ctx, resp, m)
}

// relay writes the messages of an answer. A body that is no JSON-RPC message is a refusal in other words.
func (b *bridge) relay(ctx context.Context, resp *http.Response, m mcp.Message) error {
	ended := m.Kind != mcp.Request
	err := messages(resp, func(message []byte) error {
		answer, err := mcp.ScanMessage(message)
		ended = ended || err != nil || answer.Kind == mcp.Response
		if err != nil {
			return b.refuse(m.ID, mcp.CodeInternalError, refusalText(resp.StatusCode, message))
		}
		if answer.Kind == mcp.Response && answer.ID == nil {
			return b.readdress(m, answer)
		}
		if m.Method == "initialize" && answer.Result != nil {
			b.session.set(resp.Header.Get(mcp.HeaderSession), versionOf(answer.Result))
		}
		return b.write(message)
	})
	if wasCancelled(ctx) {
		return nil
	}
	if err == nil && !ended { // such as a gateway that was stopped; the client would wait for ever
		err = errNoAnswer
	}
	if err != nil {
		return b.refuse(m.ID, mcp.CodeInternalError, "reading the gateway's answer: "+err.Error())
	}
	return nil
}

// readdress gives an error without an id to the request that it answers: a gateway that refuses before it has read the
// body, as it does an unknown key, knows no id, and a client waits for its own.
func (b *bridge) readdress(m mcp.Message, answer mcp.Message) error {
	e, err := mcp.ParseError(answer.Error)
	if err != nil {
		return b.refuse(m.ID, mcp.CodeInternalError, "reading the gateway's answer: "+err.Error())
	}
	return b.answer(m.ID, e)
}

// refusalText is the message of a JSON body that is no MCP message, such as that of a 401.
func refusalText(code int, body []byte) string {
	var m struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &m) == nil && m.Error.Message != "" {
		return m.Error.Message
	}
	return (&StatusError{Code: code}).Error()
}

// header is what HTTP needs besides the body: the session of the legacy era, the routing headers of the modern one.
func (b *bridge) header(m mcp.Message) http.Header {
	h := make(http.Header)
	version, name := routing(m.Params)
	if version == "" { // the legacy era
		if m.Method != "initialize" {
			b.session.write(h)
		}
		return h
	}
	h.Set(mcp.HeaderVersion, version)
	if m.Method != "" {
		h.Set(mcp.HeaderMethod, m.Method)
	}
	if name != "" {
		h.Set(mcp.HeaderName, mcp.EncodeHeader(name))
	}
	return h
}

// routing reads from params what the modern era repeats in headers: the version, and the tool, prompt or resource.
func routing(params []byte) (version, name string) {
	var p struct {
		Name string                     `json:"name"`
		URI  string                     `json:"uri"`
		Meta map[string]json.RawMessage `json:"_meta"`
	}
	if len(params) == 0 || json.Unmarshal(params, &p) != nil || json.Unmarshal(p.Meta[metaVersion], &version) != nil {
		return "", ""
	}
	if p.Name == "" {
		p.Name = p.URI
	}
	return version, p.Name
}

// versionOf is the protocol version that an answer to initialize settles on.
func versionOf(result []byte) string {
	var r struct {
		Version string `json:"protocolVersion"`
	}
	if json.Unmarshal(result, &r) != nil {
		return ""
	}
	return r.Version
}

// refuse answers a request with an error of the bridge's own.
func (b *bridge) refuse(id []byte, code int64, message string) error {
	return b.answer(id, &mcp.Error{Code: code, Message: message})
}

// answer ends a request with an error. Notifications have no id, and nobody waits for an answer to them.
func (b *bridge) answer(id []byte, e *mcp.Error) error {
	if id == nil {
		return nil
	}
	return b.write(mcp.AppendError(nil, id, e))
}

// write puts one message on one line.
func (b *bridge) write(message []byte) error {
	// A line is a message, so one that holds line breaks is put on one; others pass as the bytes they are.
	line := message
	if bytes.ContainsAny(message, "\r\n") {
		var compact bytes.Buffer
		if err := json.Compact(&compact, message); err != nil {
			return fmt.Errorf("writing answer: %w", err)
		}
		line = compact.Bytes()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.out.Write(append(bytes.Clone(line), '\n'))
	return err
}

// asError returns the *mcp.Error that the scanner's errors are.
func asError(err error) *mcp.Error {
	if e, ok := errors.AsType[*mcp.Error](err); ok {
		return e
	}
	return &mcp.Error{Code: mcp.CodeInvalidRequest, Message: err.Error()}
}
