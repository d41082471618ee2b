package agent

import (
	"context"
	"errors"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// errCancelled is the cause where the client has cancelled a request.
var errCancelled = errors.New("the client cancelled the request")

// wasCancelled says whether a request's client has cancelled it.
func wasCancelled(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errCancelled) }

// flights are the modern requests under way. On a pipe a modern client cancels by a notification; over HTTP it does so by
// going away (MCP 2026-07-28, basic/utilities/cancellation), so the bridge does that in its place. The zero value is ready.
type flights struct {
	mu sync.Mutex // guards below
	m  map[string]context.CancelCauseFunc
}

// begin makes a request cancellable, if it is of the modern era; landed ends it.
func (f *flights) begin(ctx context.Context, m mcp.Message) (_ context.Context, landed func()) {
	if version, _ := routing(m.Params); version == "" {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	id := string(m.ID)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.m == nil {
		f.m = make(map[string]context.CancelCauseFunc)
	}
	f.m[id] = cancel
	return ctx, func() {
		f.mu.Lock()
		delete(f.m, id)
		f.mu.Unlock()
		cancel(nil)
	}
}

// cancel cancels the request that the params of a notifications/cancelled name; false says that it is none of these.
func (f *flights) cancel(params []byte) bool {
	var v [1][]byte
	if params == nil {
		return false
	}
	if _, err := mcp.Pick(params, []string{"requestId"}, v[:]); err != nil || v[0] == nil {
		return false
	}
	f.mu.Lock()
	cancel := f.m[string(v[0])]
	f.mu.Unlock()
	if cancel == nil {
		return false
	}
	cancel(errCancelled)
	return true
}
