package front

import (
	"errors"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// endpoint is the path that serves the gateway's own tools.
const endpoint = "/mcp"

// ServeHTTP serves one request of an agent: POST carries messages in both eras, GET opens and DELETE ends what only the
// legacy era has, streams and sessions. Every answer but a stream is JSON, also those to requests that look for something
// else, such as the metadata of a login: clients show the message to a person.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.arrive(w, r)
	if h.tooManyHeaders(r) {
		h.refuse(w, http.StatusRequestHeaderFieldsTooLarge, "the request has more headers than this gateway takes")
		return
	}
	if !h.welcome(r) {
		h.refuse(w, http.StatusForbidden, "requests from other origins or to other host names are not served here")
		return
	}
	if r.URL.Path == endpoint {
		h.serveEndpoint(w, r, "")
		return
	}
	if server, ok := pathServer(r.URL.Path); ok {
		h.serveEndpoint(w, r, server)
		return
	}
	h.refuse(w, http.StatusNotFound, "nothing is served here; the MCP endpoint is "+endpoint)
}

// serveEndpoint serves the gateway's own tools, or a single server.
func (h *Handler) serveEndpoint(w http.ResponseWriter, r *http.Request, server string) {
	switch r.Method {
	case http.MethodPost:
		h.post(w, r, server)
		return
	case http.MethodGet, http.MethodDelete:
		if r.Header.Get(mcp.HeaderVersion) != mcp.ModernVersion {
			h.legacyOnly(w, r, server)
			return
		}
	}
	w.Header().Set("Allow", http.MethodPost)
	h.refuse(w, http.StatusMethodNotAllowed, "send MCP messages with POST")
}

// welcome says whether a request may come from where it says, and to the name it says. The first keeps web pages from
// using the gateway, the second keeps a page from making itself look local by DNS rebinding (streamable-http §Security).
func (h *Handler) welcome(r *http.Request) bool {
	probe := r
	if r.Method != http.MethodPost { // a GET opens a stream here, so it is checked as well
		probe = &http.Request{Method: http.MethodPost, URL: r.URL, Host: r.Host, Header: r.Header}
	}
	if h.origins.Check(probe) != nil {
		return false
	}
	// On loopback only this machine can be meant. Elsewhere the names that lead here are not ours to know.
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return !ok || !local.IP.IsLoopback() || IsLoopback(r.Host)
}

// IsLoopback says whether a host of an HTTP request, with or without a port, is a name that a machine has for itself. A
// name that only resolves to one is not: whoever owns it can change that.
func IsLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// identify fills in who sends the request; where that cannot be told, it answers and returns false. Each request proves
// its sender, in a session too: a session id is no proof. A call is identified once more in the table that it pins.
func (h *Handler) identify(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	x.call.Authorization = r.Header.Get("Authorization")
	x.call.Remote = r.RemoteAddr
	p, err := h.conf.Auth.Authenticate(x.call.Authorization)
	if err == nil {
		x.call.Principal = p
		return true
	}
	if !errors.Is(err, auth.ErrNotReady) { // a start is not an attempt to get in
		x.call.BytesIn = int(max(r.ContentLength, 0))
		h.conf.Gateway.Unauthenticated(&x.call, err)
	}
	h.refuseCaller(w, err)
	return false
}

// refuseCaller answers a request whose sender is not let in.
func (h *Handler) refuseCaller(w http.ResponseWriter, err error) {
	if errors.Is(err, auth.ErrNotReady) {
		w.Header().Set("Retry-After", "1")
		h.refuse(w, http.StatusServiceUnavailable, "the gateway is starting: "+err.Error())
		return
	}
	challenge := `Bearer realm="gatehouse"`
	if !errors.Is(err, auth.ErrNoKey) {
		challenge += `, error="invalid_token"`
	}
	w.Header().Set("Www-Authenticate", challenge)
	h.refuse(w, http.StatusUnauthorized, err.Error()+"; an operator makes one with: gwctl key create NAME --agent AGENT")
}

// refuse answers with an HTTP status and, as clients show it to people, a JSON-RPC error of the same number. Such codes
// are outside the range that JSON-RPC keeps for itself.
func (h *Handler) refuse(w http.ResponseWriter, status int, message string) {
	h.writeError(w, status, nil, &mcp.Error{Code: int64(status), Message: message})
}

// isJSON says whether a Content-Type is JSON, which a web page cannot send without asking first.
func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}
