package admin

import (
	"context"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Bounds of a History request.
const (
	defaultHistory = 100
	maxHistory     = 1000
)

// Get implements AdminService: objects of one revision. References such as ${VAR} come as they were written; nothing is
// resolved here, so nothing secret can be read that an operator did not write.
func (s *Service) Get(ctx context.Context, req *gatehousev1.GetRequest) (*gatehousev1.GetResponse, error) {
	if req.GetName() != "" && req.GetKind() == "" {
		return nil, s.status("get", &requestError{field: "kind", message: "is needed where a name is given"})
	}
	r, err := s.load(ctx, req.GetRevision())
	if err != nil {
		return nil, s.status("get", err)
	}
	objects, err := config.Select(r.Config, req.GetKind(), req.GetName())
	if err != nil {
		return nil, s.status("get", selecting(err))
	}
	return &gatehousev1.GetResponse{Revision: r.Record.GetRevision(), Objects: objects}, nil
}

// Diff implements AdminService: two revisions compared, or one with a proposed change. Who gains or loses which tool is
// decided by the code that enforces, over the tools that rules name and those that proxies have seen.
func (s *Service) Diff(ctx context.Context, req *gatehousev1.DiffRequest) (*gatehousev1.DiffResponse, error) {
	from, err := s.load(ctx, req.GetFrom())
	if err != nil {
		return nil, s.status("diff", err)
	}
	to, warnings, err := s.other(ctx, from, req)
	if err != nil {
		return nil, s.status("diff", err)
	}
	changes, details := config.Diff(from.Config, to.Config)
	return &gatehousev1.DiffResponse{
		From:     from.Record.GetRevision(),
		To:       to.Record.GetRevision(),
		Changes:  changes,
		Details:  details,
		Access:   config.Access(from.Config, to.Config, s.fleet.Catalogues()),
		Warnings: warnings,
	}, nil
}

// other is the second side of a diff: a revision, or what a proposed change would make of from, numbered 0. A proposed
// change is refused for all that an apply of it would be refused for.
func (s *Service) other(
	ctx context.Context, from *store.Revision, req *gatehousev1.DiffRequest,
) (*store.Revision, []*gatehousev1.Warning, error) {
	if req.GetProposed() == nil {
		to, err := s.load(ctx, req.GetTo())
		if err != nil {
			return nil, nil, err
		}
		_, warnings := config.Validate(to.Config)
		return to, warnings, nil
	}
	if req.GetTo() != 0 {
		return nil, nil, &requestError{field: "to", message: "must be 0 where a change is proposed"}
	}
	w, err := merge(req.GetProposed())(ctx, from.Config)
	if err != nil {
		return nil, nil, err
	}
	next := &store.Revision{Config: w.config, Record: &gatehousev1.Revision{}}
	if err := s.prove(next, w); err != nil {
		return nil, nil, err
	}
	return next, w.warnings, nil
}

// History implements AdminService: the records of revisions, newest first. Records are small, configurations are not
// read for it.
func (s *Service) History(ctx context.Context, req *gatehousev1.HistoryRequest) (*gatehousev1.HistoryResponse, error) {
	limit := int(req.GetLimit())
	switch {
	case limit < 0 || limit > maxHistory:
		return nil, s.status("history", &requestError{field: "limit", message: fmt.Sprintf("must be 0 to %d", maxHistory)})
	case req.GetBefore() < 0:
		return nil, s.status("history", &requestError{field: "before", message: "is negative"})
	case limit == 0:
		limit = defaultHistory
	}
	records, err := s.store.History(ctx, req.GetBefore(), limit)
	if err != nil {
		return nil, s.status("history", fmt.Errorf("reading the history: %w", err))
	}
	return &gatehousev1.HistoryResponse{Revisions: records}, nil
}

// Explain implements AdminService: one access, decided by the code that enforces. A denial is an answer, not an error.
func (s *Service) Explain(ctx context.Context, req *gatehousev1.ExplainRequest) (*gatehousev1.ExplainResponse, error) {
	if err := oneThing(req); err != nil {
		return nil, s.status("explain", err)
	}
	r, err := s.load(ctx, req.GetRevision())
	if err != nil {
		return nil, s.status("explain", err)
	}
	res := config.Explain(r.Config, req)
	res.Revision = r.Record.GetRevision()
	return res, nil
}

// oneThing refuses a question about several things at once: its one answer would pass for that of each.
func oneThing(req *gatehousev1.ExplainRequest) error {
	asked := 0
	for _, name := range []*string{req.Tool, req.Resource, req.Prompt} {
		if name != nil {
			asked++
		}
	}
	if asked > 1 {
		return &requestError{field: "tool", message: "ask about a tool, a resource or a prompt, one at a time"}
	}
	return nil
}

// Fleet implements AdminService: all proxies and where they stand. It reads memory alone, so it answers also while the
// store does not.
func (s *Service) Fleet(context.Context, *gatehousev1.FleetRequest) (*gatehousev1.FleetResponse, error) {
	return &gatehousev1.FleetResponse{Target: s.fleet.Target(), Proxies: s.fleet.Proxies()}, nil
}

// load reads revision n; 0 means the newest. Every byte of it is checked by the store.
func (s *Service) load(ctx context.Context, n int64) (*store.Revision, error) {
	if n < 0 {
		return nil, &requestError{field: "revision", message: "is negative"}
	}
	return s.store.Load(ctx, n) // its errors name the revision already
}
