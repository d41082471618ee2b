package upstream

import (
	"context"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// steadyTime is how long a stream of notifications must have lasted for its end to be nothing to worry about.
const steadyTime = time.Minute

// Hello is how a server introduced itself.
type Hello struct {
	// Era is the era that the server speaks.
	Era mcp.Era
	// Result is the raw result of initialize, or in the modern era of server/discover. It MUST NOT be changed.
	Result []byte
	// Mirrors says that calls have headers for the parameters that their tools mirror.
	Mirrors bool
}

// Hello returns what the server said in the handshake of the session that c selects, which is opened if need be. Its error
// is as for Call.
func (u *Upstream) Hello(ctx context.Context, c *mcp.Call) (*Hello, error) {
	s, err := u.acquire(c)
	if err != nil {
		return nil, err
	}
	defer u.release(s)
	l, err := s.ready(ctx)
	if err != nil {
		return nil, err
	}
	return &Hello{Era: l.hello.era, Result: l.hello.result, Mirrors: l.mirrorsParams()}, nil
}

// Notify sends a notification of an agent's, if the session that c selects is the agent's own, and one of the legacy era;
// elsewhere nobody is to hear it. Its error is as for Call.
func (u *Upstream) Notify(ctx context.Context, c *mcp.Call) error {
	if !u.isOwn(c) {
		return nil
	}
	s, err := u.acquire(c)
	if err != nil {
		return err
	}
	defer u.release(s)
	l, err := s.ready(ctx)
	if err != nil || l.hello.era == mcp.Modern {
		return err
	}
	return l.notify(ctx, c.Method, c.Params)
}

// Listen tells c's stream what the server says that belongs to no call, such as what changes, until ctx ends, whose error
// it then returns. In the modern era c is the request subscriptions/listen, whose stream may also end at the server's
// wish; that is nil, and a refusal an *mcp.Error. Other errors are as for Call.
func (u *Upstream) Listen(ctx context.Context, c *mcp.Call) error {
	s, err := u.acquire(c)
	if err != nil {
		return err
	}
	defer u.release(s)
	l, err := s.ready(ctx)
	if err != nil {
		return err
	}
	if l.hello.era == mcp.Modern {
		return u.subscribed(l.call(ctx, c))
	}
	defer l.attend(ctx, c)()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.lost():
		return unavailable(u.name, "was lost")
	}
}

// subscribed is how a subscription ended.
func (u *Upstream) subscribed(reply *mcp.Reply, err error) error {
	defer reply.Close()
	if err == nil && reply.Error != nil {
		return reply.Error
	}
	return err
}

// listen hears what a server has to say on its own until ctx ends, so that its catalogue stays true. Where it cannot,
// the catalogue's age limits how wrong it gets.
func (u *Upstream) listen(ctx context.Context, l *link) {
	switch {
	case l.hello.era == mcp.Legacy:
		if l.hello.talks {
			l.listen(ctx)
		}
	case l.hello.listChanged:
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
