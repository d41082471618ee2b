package front

import (
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// legacyOnly serves GET and DELETE, which need a session. DELETE ends it here at once; other
// proxies are not told, so there the id works until it is too old, for its own principal alone.
func (h *Handler) legacyOnly(w http.ResponseWriter, r *http.Request) {
	x := h.memory.take()
	defer h.memory.free(x)
	if !h.identify(w, r, x) {
		return
	}
	token := r.Header.Get(mcp.HeaderSession)
	// Mostly a person with a browser, who should read what this is.
	if r.Method == http.MethodGet && !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		w.Header().Set("Allow", http.MethodPost)
		h.refuse(w, http.StatusMethodNotAllowed, "this is an MCP endpoint: add its URL to an MCP client, or send MCP messages with POST")
		return
	}
	if token == "" {
		h.refuse(w, http.StatusBadRequest, "the header "+mcp.HeaderSession+" is missing")
		return
	}
	s, err := h.sessions.open(token, x.call.Principal)
	if err != nil {
		h.refuse(w, http.StatusNotFound, err.Error())
		return
	}
	if r.Method == http.MethodGet {
		h.stream(w, r, x, s.ID)
		return
	}
	h.sessions.end(s.ID)
	h.conf.endSession(s.ID)
	w.WriteHeader(http.StatusNoContent)
}

// stream keeps the event stream of a legacy session open. The gateway's own tools never change, so nothing is sent on it
// but comments; many clients want it all the same. It ends with the agent, its key, the session,
// or the process.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, x *exchange, session string) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no")
	tick := time.NewTicker(h.conf.pingEvery())
	defer tick.Stop()
	for h.ping(w) {
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-h.drained:
			return
		}
		if h.sessions.hasEnded(session) {
			return
		}
		if _, err := h.conf.Auth.Authenticate(x.call.Authorization); err != nil { // revoked or expired meanwhile
			return
		}
	}
}

// ping writes a comment at once. False means that the agent is gone.
func (h *Handler) ping(w http.ResponseWriter) bool {
	return h.write(w, []byte(": ping\n\n")) && http.NewResponseController(w).Flush() == nil
}
