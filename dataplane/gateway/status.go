package gateway

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// Status is what a proxy says of itself to agents, with --debug.
type Status struct {
	// Since is when the snapshot went into service; zero where that is not known.
	Since time.Time
	// LastAck is when the control plane was last told of a snapshot accepted; zero for never.
	LastAck time.Time
	// LastNack is when one was last refused; zero for never.
	LastNack time.Time
	// Warnings are for the operator, one sentence each.
	Warnings []string
}

// status is get_gateway_status. It shows the servers that the agent may use, and no others; it names no agents, no rules
// and no paths, since an agent that is turned against its operator reads it too.
func (f *flight) status(context.Context) error {
	v, err := f.pick(gatewayStatusArguments)
	if err != nil {
		return err
	}
	agent, err := text("agent_id", v[0])
	if err != nil {
		return err
	}
	if err := f.identify(agent); err != nil {
		return err
	}
	f.entry.Allow = true
	var s Status
	if f.g.config.Status != nil {
		s = f.g.config.Status()
	}
	f.answerJSON(f.appendStatus(nil, s))
	return nil
}

// appendStatus appends the document; times that never came are null.
func (f *flight) appendStatus(dst []byte, s Status) []byte {
	dst = fmt.Appendf(dst, `{"revision":%d,"digest":"%s"`, f.table.Revision, hex.EncodeToString(f.table.Position.GetDigest()))
	dst = appendTime(append(dst, `,"since":`...), s.Since)
	dst = appendTime(append(dst, `,"lastAck":`...), s.LastAck)
	dst = appendTime(append(dst, `,"lastNack":`...), s.LastNack)
	dst = f.appendStates(append(dst, `,"servers":`...))
	dst = append(dst, `,"warnings":[`...)
	for i, warning := range s.Warnings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = mcp.AppendString(dst, warning)
	}
	return append(dst, ']', '}')
}

// appendStates appends the servers that the agent may use, disabled ones too: here their state is what was asked for.
func (f *flight) appendStates(dst []byte) []byte {
	dst = append(dst, '[')
	first := true
	for _, s := range f.table.Servers {
		if !f.agent.Server(s.Name).Allow {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		state := f.g.state(s)
		dst = mcp.AppendString(append(dst, `{"name":`...), s.Name)
		dst = mcp.AppendString(append(dst, `,"state":`...), state.State)
		if state.Error != "" {
			dst = mcp.AppendString(append(dst, `,"error":`...), state.Error)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// state asks the upstream how it is doing, without waiting for it.
func (g *Gateway) state(s *table.Server) upstream.Status {
	if s.Spec.GetDisabled() {
		return upstream.Status{State: "disabled"}
	}
	if u := g.config.Upstream(s); u != nil {
		return u.Status()
	}
	return upstream.Status{State: "unavailable", Error: "it is not running"}
}

// appendTime appends a time in UTC, null for none.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, "null"...)
	}
	return append(t.UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
}
