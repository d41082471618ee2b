package up

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// applyTimeout bounds one exchange with the control plane of the same process.
const applyTimeout = 10 * time.Second

// syncer keeps the configuration in step with the files.
type syncer struct {
	client  gatehousev1.AdminServiceClient
	sources sources
	key     *key // nil with --auth none, unless an earlier run made one
	notes   io.Writer
}

// applied is what one apply came to.
type applied struct {
	resp    *gatehousev1.ApplyResponse
	servers []string
	agents  []string
}

// apply makes the configuration what the set says. Objects of owner "up" that it does not hold go; all others stay.
func (s *syncer) apply(ctx context.Context, set *manifest.Set, message string) (*applied, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	out := &applied{servers: []string{}, agents: []string{}} // empty lists in JSON, not null
	for _, o := range set.Objects {
		switch o.GetSpec().(type) {
		case *gatehousev1.Object_Server:
			out.servers = append(out.servers, o.GetName())
		case *gatehousev1.Object_Policy:
			out.agents = append(out.agents, o.GetName())
		}
	}
	// The key travels with the files: an agent that appears may be acted as from the same revision on.
	put, err := s.withKey(ctx, set.Objects, out.agents)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Apply(ctx, &gatehousev1.ApplyRequest{
		Put: put, Prune: gatehousev1.Prune_PRUNE_OWNED, Owner: owner, Author: "gwctl up", Message: message,
	})
	if err != nil {
		return nil, located(set, err)
	}
	out.resp = resp
	s.warn(set, resp)
	return out, nil
}

// withKey adds the credential, so that it follows the agents of the files. One that was revoked stays away.
func (s *syncer) withKey(ctx context.Context, objects []*gatehousev1.Object, agents []string) ([]*gatehousev1.Object, error) {
	if s.key == nil {
		return objects, nil
	}
	gone, err := s.key.revoked(ctx, s.client)
	if err != nil || gone {
		return objects, err
	}
	o := s.key.object(agents)
	s.key.given = o != nil
	if o == nil {
		return objects, nil
	}
	// Clipped, so that the set's own list is not written to.
	return append(slices.Clip(objects), o), nil
}

// warn writes what deserves a look, with its place in the files.
func (s *syncer) warn(set *manifest.Set, resp *gatehousev1.ApplyResponse) {
	for _, w := range set.Warnings {
		fmt.Fprintln(s.notes, "warning:", w.Error())
	}
	for _, w := range resp.GetWarnings() {
		fmt.Fprintln(s.notes, "warning:", set.Locate(w.GetObject(), w.GetField(), w.GetMessage()).Error())
	}
}

// tell writes what an edit changed.
func (s *syncer) tell(resp *gatehousev1.ApplyResponse) {
	if resp.GetOutcome() != gatehousev1.Outcome_OUTCOME_COMMITTED {
		return
	}
	var parts []string
	for _, c := range resp.GetChanges() {
		parts = append(parts, strings.ToLower(strings.TrimPrefix(c.GetAction().String(), "ACTION_"))+" "+c.GetObject())
	}
	fmt.Fprintf(s.notes, "revision %d: %s\n", resp.GetRevision(), strings.Join(parts, ", "))
}

// reload reads the files again. What is wrong in one source is told, and the others go on without it.
func (s *syncer) reload(ctx context.Context) {
	set, err := s.sources.read()
	if err != nil {
		fmt.Fprintf(s.notes, "%v\nthe running configuration of that file stays\n", err)
	}
	if set == nil { // one source contradicts another: nothing can be applied
		return
	}
	done, err := s.apply(ctx, set, "files changed")
	switch {
	case err == nil:
		s.tell(done.resp)
	case ctx.Err() == nil:
		fmt.Fprintf(s.notes, "%v\nthe running configuration stays\n", err)
	}
}

// located leads the fields that a refusal names back to the files.
func located(set *manifest.Set, err error) error {
	s, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("applying files: %w", err)
	}
	var problems manifest.Problems
	for _, d := range s.Details() {
		bad, ok := d.(*errdetails.BadRequest)
		if !ok {
			continue
		}
		for _, v := range bad.GetFieldViolations() {
			object, field, _ := strings.Cut(v.GetField(), "#")
			problems = append(problems, set.Locate(object, field, v.GetDescription()))
		}
	}
	if len(problems) == 0 {
		return fmt.Errorf("applying files: %w", err)
	}
	return problems
}
