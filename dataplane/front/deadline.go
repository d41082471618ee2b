package front

import (
	"net/http"
	"time"
)

// piece is how much of an answer, in bytes, an agent must take within twice Config.Patience; of the last one up to inline more.
const piece = 256 << 10

// arrive begins what an agent may make us wait for: its body, of which the HTTP server reads a part even of callers that
// were refused, and whatever is answered besides write. Tools may think for minutes, so neither bound spans a call. A
// request without a body has none to wait for, and must not: a deadline on reading would end it as if its agent were gone.
func (h *Handler) arrive(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	end := time.Now().Add(h.conf.patience())
	if r.ContentLength != 0 {
		h.bounded(c.SetReadDeadline(end))
	}
	h.bounded(c.SetWriteDeadline(end))
}

// arrived ends the wait for a body that is there: from here on, reading only tells whether the agent is still there.
func (h *Handler) arrived(w http.ResponseWriter) {
	h.bounded(http.NewResponseController(w).SetReadDeadline(time.Time{}))
}

// bounded notes a deadline that the connection does not know; the request goes on without.
func (h *Handler) bounded(err error) {
	if err != nil {
		h.log.Debug("connection without deadline", "error", err)
	}
}
