package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Bounds of a proposal. Author and message are kept with every revision and shown in lists, so they are short.
const (
	maxAuthor  = 256  // bytes
	maxMessage = 4096 // bytes
	attempts   = 5    // how often a change without a base is made in all, if another control plane is faster each time
	firstPause = 10 * time.Millisecond
)

// proposal is a change that somebody asks for.
type proposal struct {
	base       *int64 // nil: whatever is the newest
	dryRun     bool   // all of it but the commit
	author     string
	message    string
	rollbackOf int64 // 0: not a rollback
	edit       edit
}

// edit makes the wanted configuration of the newest one. It MUST NOT change what it is given, and is called again on
// another base when the first was overtaken.
type edit func(ctx context.Context, base *gatehousev1.Config) (*wanted, error)

// wanted is the configuration that a proposal would make, and what it changes.
type wanted struct {
	config   *gatehousev1.Config
	changes  []*gatehousev1.Change // sorted by object; none: there is nothing to commit
	warnings []*gatehousev1.Warning
}

// result is what became of a proposal. Both responses of the service are made of it.
type result struct {
	revision int64 // the newest one now, whether the proposal made it or not
	outcome  gatehousev1.Outcome
	changes  []*gatehousev1.Change
	warnings []*gatehousev1.Warning
}

// change is the transaction. Without a base it is made again on the newer revision when another control plane on the
// same store was faster; with one the caller decides.
func (s *Service) change(ctx context.Context, p proposal) (*result, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if !p.dryRun { // who only looks stands in nobody's way
		release, err := s.take(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	again := backoff.NewExponentialBackOff() // random, so that two control planes do not keep in step
	again.InitialInterval = firstPause
	for n := 1; ; n++ {
		res, err := s.attempt(ctx, p)
		if err == nil || p.base != nil || n == attempts || !errors.Is(err, store.ErrConflict) {
			return res, err
		}
		if err := pause(ctx, again.NextBackOff()); err != nil {
			return nil, err
		}
	}
}

// check refuses what the history should not hold.
func (p proposal) check() error {
	switch {
	case len(p.author) > maxAuthor:
		return &requestError{field: "author", message: fmt.Sprintf("has more than %d bytes", maxAuthor)}
	case len(p.message) > maxMessage:
		return &requestError{field: "message", message: fmt.Sprintf("has more than %d bytes", maxMessage)}
	}
	return nil
}

// take waits for the turn to commit. Within one process changes stand in line, so that none of them loses the compare
// and swap to its neighbour however many come at once.
func (s *Service) take(ctx context.Context) (release func(), err error) {
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for another change: %w", ctx.Err())
	}
}

// attempt is one run of the transaction: load, merge, validate, prove, commit.
func (s *Service) attempt(ctx context.Context, p proposal) (*result, error) {
	newest, err := s.store.Load(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("loading the newest revision: %w", err)
	}
	head := newest.Record.GetRevision()
	if p.base != nil && *p.base != head {
		return nil, &conflictError{base: *p.base, newest: head}
	}
	w, err := p.edit(ctx, newest.Config)
	if err != nil {
		return nil, err
	}
	next := &store.Revision{Config: w.config, Record: p.record(head+1, w.changes)}
	// Before it is known whether anything changes: a configuration that an older version took, and this one does not,
	// is worth an error even to whoever applies it unchanged.
	if err := s.prove(next, w); err != nil {
		return nil, err
	}
	res := &result{revision: head, changes: w.changes, warnings: w.warnings}
	switch {
	case len(w.changes) == 0:
		res.outcome = gatehousev1.Outcome_OUTCOME_UNCHANGED
		return res, nil
	case p.dryRun:
		res.outcome = gatehousev1.Outcome_OUTCOME_VALID
		return res, nil
	}
	return s.commit(ctx, next, res)
}

// record is what the history will hold of the proposal. The history is the audit of changes, so there is no other.
func (p proposal) record(revision int64, changes []*gatehousev1.Change) *gatehousev1.Revision {
	return &gatehousev1.Revision{
		Revision:   revision,
		Time:       timestamppb.Now(),
		Author:     p.author,
		Message:    p.message,
		RollbackOf: p.rollbackOf,
		Changes:    changes,
	}
}

// prove refuses a revision that any proxy would refuse, and adds what is worth a look to w. Validate names the fields
// of the manifest; Resolve builds the very table that proxies build, so that what it lets pass is what they take.
func (s *Service) prove(next *store.Revision, w *wanted) error {
	violations, warnings := config.Validate(next.Config)
	if len(violations) > 0 {
		return &config.InvalidError{Violations: violations}
	}
	w.warnings = append(w.warnings, warnings...)
	if _, err := config.Resolve(next.Record, next.Config, config.Identity(s.store.Identity())); err != nil {
		return &requestError{field: "put", message: err.Error()}
	}
	return nil
}

// commit stores next on top of res.revision, and does no more: proxies hear of it through the store's watch. Its
// ErrConflict says that a control plane elsewhere was faster.
func (s *Service) commit(ctx context.Context, next *store.Revision, res *result) (*result, error) {
	if err := s.store.Commit(ctx, res.revision, next); err != nil {
		return nil, fmt.Errorf("committing revision %d: %w", res.revision+1, err)
	}
	res.revision, res.outcome = next.Record.GetRevision(), gatehousev1.Outcome_OUTCOME_COMMITTED
	s.log.Info("revision committed", "revision", res.revision, "author", next.Record.GetAuthor(),
		"changes", len(res.changes), "rollback_of", next.Record.GetRollbackOf())
	return res, nil
}

// merge edits by an apply's puts, deletes and prune. What they mean is config's to say.
func merge(req *gatehousev1.ApplyRequest) edit {
	return func(_ context.Context, base *gatehousev1.Config) (*wanted, error) {
		next, changes, err := config.Merge(base, req)
		if err != nil {
			return nil, err
		}
		return &wanted{config: next, changes: changes}, nil
	}
}

// restore edits by taking the whole configuration of revision n. It is loaded for each attempt, since retention may
// remove it meanwhile.
func (s *Service) restore(n int64) edit {
	return func(ctx context.Context, base *gatehousev1.Config) (*wanted, error) {
		old, err := s.load(ctx, n)
		if err != nil {
			return nil, err
		}
		changes, details := config.Diff(base, old.Config)
		return &wanted{config: old.Config, changes: changes, warnings: revived(details)}, nil
	}
}

// revived warns of each key that works again because of a rollback: whoever revoked it may not expect that.
func revived(details []*gatehousev1.ObjectDiff) []*gatehousev1.Warning {
	var warnings []*gatehousev1.Warning
	for _, d := range details {
		key := d.GetAfter().GetCredential().GetApiKey()
		if key == nil || key.GetSha256() == d.GetBefore().GetCredential().GetApiKey().GetSha256() {
			continue
		}
		warnings = append(warnings, &gatehousev1.Warning{
			Object: config.Ref(d.GetAfter()), Field: "spec.apiKey.sha256",
			Message: "this key had been revoked or replaced and works again",
		})
	}
	return warnings
}

// pause waits for d, after a lost race.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting after a lost race: %w", ctx.Err())
	}
}
