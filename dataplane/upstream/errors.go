package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// errNotExecuted says that a request did not reach the server, or that the server refused it unread because it no longer
// knows the session: repeating it on a new connection cannot execute it twice.
var errNotExecuted = errors.New("request was not executed")

// conduct is what a server did, worded to follow its name.
type conduct string

// Error returns the words.
func (c conduct) Error() string { return string(c) }

// unavailable wraps mcp.ErrUnavailable around what happened to a server, worded to follow its name. Nothing else is in
// the chain: a caller who found an *mcp.Error there would take it for the server's answer to the call.
func unavailable(server, what string) error {
	return fmt.Errorf("%w: server %s %s", mcp.ErrUnavailable, server, what)
}

// notExecuted is unavailable for a request that may be repeated elsewhere.
func notExecuted(server, what string) error {
	return fmt.Errorf("%w: server %s %s: %w", mcp.ErrUnavailable, server, what, errNotExecuted)
}

// unanswered is unavailable for a request that the server took.
func unanswered(server, what string) error {
	return fmt.Errorf("%w: server %s %s: %w", mcp.ErrUnavailable, server, what, mcp.ErrUnanswered)
}

// invalid wraps mcp.ErrInvalidResponse around what a server did, and what was found wrong with that. The cause is in the
// text alone, for the same reason as in unavailable.
func invalid(server, what string, cause error) error {
	return fmt.Errorf("%w: server %s %s: %s", mcp.ErrInvalidResponse, server, what, cause.Error())
}

// bare is an error's text without mcp.ErrUnavailable at its beginning, for a text that begins with it again.
func bare(err error) string {
	return strings.TrimPrefix(err.Error(), mcp.ErrUnavailable.Error()+": ")
}

// ended says why a wait ended with its context: the deadline passed, or the caller went away.
func ended(ctx context.Context, server string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: server %s gave no answer before the deadline", mcp.ErrTimeout, server)
	}
	return fmt.Errorf("calling server %s: %w", server, ctx.Err())
}

// plain words an error of the network or of the operating system without addresses and paths: agents may read it.
func plain(err error) string {
	if c, ok := errors.AsType[conduct](err); ok {
		return string(c)
	}
	if s, ok := errors.AsType[*statusError](err); ok {
		return s.Error()
	}
	if f, ok := errors.AsType[*h1.FaultError](err); ok {
		return f.Error()
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return "is not reachable: looking up its host: " + dns.Err
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		err = sys.Err
	}
	return "is not reachable: " + err.Error()
}

// UnknownMethod says whether a call came to nothing because the server refused the HTTP request as such, as legacy servers
// do with methods that they have never heard of. Of a method that MCP defines it says nothing.
func UnknownMethod(err error) bool {
	status, ok := errors.AsType[*statusError](err)
	if !ok {
		return false
	}
	switch status.status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}
