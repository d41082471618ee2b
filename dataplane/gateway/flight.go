package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// flight is one call under way. It belongs to the goroutine that performs the call, until end hands out the reply. It is
// not used again for another call: an upstream that was given up may hold on to parts of it for a moment.
type flight struct {
	g         *Gateway
	call      *Call
	direct    *Direct      // where an upstream is served as itself; call is a part of it
	table     *table.Table // pinned until the reply is closed; nil where there is none
	principal *table.Principal
	agent     *policy.Agent // nil until identify
	entry     record.Entry
	admitted  bool      // counted among the principal's calls
	held      int64     // counted for the answer, where that is large
	picked    [5][]byte // raw arguments, in the order of the tool's names for them

	reply  mcp.Reply
	inner  *mcp.Reply // the upstream's, while reply's bytes are its own
	buffer *[]byte    // from the pool, where reply's bytes are ours
}

// begin pins the live table and proves the caller in it: a key that the table does not hold any more is refused by the
// very revision that would have decided.
func (g *Gateway) begin(c *Call) (*flight, error) {
	t := g.config.Live.Acquire()
	if t == nil {
		return nil, auth.ErrNotReady
	}
	// One allocation holds all that the call needs, its record and its reply included.
	f := &flight{g: g, call: c, table: t, principal: c.Principal}
	f.start(t)
	if c.Authorization == "" {
		return f, nil
	}
	p, err := g.config.Auth.Identify(t, c.Authorization)
	if err != nil {
		f.entry.Principal = "" // what the front found is no longer proven
		f.entry.Outcome = record.Unauthenticated
		f.record()
		t.Release()
		return nil, err
	}
	f.principal = p
	return f, nil
}

// start fills in what is known of the call before anything is looked at.
func (f *flight) start(t *table.Table) {
	f.entry.Time = time.Now()
	f.entry.Method = f.call.Name
	f.entry.BytesIn = f.call.BytesIn
	f.entry.Args = f.call.Args
	if t != nil {
		f.entry.Revision = t.Revision
	}
	if f.principal != nil {
		f.entry.Principal = f.principal.Name
	}
}

// identify finds the policy that the call is decided on: of the agent that was asked for, else of the credential's only
// agent, else the fallback. The credential must list it, however it was found; an agent that is not listed and one that
// does not exist look alike.
func (f *flight) identify(asked string) error {
	f.entry.AgentAsked = asked
	name := asked
	if name == "" {
		name, _ = f.principal.Only()
	}
	// Resolve first, then ask the principal: the order cannot be told from outside, both refusals read the same.
	agent, d := f.table.Policies.Resolve(name)
	if agent == nil {
		return refuseIdentity(d.Code, name)
	}
	if !f.principal.MayActAs(agent.ID) {
		return refuseIdentity(mcp.InvalidAgentID, asked)
	}
	f.agent, f.entry.Agent = agent, agent.ID
	return nil
}

// decide takes the policy's decision over into the record, and says whether the call may go on.
func (f *flight) decide(d policy.Decision) bool {
	f.entry.Allow, f.entry.Rule = d.Allow, d.Rule
	return d.Allow
}

// upstream finds a server that policy has allowed: the first moment at which its existence matters.
func (f *flight) upstream(name string) (Upstream, *table.Server, error) {
	s := f.table.Server(name)
	switch {
	case s == nil:
		return nil, nil, refuse(mcp.ServerUnavailable, unavailable(name, "it is not defined"))
	case s.Spec.GetDisabled():
		return nil, nil, refuse(mcp.ServerUnavailable, unavailable(name, "it is disabled"))
	}
	u := f.g.config.Upstream(s)
	if u == nil { // a table that was swapped in without its upstreams being prepared: a defect, but no reason to panic
		return nil, nil, refuse(mcp.ServerUnavailable, unavailable(name, "it is not running"))
	}
	return u, s, nil
}

// end makes a reply of what the tool left behind, records the call, and counts it.
func (f *flight) end(err error) (*mcp.Reply, error) {
	if elsewhere, ok := errors.AsType[*ElsewhereError](err); ok { // the other proxy decides, and keeps the record
		f.close()
		return nil, elsewhere
	}
	if err != nil && !f.refused(err) {
		f.entry.Outcome = record.Cancelled
		f.record()
		f.close()
		return nil, err
	}
	f.entry.BytesOut = len(f.reply.Result)
	if f.reply.Spill != nil {
		f.entry.BytesOut = int(f.reply.Spill.Size())
	}
	f.record() // before the agent has the answer, so that no answer goes without its record
	f.reply.Free = f.close
	return &f.reply, nil
}

// refused turns a refusal into a result; false says that the agent went away and wants none.
func (f *flight) refused(err error) bool {
	var r *refusal
	switch {
	case errors.As(err, &r):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	default: // not foreseen, so not worded for agents: the log gets it, they get a code
		f.g.log.Error("call went wrong", "tool", f.call.Name, "server", f.entry.Server, "error", err)
		r = &refusal{code: mcp.Internal, message: "the gateway is at fault; its log says more"}
	}
	f.entry.Outcome = record.Outcome(r.code)
	if r.protocol != 0 {
		f.reply.Error = r.fault(f)
		return true
	}
	if f.direct != nil && f.direct.Name != methodToolsCall {
		f.reply.Error = r.fault(f)
		return true
	}
	f.answer(r.append(*f.memory(), f))
	return true
}

// record counts the call and hands its entry over. Records.Append may wait; the call waits with it rather than go unseen.
func (f *flight) record() {
	e := &f.entry
	e.Took = time.Since(e.Time)
	f.g.observers(f.table).Observe(e)
	if f.g.config.Records != nil {
		f.g.config.Records.Append(e)
	}
}

// close gives back what the reply's bytes stood in, and ends the call on its table.
func (f *flight) close() {
	f.inner.Close()
	f.inner = nil
	f.g.buffers.give(f.buffer)
	f.buffer = nil
	f.leave()
	f.table.Release()
}
