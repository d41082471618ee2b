package front

import (
	"errors"
	"io"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// full counts a refusal for a bound, and answers it: the caller has too much under way, and may come again. The body is a
// JSON-RPC error whose data reads as the gateway's other refusals do.
func (h *Handler) full(w http.ResponseWriter, x *exchange, name limit.Name, message string) {
	h.conf.refused(name)
	w.Header().Set("Retry-After", "1")
	h.writeError(w, http.StatusTooManyRequests, x.msg.ID, &mcp.Error{
		Code: http.StatusTooManyRequests, Message: message, Data: rateLimited(message),
	})
}

// rateLimited is the error that the gateway's own refusals hold, without the revision: none was asked.
func rateLimited(message string) []byte {
	data := mcp.AppendString([]byte(`{"error":{"code":`), string(mcp.RateLimited))
	return append(mcp.AppendString(append(data, `,"message":`...), message), '}', '}')
}

// openStream counts a stream of events of the principal's, until closeStream; where there are too many, it answers and
// returns false.
func (h *Handler) openStream(w http.ResponseWriter, x *exchange) bool {
	if x.call.Principal.Use.Streams.Take(1, int64(h.conf.maxStreams())) {
		return true
	}
	h.full(w, x, limit.Streams, "this caller has as many open streams as it may have; close one first")
	return false
}

// closeStream gives back what openStream took.
func (h *Handler) closeStream(p *table.Principal) { p.Use.Streams.Give(1) }

// tooManyHeaders says whether a request has more headers than it may have. Their bytes are bounded by the HTTP server, so
// one name with many values costs no more than that.
func (h *Handler) tooManyHeaders(r *http.Request) bool {
	if len(r.Header) <= h.conf.maxHeaderNames() {
		return false
	}
	h.conf.refused(limit.HeaderNames)
	return true
}

// errTooLarge says that a body was announced larger than it may be.
var errTooLarge = errors.New("the body is too large")

// errHeld says that a body is large and its principal has no room for it.
var errHeld = errors.New("the caller has too many large messages under way")

// readLarge reads the rest of a body that is larger than what an exchange keeps. What it may grow to is counted first: a
// body comes as slowly as its sender likes, and many of them at the same time.
func (h *Handler) readLarge(x *exchange, body io.Reader, size int64) error {
	n := h.conf.maxBody()
	if size > 0 {
		n = min(size, n)
	}
	if !x.call.Principal.Use.Held.Take(n, h.conf.maxHeld()) {
		return errHeld
	}
	x.held = n
	return x.readOn(body, int(h.conf.maxBody()))
}
