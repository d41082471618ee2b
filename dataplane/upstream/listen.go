package upstream

import (
	"context"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// steadyTime is how long a stream of notifications must have lasted for its end to be nothing to worry about.
const steadyTime = time.Minute

// listen hears what a server has to say on its own until ctx ends, so that its catalogue stays true. Where it cannot,
// the catalogue's age limits how wrong it gets.
func (u *Upstream) listen(ctx context.Context, l *link) {
	switch {
	case !l.hello.listChanged:
	case l.hello.era == mcp.Legacy:
		l.listen(ctx)
	default:
		u.subscribe(ctx, l)
	}
}

// subscribe keeps a subscription open (MCP 2026-07-28, basic/utilities/subscriptions). Notifications come on its stream.
func (u *Upstream) subscribe(ctx context.Context, l *link) {
	// The call ends with the stream, and with ctx at the latest.
	pause := newPause()
	for ctx.Err() == nil {
		began := time.Now()
		reply, err := l.call(ctx, &mcp.Call{
			Method: "subscriptions/listen", Params: []byte(`{"notifications":{"toolsListChanged":true}}`),
		})
		if err == nil && reply.Error != nil {
			u.log.Debug("server refuses the subscription that it offers", "reason", reply.Error.Message)
			return
		}
		reply.Close()
		if time.Since(began) > steadyTime {
			pause.Reset()
		}
		if sleep(ctx, pause.NextBackOff()) {
			u.cat.invalidate() // what changed meanwhile was not heard
		}
	}
}
