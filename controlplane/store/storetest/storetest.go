// Package storetest is what every store has to pass. Nothing in it assumes that a store belongs to one process, so it
// judges a store of several control planes as well. It tests what store.Store promises and nothing more.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Open returns a new, empty store, and sees to it that it is closed when t ends.
type Open func(t *testing.T) store.Store

// patience bounds every wait, so that a lost update fails a test rather than hanging it.
const patience = 20 * time.Second

// trial is one promise put to one store.
type trial struct {
	*testing.T
	store.Store

	open Open
}

// Run judges the stores that open returns, one subtest for each promise, each with a store of its own.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, promise := range []struct {
		name string
		test func(c trial)
	}{
		{"EmptyStoreIsRevisionZero", trial.empty},
		{"IdentityIsRandomAndStays", trial.identity},
		{"RevisionsAreDense", trial.dense},
		{"CommitRefusesAnyOtherBase", trial.base},
		{"CommitRefusesEndedContext", trial.endedContext},
		{"OneOfManyOnABaseWins", trial.oneWins},
		{"NoUpdateIsLost", trial.noLostUpdate},
		{"LoadReturnsWhatWasCommitted", trial.roundTrip},
		{"LoadReturnsPrivateCopies", trial.private},
		{"LoadKnowsWhatIsNotThere", trial.notFound},
		{"LargeConfigsFit", trial.large},
		{"HistoryIsNewestFirst", trial.history},
		{"WatchCarriesTheNewestAtOnce", trial.watchAtOnce},
		{"WatchNeverMissesTheNewest", trial.watchNewest},
		{"SlowWatchHoldsNobodyUp", trial.watchSlow},
		{"WatchClosesWithItsContext", trial.watchEnds},
		{"BackupIsOfOneRevision", trial.backup},
		{"ClosedStoreRefuses", trial.closed},
	} {
		t.Run(promise.name, func(t *testing.T) { promise.test(trial{t, open(t), open}) })
	}
}

// Revision returns a revision whose one server is described by what, so that two of them differ and can be told apart.
func Revision(what string) *store.Revision {
	return &store.Revision{
		Record: &gatehousev1.Revision{
			Time:    timestamppb.New(time.Unix(1_700_000_000, 0)),
			Author:  "storetest",
			Message: what,
			Changes: []*gatehousev1.Change{{Object: "servers/demo", Action: gatehousev1.Action_ACTION_UPDATED}},
		},
		Config: &gatehousev1.Config{Objects: []*gatehousev1.Object{Server("demo", what), Server("still", "the same")}},
	}
}

// Server returns a server object of that name and description.
func Server(name, description string) *gatehousev1.Object {
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Server{Server: &gatehousev1.Server{
		Description: description,
		Transport:   &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{Command: "demo", Env: map[string]string{"A": "1", "B": "${B}"}}},
	}}}
}

// Commit makes n revisions on top of base, described by their numbers, and returns the newest.
func Commit(t *testing.T, s store.Store, base int64, n int) int64 {
	t.Helper()
	for range n {
		if err := s.Commit(t.Context(), base, Revision(fmt.Sprint(base+1))); err != nil {
			t.Fatalf("Commit(%d) = %v, want nil", base, err)
		}
		base++
	}
	return base
}

// load returns a revision that has to be there.
func (c trial) load(n int64) *store.Revision {
	c.Helper()
	r, err := c.Load(c.Context(), n)
	if err != nil {
		c.Fatalf("Load(%d) = %v, want nil", n, err)
	}
	return r
}

// wantEqual compares what Load(n) returned with what was committed.
func (c trial) wantEqual(n int64, got, want *store.Revision) {
	c.Helper()
	if !proto.Equal(got.Record, want.Record) {
		c.Errorf("Load(%d).Record = %v, want %v", n, got.Record, want.Record)
	}
	if !proto.Equal(got.Config, want.Config) {
		c.Errorf("Load(%d).Config differs from what was committed", n)
	}
}

// wantError compares errors as callers do, by what they wrap.
func (c trial) wantError(call string, got, want error) {
	c.Helper()
	if !errors.Is(got, want) {
		c.Errorf("%s = %v, want %v", call, got, want)
	}
}

// next returns the next number of a watch, or fails the test when none comes.
func (c trial) next(ch <-chan int64) (n int64, open bool) {
	c.Helper()
	select {
	case n, open = <-ch:
		return n, open
	case <-time.After(patience):
		c.Fatal("Watch: nothing came")
		return 0, false
	}
}

// until reads a watch up to number want, and fails the test where numbers do not grow.
func (c trial) until(ch <-chan int64, want int64) {
	c.Helper()
	for last := int64(-1); last < want; {
		n, open := c.next(ch)
		if !open || n <= last || n > want {
			c.Fatalf("Watch after %d = %d, %v, want a higher number up to %d", last, n, open, want)
		}
		last = n
	}
}

// watch begins a watch that has to begin.
func (c trial) watch(ctx context.Context) <-chan int64 {
	c.Helper()
	ch, err := c.Watch(ctx)
	if err != nil {
		c.Fatalf("Watch() = %v, want nil", err)
	}
	return ch
}
