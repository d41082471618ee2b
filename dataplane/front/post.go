package front

import (
	"context"
	"errors"
	"net/http"
	"os"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

// post takes one message. The order is that of trust: nothing of a stranger's body is read, and nothing of a body is
// believed before all of it was checked.
//
//	identify       -- whose key is it: 401
//	aim            -- for a single server: which one, and as which agent
//	readBody       -- type and size, one read into memory that is used again: 415, 413, 429
//	scan           -- exactly one message, nothing ambiguous: 400 and -32700 or -32600
//	postEra        -- do headers and body agree on an era: 400 and -32020, -32022 or -32602
//	resume         -- legacy: is the session the caller's: 404
//	goHome         -- is it another proxy's: the rest is done there
//	request        -- serve, then write head, result and tail
//	  or notify    -- 202
func (h *Handler) post(w http.ResponseWriter, r *http.Request, server string) {
	x := h.memory.take()
	defer h.memory.free(x)
	if !h.identify(w, r, x) || !h.aim(w, r, x, server) || !h.readBody(w, r, x) {
		return
	}
	if err := x.scan(); err != nil {
		h.writeError(w, http.StatusBadRequest, x.msg.ID, asError(err))
		return
	}
	if x.msg.Kind == mcp.Response {
		h.answered(w, r, x)
		return
	}
	if err := x.postEra(r.Header); err != nil {
		h.writeError(w, http.StatusBadRequest, x.msg.ID, err)
		return
	}
	if !h.resume(w, r, x) || h.goHome(w, r, x) {
		return
	}
	if x.msg.Kind == mcp.Notification {
		if h.notify(x) {
			h.broadcast(r, x, "")
		}
		h.passOn(r.Context(), x)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	h.request(w, r, x)
}

// aim makes a request one to a single server, unless server is empty; where the header is ambiguous, it answers and
// returns false.
func (h *Handler) aim(w http.ResponseWriter, r *http.Request, x *exchange, server string) bool {
	if server == "" {
		return true
	}
	agent, err := single(r.Header, HeaderAgent)
	if err != nil {
		h.writeError(w, http.StatusBadRequest, nil, err)
		return false
	}
	x.direct = &gateway.Direct{Server: server, Agent: agent, Header: r.Header}
	return true
}

// readBody reads the body once; where it is not to be had, it answers and returns false.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	if !isJSON(r.Header.Get("Content-Type")) {
		h.refuse(w, http.StatusUnsupportedMediaType, "send Content-Type: application/json")
		return false
	}
	if r.ContentLength > h.conf.maxBody() { // not a byte of it is read
		h.refuseBody(w, x, errTooLarge)
		return false
	}
	body := r.Body
	if r.ContentLength < 0 {
		body = http.MaxBytesReader(w, body, h.conf.maxBody())
	}
	err := x.readAll(body, r.ContentLength)
	if errors.Is(err, errMore) {
		err = h.readLarge(x, body, r.ContentLength)
	}
	if err == nil {
		h.arrived(w)
		return true
	}
	h.refuseBody(w, x, err)
	return false
}

// refuseBody answers a request whose body was not read.
func (h *Handler) refuseBody(w http.ResponseWriter, x *exchange, err error) {
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge, errors.Is(err, errTooLarge):
		h.conf.refused(limit.Body)
		h.refuse(w, http.StatusRequestEntityTooLarge, "the message is larger than this gateway takes")
	case errors.Is(err, errHeld):
		h.full(w, x, limit.Held, err.Error())
	case errors.Is(err, os.ErrDeadlineExceeded):
		h.conf.refused(limit.Patience)
		h.refuse(w, http.StatusRequestTimeout, "the body took too long")
	default:
		h.refuse(w, http.StatusBadRequest, "the body ended early")
	}
}

// postEra decides the era. The modern era has no notifications from agents over HTTP, and no rule for their headers, so
// those are not held against it.
func (x *exchange) postEra(header http.Header) *mcp.Error {
	if x.msg.Kind == mcp.Notification && header.Get(mcp.HeaderVersion) == mcp.ModernVersion {
		x.era = mcp.Modern
		return nil
	}
	return x.headerEra(header)
}

// resume finds the session of a legacy request that names one. A modern request has none, whatever its headers say, and
// initialize begins a new one. Where the session is not the caller's, it answers 404, upon which clients initialize anew.
func (h *Handler) resume(w http.ResponseWriter, r *http.Request, x *exchange) bool {
	token := r.Header.Get(mcp.HeaderSession)
	if token == "" || x.era == mcp.Modern || x.msg.Method == "initialize" {
		return true
	}
	if err := h.sessions.open(&x.session, token, x.call.Principal); err != nil {
		h.writeError(w, http.StatusNotFound, x.msg.ID, &mcp.Error{Code: http.StatusNotFound, Message: err.Error()})
		return false
	}
	x.call.Session = x.session.ID
	return true
}

// notify takes a notification. Only a cancellation means anything to us, and only within a session: without one, the
// caller cannot be told from others with the same key. It says whether it may mean a call that is with another proxy.
func (h *Handler) notify(x *exchange) (elsewhere bool) {
	if x.msg.Method != "notifications/cancelled" || x.call.Session == "" {
		return false
	}
	return h.calls.cancel(x.call.Session, x.msg.Params)
}

// request answers a request.
func (h *Handler) request(w http.ResponseWriter, r *http.Request, x *exchange) {
	ctx, done := h.requestContext(r, x)
	defer done()
	if x.direct != nil {
		h.direct(ctx, w, r, x)
		return
	}
	reply, err := h.serve(ctx, x)
	defer reply.Close() //nolint:staticcheck // a nil reply may be closed
	h.answer(ctx, w, r, x, reply, err)
}

// answered takes an agent's answer to a request of an upstream's; the request's id says which proxy asked it. Where none was
// asked there is nothing to answer, and that is no fault either: the request may be over.
func (h *Handler) answered(w http.ResponseWriter, r *http.Request, x *exchange) {
	if !h.resume(w, r, x) {
		return
	}
	if number, address, ok := h.openAsk(x); ok {
		h.peers.expect(address) // it has asked, so it is back, and nobody else knows what to do with the answer
		if h.forward(w, r, x, address) {
			return
		}
		h.asks.answer(x.call.Session, number, &x.msg)
	}
	w.WriteHeader(http.StatusAccepted)
}

// answer writes the answer to a request, whose reply the caller closes.
func (h *Handler) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, x *exchange, reply *mcp.Reply, err error) {
	if err != nil {
		if r.Context().Err() == nil || !errors.Is(err, context.Canceled) { // else nobody is there to read an answer
			h.requestFailed(ctx, w, x, err)
		}
		return
	}
	if reply.Error != nil {
		h.writeError(w, errorStatus(x.era, reply.Error.Code), x.msg.ID, reply.Error)
		return
	}
	if x.msg.Method == "initialize" {
		h.begin(w, x, reply.Result)
	}
	if reply.Spill != nil {
		h.writeSpill(w, x, reply.Spill)
		return
	}
	if x.direct != nil && len(reply.Result) <= inline && prefersEvents(r.Header) {
		h.writeEvent(w, x, reply.Result)
		return
	}
	h.writeReply(w, x, reply.Result)
}

// requestContext returns the context of a request: a modern agent cancels by going away (streamable-http §Cancellation),
// a legacy agent may go away and only notifications/cancelled cancels (2025-11-25, basic/utilities/cancellation).
func (h *Handler) requestContext(r *http.Request, x *exchange) (ctx context.Context, done func()) {
	if x.era == mcp.Modern {
		return r.Context(), func() {}
	}
	ctx = context.WithoutCancel(r.Context())
	if x.call.Session == "" || x.msg.Method != "tools/call" && x.direct == nil {
		return ctx, func() {}
	}
	return h.calls.begin(ctx, x.call.Session, x.msg.ID)
}

// begin gives a legacy agent the session that its initialize asked for. What was negotiated and declared travels in the
// session's id, so that any proxy knows it; only what is too large for that is remembered.
func (h *Handler) begin(w http.ResponseWriter, x *exchange, result []byte) {
	var v [1][]byte
	if _, err := mcp.Pick(result, []string{"protocolVersion"}, v[:]); err != nil {
		return // not an initialize result of ours
	}
	version, _ := mcp.Unquote(v[0])
	f := seal.Facts{Version: version, Home: h.conf.Address}
	if x.direct != nil && x.direct.Client != nil {
		f.Capabilities, f.Info = x.direct.Client.Capabilities, x.direct.Client.Info
	}
	token := h.sessions.start(f, x.call.Principal)
	if token == "" {
		return
	}
	w.Header().Set(mcp.HeaderSession, token)
	if len(f.Capabilities)+len(f.Info) > seal.MaxDeclaration && h.sessions.open(&x.session, token, x.call.Principal) == nil {
		h.clients.declare(x.session.ID, x.direct.Client)
	}
}

// requestFailed answers a request that has no reply: a caller that is not let in any more as at the door, everything else
// as a JSON-RPC error.
func (h *Handler) requestFailed(ctx context.Context, w http.ResponseWriter, x *exchange, err error) {
	if isRefusal(err) {
		h.refuseCaller(w, err)
		return
	}
	e := h.asFault(ctx, x, err)
	h.writeError(w, errorStatus(x.era, e.Code), x.msg.ID, e)
}

// asFault turns the error of a request that ran under ctx into what the agent is told; what is ours to mend goes to the
// log.
func (h *Handler) asFault(ctx context.Context, x *exchange, err error) *mcp.Error {
	if e, ok := errors.AsType[*mcp.Error](err); ok {
		return e
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errCancelled):
		return &mcp.Error{Code: mcp.CodeInternalError, Message: errCancelled.Error()}
	case cause != nil:
		return &mcp.Error{Code: mcp.CodeInternalError, Message: "the gateway is going down and has cancelled the call"}
	}
	h.log.Error("request not answered", "method", x.msg.Method, "error", err)
	return &mcp.Error{Code: mcp.CodeInternalError, Message: "the gateway could not answer; its log says why"}
}

// isRefusal says whether the caller lost its access between the front's look and the gateway's.
func isRefusal(err error) bool {
	return errors.Is(err, auth.ErrNoKey) || errors.Is(err, auth.ErrWrongKey) ||
		errors.Is(err, auth.ErrExpired) || errors.Is(err, auth.ErrNotReady)
}

// asError returns the *mcp.Error that scan's errors are.
func asError(err error) *mcp.Error {
	if e, ok := errors.AsType[*mcp.Error](err); ok {
		return e
	}
	return &mcp.Error{Code: mcp.CodeInternalError, Message: err.Error()}
}

// errorStatus is the HTTP status of a JSON-RPC error that answers a request (2026-07-28, streamable-http §Errors). The
// legacy era knows 200 alone here, and both take it for what the specification gives no status.
func errorStatus(era mcp.Era, code int64) int {
	switch {
	case era == mcp.Legacy:
		return http.StatusOK
	case code == mcp.CodeMethodNotFound:
		return http.StatusNotFound
	case code <= mcp.CodeHeaderMismatch && code >= mcp.CodeUnsupportedVersion:
		return http.StatusBadRequest
	}
	return http.StatusOK
}
