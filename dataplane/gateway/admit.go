package gateway

import (
	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// largeAnswer is the size, in bytes, from which on an answer is counted: smaller ones are bounded by the number of calls.
const largeAnswer = 64 << 10

// admit counts the call among those of its principal, until leave; where there are too many, it is a refusal. What lasts as
// long as its agent likes, a subscription, is no call: it is counted as an open stream, by the front.
func (f *flight) admit() error {
	if f.direct != nil && f.direct.Name == methodListen {
		return nil
	}
	if !f.principal.Use.Calls.Take(1, int64(f.g.config.MaxCalls)) {
		f.g.config.Refused(limit.Calls)
		return refuse(mcp.RateLimited, "this caller has as many calls under way as it may have; wait for one to end")
	}
	f.admitted = true
	return nil
}

// hold counts a large answer until its agent has taken it, since that may take as long as the agent likes. Where the
// principal has too much of that already, the answer is given back and the call refused.
func (f *flight) hold(reply *mcp.Reply) error {
	n := int64(len(reply.Result))
	if n < largeAnswer {
		return nil
	}
	if !f.principal.Use.Held.Take(n, f.g.config.MaxHeld) {
		reply.Close()
		f.g.config.Refused(limit.Held)
		return refuse(mcp.RateLimited, "this caller has too many large answers under way that it has not read; the tool has run")
	}
	f.held = n
	return nil
}

// leave gives back what admit and hold took.
func (f *flight) leave() {
	if f.held > 0 {
		f.principal.Use.Held.Give(f.held)
		f.held = 0
	}
	if f.admitted {
		f.principal.Use.Calls.Give(1)
		f.admitted = false
	}
}
