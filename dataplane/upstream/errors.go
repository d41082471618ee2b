package upstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// errNotExecuted says that a request did not reach the server, or that the server refused it unread because it no longer
// knows the session: repeating it on a new connection cannot execute it twice.
var errNotExecuted = errors.New("request was not executed")

// unavailable wraps mcp.ErrUnavailable around what happened to a server.
func unavailable(server string, what any) error {
	if err, ok := what.(error); ok {
		return fmt.Errorf("%w: server %s: %w", mcp.ErrUnavailable, server, err)
	}
	return fmt.Errorf("%w: server %s %v", mcp.ErrUnavailable, server, what)
}

// notExecuted is unavailable for a request that may be repeated elsewhere.
func notExecuted(server, what string) error {
	return fmt.Errorf("%w: server %s %s: %w", mcp.ErrUnavailable, server, what, errNotExecuted)
}

// invalid wraps mcp.ErrInvalidResponse around what a server did.
func invalid(server string, format string, args ...any) error {
	return fmt.Errorf("%w: server %s %w", mcp.ErrInvalidResponse, server, fmt.Errorf(format, args...))
}

// ended says why a wait ended with its context: the deadline passed, or the caller went away.
func ended(ctx context.Context, server string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: server %s gave no answer before the deadline", mcp.ErrTimeout, server)
	}
	return fmt.Errorf("calling server %s: %w", server, ctx.Err())
}
