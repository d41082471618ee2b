package front

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// inline bounds a result, in bytes, that is copied behind its head so that both leave in one write; a larger one is
// written as it lies, where a second write costs less than the copy.
const inline = 16 << 10

// counted bounds a body, in bytes, whose length the HTTP server finds out itself, since it holds all of it back until the end.
const counted = 2 << 10

// writeReply answers a request with a result, whose bytes it does not look at. The length is told beforehand, so that the
// server sends the body in one piece instead of chunks.
func (h *Handler) writeReply(w http.ResponseWriter, x *exchange, result []byte) {
	x.out = mcp.AppendResponseHead(x.out[:0], x.msg.ID)
	header := w.Header()
	header["Content-Type"] = h.jsonType
	if n := len(x.out) + len(result) + len(mcp.ResponseTail); n > counted {
		header.Set("Content-Length", strconv.Itoa(n))
	}
	if len(result) <= inline {
		x.out = append(append(x.out, result...), mcp.ResponseTail...)
		h.write(w, x.out)
		return
	}
	rest := len(result) / piece * piece // where the last piece begins
	if rest > 0 && len(result)-rest <= inline {
		rest -= piece // a write of its own would cost far more than these few bytes
	}
	if h.write(w, x.out) && h.write(w, result[:rest]) {
		h.writeLast(w, result[rest:])
	}
}

// writeLast writes the last piece of a large result and what is behind it, in one piece where the server can.
func (h *Handler) writeLast(w http.ResponseWriter, text []byte) {
	both, ok := w.(interface {
		WriteBoth(p, tail []byte) (int, error)
	})
	if !ok {
		if h.write(w, text) {
			h.write(w, h.tail)
		}
		return
	}
	h.bounded(http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * h.conf.patience())))
	if _, err := both.WriteBoth(text, h.tail); err != nil {
		h.log.Debug("answer not delivered", "error", err)
	}
}

// writeError answers with an HTTP status and a JSON-RPC error; a nil id is one that could not be told.
func (h *Handler) writeError(w http.ResponseWriter, status int, id []byte, e *mcp.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	h.write(w, mcp.AppendError(nil, id, e))
}

// write says whether the text got away. Where it did not, the agent is gone, or takes nothing: until it is written, an
// answer holds its call's table and with it the upstreams of that table. There is nobody to tell but the log.
func (h *Handler) write(w http.ResponseWriter, text []byte) bool {
	c := http.NewResponseController(w)
	for len(text) > 0 {
		// Twice: what we answer before a body is read, net/http's server would send after it.
		h.bounded(c.SetWriteDeadline(time.Now().Add(2 * h.conf.patience())))
		n, err := w.Write(text[:min(len(text), piece)]) //nolint:gosec // the type is application/json, never a page
		if err != nil {
			h.log.Debug("answer not delivered", "error", err)
			return false
		}
		text = text[n:]
	}
	return true
}
