package gateway

import (
	"context"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

// ElsewhereError is the error of Direct where what a request continues is in another proxy of the fleet: a call that is parked,
// or a process of a server's that keeps something for the agent. Where that proxy cannot be reached, the request is to be
// made again with Lost. It unwraps to the *mcp.Error that the agent then gets, if that is known.
type ElsewhereError struct {
	// Address is the other proxy's, as Config.Address names it there.
	Address string
	fault   *mcp.Error
}

// Error says where the call is.
func (e *ElsewhereError) Error() string {
	return "the request continues something in the proxy at " + e.Address
}

// Unwrap returns the error for the agent.
func (e *ElsewhereError) Unwrap() error {
	if e.fault == nil {
		return nil
	}
	return e.fault
}

// park performs a call that may have to wait for its agent. It runs on when the request that it came with is answered with
// a question, and keeps its table until it ends.
func (x *crossing) park(ctx context.Context) (*mcp.Reply, error) {
	s := x.table.Server(x.direct.Server)
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), parkedFor(s.MaxCallTimeout, x.questions.ParkTimeout))
	p := newParked(x, cancel)
	t, c := x.table, *x.c
	t.Retain()
	done := func() { cancel(); t.Release() }
	p.attach(x.relay) // before the call begins: a server may speak at once
	if !x.g.lot.begin(p, func() { p.run(within, x.u, &c) }, done) {
		done()
		return nil, x.full(errClosed)
	}
	return x.attend(ctx, p)
}

// attend waits for a call, which x's agent hears already, with the agent's request: for its end, which is the answer, or
// for a question, which is as well.
func (x *crossing) attend(ctx context.Context, p *parked) (*mcp.Reply, error) {
	asked, over := p.wait(ctx)
	p.attach(nil)
	switch {
	case over:
		x.g.lot.forget(p)
		return x.outcome(p.reply, p.err)
	case asked == nil:
		x.g.lot.abandon(p, 0)
		<-p.over
		return nil, ctx.Err()
	}
	return x.postpone(p, asked)
}

// postpone puts what the server asked to the agent, while the call waits.
func (x *crossing) postpone(p *parked, asked []*inquiry) (*mcp.Reply, error) {
	if p.round >= maxRounds {
		x.g.lot.abandon(p, partingTime)
		return nil, x.tooManyRounds()
	}
	name, err := x.g.lot.park(p)
	if err != nil {
		x.g.lot.abandon(p, partingTime)
		return nil, x.full(err)
	}
	// The name is of use for as long as the call is there; the seal need only not open for ever.
	expires := x.entry.Time.Add(p.timeout + replayTime)
	return question(asked, x.sealed(seal.Value{
		Kind: seal.KindCall, Expires: expires, Address: x.g.config.Address, Payload: []byte(name),
	})), nil
}

// unpark continues the call that the agent's requestState names. One that is gone is never made again: whether it was
// executed, and how far, is not known here.
func (x *crossing) unpark(ctx context.Context, v seal.Value) (*mcp.Reply, error) {
	gone := &refusal{code: mcp.Timeout, protocol: mcp.CodeInvalidParams, message: fmt.Sprintf(
		"the call of server %q that this answers is over: it was not answered in time, was answered already, or its proxy was restarted; it was not made again",
		x.direct.Server)}
	if v.Address != x.g.config.Address {
		if !x.direct.Lost {
			return nil, &ElsewhereError{Address: v.Address, fault: gone.fault(x.flight)}
		}
		return nil, gone
	}
	x.c.Profile, x.c.Alone = x.profile, true
	p := x.g.lot.take(string(v.Payload))
	if p == nil {
		return nil, gone
	}
	p.attach(x.relay) // before the server has its answer, and speaks again
	left, err := p.give(x.responses)
	if err != nil || len(left) > 0 {
		p.attach(nil)
	}
	switch {
	case err != nil: // the agent may still do better
		if _, again := x.postpone(p, p.waiting()); again != nil {
			return nil, again
		}
		return nil, err
	case len(left) > 0:
		return x.postpone(p, left)
	}
	return x.attend(ctx, p)
}
