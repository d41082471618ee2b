package front

import (
	"context"
	"errors"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// errCancelled is the cause where an agent cancelled a call by notifications/cancelled.
var errCancelled = errors.New("the agent cancelled the call")

// calls are the requests under way that a notifications/cancelled can reach: those of legacy sessions over HTTP, and all
// on a pipe. The zero value is ready. What it holds is bounded by the requests under way.
type calls struct {
	mu sync.Mutex // guards below
	m  map[callKey]context.CancelCauseFunc
}

// callKey names a request: by the session, so that no agent reaches another's, and the id as it stands, since 1 and "1"
// are two ids. Sessions belong to one principal each.
type callKey struct{ session, id string }

// begin makes a request under way cancellable; done ends it. An id that is under way already is not: the protocol forbids
// it, and whom a cancellation means would be open.
func (c *calls) begin(ctx context.Context, session string, id []byte) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	key := callKey{session, string(id)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.m[key]; taken {
		return ctx, func() { cancel(nil) }
	}
	if c.m == nil {
		c.m = make(map[callKey]context.CancelCauseFunc)
	}
	c.m[key] = cancel
	return ctx, func() {
		c.mu.Lock()
		delete(c.m, key)
		c.mu.Unlock()
		cancel(nil)
	}
}

// cancel cancels the request that the params of a notifications/cancelled name, and says whether it may be under way
// elsewhere: it is not here in that session.
func (c *calls) cancel(session string, params []byte) (elsewhere bool) {
	var v [1][]byte
	if _, err := mcp.Pick(params, []string{"requestId"}, v[:]); err != nil || v[0] == nil {
		return false // a receiver ignores cancellations that it does not understand (basic/utilities/cancellation)
	}
	c.mu.Lock()
	cancel := c.m[callKey{session, string(v[0])}]
	c.mu.Unlock()
	if cancel != nil {
		cancel(errCancelled)
	}
	return cancel == nil
}
