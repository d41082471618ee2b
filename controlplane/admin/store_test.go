package admin_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-mcp/gatehouse/controlplane/admin"
	"github.com/gatehouse-mcp/gatehouse/controlplane/publish"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
	"github.com/gatehouse-mcp/gatehouse/controlplane/stream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// overtaken is a real store on which another control plane is faster, so many times.
type overtaken struct {
	store.Store
	times int
}

func (o *overtaken) Commit(ctx context.Context, base int64, r *store.Revision) error {
	if o.times > 0 {
		o.times--
		return store.ErrConflict
	}
	return o.Store.Commit(ctx, base, r)
}

// over makes a service on a store of its own, as it stands after change.
func over(t *testing.T, c bolt.Config, change func(store.Store) store.Store) *admin.Service {
	t.Helper()
	c.Dir = t.TempDir()
	s, err := bolt.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	fleet := stream.New(stream.Config{Frames: publish.New(publish.Config{Store: s})}).Fleet()
	return admin.New(admin.Config{Store: change(s), Fleet: fleet})
}

// put is an apply of one server.
func put(name string) *gatehousev1.ApplyRequest {
	return &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server(name, "true")}}
}

func TestALostRaceIsRunAgain(t *testing.T) {
	s := over(t, bolt.Config{}, func(s store.Store) store.Store { return &overtaken{Store: s, times: 3} })
	res, err := s.Apply(t.Context(), put("a"))
	if err != nil || res.GetRevision() != 1 {
		t.Errorf("Apply = %v, %v, want revision 1", res, err)
	}
}

func TestARaceThatIsAlwaysLostIsAborted(t *testing.T) {
	s := over(t, bolt.Config{}, func(s store.Store) store.Store { return &overtaken{Store: s, times: 1000} })
	_, err := s.Apply(t.Context(), put("a"))
	wantCode(t, "Apply", err, codes.Aborted)
}

func TestALostRaceWithABaseIsTheCallersToDecide(t *testing.T) {
	s := over(t, bolt.Config{}, func(s store.Store) store.Store { return &overtaken{Store: s, times: 1} })
	req := put("a")
	req.Base = proto.Int64(0)
	_, err := s.Apply(t.Context(), req)
	wantCode(t, "Apply", err, codes.Aborted)
}

func TestARevisionThatIsNotKeptIsOutOfRange(t *testing.T) {
	s := over(t, bolt.Config{Retention: 2}, func(s store.Store) store.Store { return s })
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if _, err := s.Apply(t.Context(), put(name)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Get(t.Context(), &gatehousev1.GetRequest{Revision: 1})
	wantCode(t, "Get", err, codes.OutOfRange)
	_, err = s.Rollback(t.Context(), &gatehousev1.RollbackRequest{Revision: 1})
	wantCode(t, "Rollback", err, codes.OutOfRange)
}

// damaged is a real store whose revision 1 does not have its digest any more.
type damaged struct{ store.Store }

func (d damaged) Load(ctx context.Context, n int64) (*store.Revision, error) {
	if n == 1 {
		return nil, store.ErrCorrupt
	}
	return d.Store.Load(ctx, n)
}

func TestDamageIsNeverServed(t *testing.T) {
	s := over(t, bolt.Config{}, func(s store.Store) store.Store { return damaged{s} })
	if _, err := s.Apply(t.Context(), put("a")); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(t.Context(), &gatehousev1.GetRequest{Revision: 1})
	wantCode(t, "Get", err, codes.DataLoss)
	if _, err := s.Get(t.Context(), &gatehousev1.GetRequest{}); err != nil {
		t.Errorf("Get of the newest = %v, want nil", err)
	}
}

func TestAnApplyWhoseCallerHasGoneCommitsNothing(t *testing.T) {
	s := over(t, bolt.Config{}, func(s store.Store) store.Store { return s })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Apply(ctx, put("a"))
	wantCode(t, "Apply", err, codes.Canceled)
	res, err := s.Get(t.Context(), &gatehousev1.GetRequest{})
	if err != nil || res.GetRevision() != 0 {
		t.Errorf("Get = %v, %v, want revision 0", res, err)
	}
}

// refusing is a real store that takes no commit any more.
type refusing struct {
	store.Store
	err error
}

func (r refusing) Commit(context.Context, int64, *store.Revision) error { return r.err }

func TestAStoreThatTakesNoCommitSaysWhetherToTryAgain(t *testing.T) {
	for err, want := range map[error]codes.Code{
		store.ErrFull: codes.ResourceExhausted, store.ErrInDoubt: codes.Unavailable, store.ErrClosed: codes.Unavailable,
	} {
		s := over(t, bolt.Config{}, func(s store.Store) store.Store { return refusing{s, err} })
		_, got := s.Apply(t.Context(), put("a"))
		wantCode(t, "Apply on a store with: "+err.Error(), got, want)
	}
}

func TestAMissingRevisionIsNamedOnce(t *testing.T) {
	s := over(t, bolt.Config{}, func(s store.Store) store.Store { return s })
	_, err := s.Rollback(t.Context(), &gatehousev1.RollbackRequest{Revision: 9})
	wantCode(t, "Rollback", err, codes.NotFound)
	if got := strings.Count(err.Error(), "revision 9"); got != 1 {
		t.Errorf("Rollback = %v, which names the revision %d times, want once", err, got)
	}
}
