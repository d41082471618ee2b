package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// waitFlag is what --wait says: nothing, acked or drained.
type waitFlag string

// The two conditions to wait for.
const (
	waitAcked   waitFlag = "acked"
	waitDrained waitFlag = "drained"
)

// String, Set and Type make it a flag's value.
func (w *waitFlag) String() string { return string(*w) }

// Set takes one of the two conditions.
func (w *waitFlag) Set(s string) error {
	switch v := waitFlag(s); v {
	case waitAcked, waitDrained:
		*w = v
		return nil
	}
	return fmt.Errorf("want %s or %s", waitAcked, waitDrained)
}

// Type names the value in help texts.
func (w *waitFlag) Type() string { return "condition" }

// declare adds --wait, which may stand without a value.
func (w *waitFlag) declare(cmd *cobra.Command) {
	cmd.Flags().Var(w, "wait", "wait until every connected proxy serves the revision (acked), or has no call left on an older one (drained)")
	cmd.Flags().Lookup("wait").NoOptDefVal = string(waitAcked)
}

// condition is the flag on the wire.
func (w waitFlag) condition() gatehousev1.WaitCondition {
	if w == waitDrained {
		return gatehousev1.WaitCondition_WAIT_CONDITION_DRAINED
	}
	return gatehousev1.WaitCondition_WAIT_CONDITION_ACKED
}

// await waits for the fleet, and returns a line for each proxy that is not there when --timeout has passed. It ends early
// when all proxies have answered and some of them refused.
func (a *app) await(ctx context.Context, out *applied, w waitFlag) (missing []string, err error) {
	if w == "" {
		return nil, nil
	}
	client, err := a.admin()
	if err != nil {
		return nil, err
	}
	bounded, cancel := a.within(ctx)
	defer cancel()
	stream, err := client.Wait(bounded, &gatehousev1.WaitRequest{Revision: out.Revision, Condition: w.condition()})
	if err != nil {
		return nil, err
	}
	last, err := a.progress(stream, out.Revision)
	switch {
	case err == nil && len(last.GetProxies()) == 0:
		out.Warnings = append(out.Warnings, warning{Message: "no proxy is connected, so nobody serves this revision yet"})
		return nil, nil
	case err == nil && last.GetDone(): // all there
		return nil, nil
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && status.Code(err) != codes.DeadlineExceeded: // time being up is an answer, anything else is not
		return nil, err
	}
	return behind(last, out.Revision), nil
}

// progress reads the stream to its end, and shows on a terminal how far the fleet is.
func (a *app) progress(stream gatehousev1.AdminService_WaitClient, revision int64) (last *gatehousev1.WaitResponse, err error) {
	// A log file wants the outcome, not a line that is written over itself.
	live := isTerminal(a.io.Stderr)
	defer func() {
		if live && last != nil {
			fmt.Fprint(a.io.Stderr, "\r\x1b[K")
		}
	}()
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) && last != nil {
			return last, nil
		}
		if err != nil {
			return last, err
		}
		last = resp
		if live {
			fmt.Fprintf(a.io.Stderr, "\r\x1b[Krevision %d: %d of %d proxies", revision, resp.GetReached(), len(resp.GetProxies()))
		}
		// A proxy never takes what it has refused once, so when everybody has answered there is nothing to wait for.
		answered := int(resp.GetReached() + resp.GetRejected())
		if resp.GetDone() || resp.GetRejected() > 0 && answered >= len(resp.GetProxies()) {
			return last, nil
		}
	}
}

// behind says of each proxy that has not reached the revision where it stands.
func behind(last *gatehousev1.WaitResponse, revision int64) []string {
	var out []string
	for _, p := range last.GetProxies() {
		state := word(p.GetState(), "PROXY_STATE_")
		if state == "synced" {
			continue
		}
		line := fmt.Sprintf("proxy %s is %s: serves revision %d, not %d", p.GetId(), state, p.GetServing().GetRevision(), revision)
		if p.GetServing().GetRevision() == revision { // of --wait=drained
			line = fmt.Sprintf("proxy %s serves revision %d, but has calls under way on an older one", p.GetId(), revision)
		}
		if p.GetError() != "" {
			line += ": " + p.GetError()
		}
		out = append(out, line)
	}
	if len(out) == 0 {
		out = append(out, fmt.Sprintf("not all proxies reached revision %d in time", revision))
	}
	return out
}
