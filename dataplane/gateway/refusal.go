package gateway

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// refusal is a call that gets no answer of an upstream, as the agent sees it. Its message is written for the agent and
// the person behind it.
type refusal struct {
	code     mcp.Code
	message  string
	upstream *mcp.Error // where the upstream answered with an error
	protocol int64      // where the request itself is wrong, the code of the JSON-RPC error that says so; else 0
	data     []byte     // of that error, raw; nil for our own
}

func (r *refusal) Error() string { return string(r.code) + ": " + r.message }

// refuse makes a refusal. Every refusal is made here or in fromAnswer, and becomes a result in one place, flight.refused.
func refuse(code mcp.Code, message string) error { return &refusal{code: code, message: message} }

// refuseArgument words what is wrong with an argument, so that a model can correct it.
func refuseArgument(format string, args ...any) error {
	return refuse(mcp.InvalidArgument, fmt.Sprintf(format, args...))
}

// refuseRequest refuses a request that is wrong as such, whatever it asks for.
func refuseRequest(code int64, format string, args ...any) error {
	return &refusal{code: mcp.InvalidArgument, message: fmt.Sprintf(format, args...), protocol: code}
}

// refuseIdentity words the refusals of identify. They say nothing of what else is configured.
func refuseIdentity(code mcp.Code, agent string) error {
	switch {
	case code == mcp.FallbackAgentNotInRules:
		return refuse(code, "no agent_id was given, and the agent that stands in for it is not configured")
	case code == mcp.NoFallbackConfigured:
		return refuse(code, "no agent_id was given, and no agent is configured to stand in for it")
	case agent == "":
		return refuse(code, "no agent_id was given, and this gateway asks for one")
	}
	return refuse(code, fmt.Sprintf("agent %.128q is not known, or this caller may not act as it", agent))
}

// fromUpstream says which code an error of a call to an upstream has; a refusal of ours stays what it is. It returns the
// context's error where the agent itself went away: ctx is the agent's, without the call's own deadline.
func fromUpstream(ctx context.Context, server string, err error) error {
	var (
		refused *refusal
		answer  *mcp.Error
	)
	switch {
	case errors.As(err, &refused):
		return refused
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, mcp.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return refuse(mcp.Timeout, fmt.Sprintf("server %q did not answer in time", server))
	case errors.Is(err, mcp.ErrBusy):
		return refuse(mcp.RateLimited, plain(err, mcp.ErrBusy))
	case errors.Is(err, mcp.ErrUnavailable):
		return refuse(mcp.ServerUnavailable, plain(err, mcp.ErrUnavailable))
	case errors.Is(err, mcp.ErrStorage):
		return refuse(mcp.Internal, plain(err, mcp.ErrStorage))
	case errors.Is(err, mcp.ErrInvalidResponse):
		return refuse(mcp.UpstreamError, plain(err, mcp.ErrInvalidResponse))
	case errors.As(err, &answer): // last: a server that refuses the handshake is unavailable
		return fromAnswer(server, answer)
	}
	return fmt.Errorf("calling server %q: %w", server, err)
}

// plain is an error without what its code says already. What upstreams put into errors has no values of references in it.
func plain(err, sentinel error) string {
	return strings.TrimPrefix(err.Error(), sentinel.Error()+": ")
}

// fromAnswer carries an upstream's JSON-RPC error to the agent: in words, and whole.
func fromAnswer(server string, answer *mcp.Error) error {
	message := fmt.Sprintf("server %q answered with error %d: %s", server, answer.Code, answer.Message)
	return &refusal{code: mcp.UpstreamError, message: message, upstream: answer}
}

// unavailable words why a server cannot be used. The agent is one that policy lets use it, so it may know.
func unavailable(server, why string) string {
	return fmt.Sprintf("server %.128q is unavailable: %s", server, why)
}

// append appends the refusal as a tool result: the same error as text and as structured content (contract §5).
func (r *refusal) append(dst []byte, f *flight) []byte {
	body := r.appendBody(nil, f)
	dst = append(dst, `{"isError":true,"content":[{"type":"text","text":"`...)
	dst = append(appendEscaped(dst, body), `"}],"structuredContent":`...)
	return append(append(dst, body...), '}')
}

// appendBody appends {"error":{…}}. The revision lets an operator look up the very rules that decided.
func (r *refusal) appendBody(dst []byte, f *flight) []byte {
	dst = mcp.AppendString(append(dst, `{"error":{"code":`...), string(r.code))
	dst = mcp.AppendString(append(dst, `,"message":`...), r.message)
	dst = strconv.AppendInt(append(dst, `,"revision":`...), f.table.Revision, 10)
	if f.g.config.Debug {
		dst = appendRule(append(dst, `,"rule":`...), f.entry.Rule)
	}
	if r.upstream != nil {
		dst = appendAnswer(append(dst, `,"upstream":`...), r.upstream)
	}
	return append(dst, '}', '}')
}

// appendRule appends a rule's path, null where no rule decided.
func appendRule(dst []byte, rule string) []byte {
	if rule == "" {
		return append(dst, "null"...)
	}
	return mcp.AppendString(dst, rule)
}

// appendAnswer appends an upstream's error with its data as it stands.
func appendAnswer(dst []byte, e *mcp.Error) []byte {
	dst = strconv.AppendInt(append(dst, `{"code":`...), e.Code, 10)
	dst = mcp.AppendString(append(dst, `,"message":`...), e.Message)
	if e.Data != nil {
		dst = append(append(dst, `,"data":`...), e.Data...)
	}
	return append(dst, '}')
}
