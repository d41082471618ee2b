package front

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// events is the answer to one request as a stream of events, which begins with the first one. It implements mcp.Stream.
type events struct {
	h      *Handler
	w      http.ResponseWriter
	silent bool // the agent does not read events
	// principal and session say whose agent can be asked; no session: nobody can
	principal, session string

	mu     sync.Mutex // guards below; held during a write, since events must not mix
	begun  bool
	closed bool
	buf    []byte
}

// Notify implements mcp.Stream. After the answer nothing is sent any more.
func (e *events) Notify(method string, params []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.sendLocked(mcp.AppendNotification(nil, method, params))
	}
}

// Ask implements mcp.Stream: the request goes out as an event, the answer comes as a message of its own in the same
// session.
func (e *events) Ask(ctx context.Context, method string, params []byte) (*mcp.Reply, error) {
	if e.session == "" {
		return &mcp.Reply{Error: &mcp.Error{Code: mcp.CodeMethodNotFound, Message: "this client has no session to be asked in"}}, nil
	}
	number, answer := e.h.asks.begin(e.session)
	defer e.h.asks.end(e.session, number)
	id := e.h.sealAsk(e.principal, e.session, number)
	if id == nil || !e.ask(id, method, params) {
		return &mcp.Reply{Error: &mcp.Error{Code: mcp.CodeInternalError, Message: "the request is over"}}, nil
	}
	select {
	case reply := <-answer:
		return reply, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ask sends a request; false says that the stream is closed.
func (e *events) ask(id []byte, method string, params []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	return e.sendLocked(mcp.AppendRequestAs(nil, id, method, params))
}

// close keeps everything but the answer off the stream from now on, and says whether there is a stream.
func (e *events) close() (begun bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return e.begun
}

// send sends the answer.
func (e *events) send(message []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sendLocked(message)
}

// ping is a comment, which clients skip.
const ping = ": ping\n\n"

// ping sends a comment on a stream that has begun; false says that the agent is gone.
func (e *events) ping() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.begun || e.closed || e.writeLocked([]byte(ping))
}

// sendLocked sends one message as one event, at once, and says whether that went well.
func (e *events) sendLocked(message []byte) bool {
	if !e.begun {
		e.begun = true
		beginEvents(e.w.Header())
	}
	e.buf = appendEvent(e.buf[:0], message)
	return e.writeLocked(e.buf)
}

// appendEvent appends one message as one event; line breaks in the message, which would end the event's data, become
// spaces in place.
func appendEvent(dst, message []byte) []byte {
	flatten(message)
	return append(append(append(dst, eventHead...), message...), eventTail...)
}

// writeLocked writes text at once.
func (e *events) writeLocked(text []byte) bool {
	return e.h.write(e.w, text) && http.NewResponseController(e.w).Flush() == nil
}

const (
	eventStream = "text/event-stream"
	eventHead   = "event: message\ndata: "
	eventTail   = "\n\n"
	// retry tells legacy clients how long to wait, in milliseconds, before they ask again where a stream broke off.
	retry = "retry: 1000\n"
)

// prefersEvents says whether a client that takes a stream of events and a plain body alike names the stream first.
func prefersEvents(header http.Header) bool {
	for _, value := range header["Accept"] {
		if before, _, ok := strings.Cut(value, eventStream); ok {
			return !strings.Contains(before, "application/json")
		}
	}
	return false
}

// writeEvent answers a request with a result as the one event of a stream, for clients that prefer one. It is for small
// results; large ones are copied less in a body of their own.
func (h *Handler) writeEvent(w http.ResponseWriter, x *exchange, result []byte) {
	x.out = x.out[:0]
	if x.era == mcp.Legacy {
		x.out = append(x.out, retry...)
	}
	x.out = mcp.AppendResponseHead(append(x.out, eventHead...), x.msg.ID)
	start := len(x.out)
	x.out = append(x.out, result...)
	flatten(x.out[start:])
	x.out = append(append(x.out, mcp.ResponseTail...), eventTail...)
	h.writeWhole(w, x.out)
}

// writeErrorEvent is writeEvent for an error that answers a legacy request.
func (h *Handler) writeErrorEvent(w http.ResponseWriter, x *exchange, e *mcp.Error) {
	h.writeWhole(w, appendEvent([]byte(retry), mcp.AppendError(nil, x.msg.ID, e)))
}

// writeWhole writes all of a stream of events at once.
func (h *Handler) writeWhole(w http.ResponseWriter, events []byte) {
	beginEvents(w.Header())
	w.Header().Set("Content-Length", strconv.Itoa(len(events)))
	h.write(w, events)
}

// beginEvents sets the headers of a stream of events; nothing on the way may hold it back.
func beginEvents(header http.Header) {
	header.Set("Content-Type", eventStream)
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no")
}
