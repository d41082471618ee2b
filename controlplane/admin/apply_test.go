package admin_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestApplyMakesOneRevisionOfAllChanges(t *testing.T) {
	p := start(t)
	res := p.apply(server("b", "true"), server("a", "true"), policy("backend", "a"))
	if res.GetRevision() != 1 || res.GetOutcome() != gatehousev1.Outcome_OUTCOME_COMMITTED {
		t.Errorf("Apply = revision %d %v, want 1 committed", res.GetRevision(), res.GetOutcome())
	}
	const want = "created policies/backend, created servers/a, created servers/b"
	if got := changes(res.GetChanges()); got != want {
		t.Errorf("changes = %q, want %q", got, want)
	}
	if got := p.names(1); got != "a b backend" {
		t.Errorf("objects = %q, want %q", got, "a b backend")
	}
}

func TestApplyOfWhatIsThereMakesNoRevision(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"))
	res := p.apply(server("a", "true"))
	if res.GetRevision() != 1 || res.GetOutcome() != gatehousev1.Outcome_OUTCOME_UNCHANGED || len(res.GetChanges()) > 0 {
		t.Errorf("Apply = %v, want revision 1 unchanged", res)
	}
}

func TestDryRunCommitsNothing(t *testing.T) {
	p := start(t)
	res, err := p.Apply(t.Context(), &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("a", "true")}, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if res.GetRevision() != 0 || res.GetOutcome() != gatehousev1.Outcome_OUTCOME_VALID {
		t.Errorf("Apply = %v, want revision 0 valid", res)
	}
	if got := p.names(0); got != "" {
		t.Errorf("objects = %q, want none", got)
	}
}

func TestDryRunRefusesWhatApplyRefuses(t *testing.T) {
	p := start(t)
	_, err := p.Apply(t.Context(), &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("a", "")}, DryRun: true})
	wantCode(t, "Apply", err, codes.InvalidArgument)
}

func TestApplyRefusesStaleBase(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"))
	p.apply(server("b", "true"))
	req := &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("c", "true")}, Base: proto.Int64(1)}
	_, err := p.Apply(t.Context(), req)
	wantCode(t, "Apply", err, codes.Aborted)
	if info := status.Convert(err).Details()[0].(*errdetails.ErrorInfo); info.GetMetadata()["newest"] != "2" {
		t.Errorf("details = %v, want the newest revision 2", info)
	}
	req.Base = proto.Int64(2)
	if _, err := p.Apply(t.Context(), req); err != nil {
		t.Errorf("Apply on the newest base = %v, want nil", err)
	}
}

func TestApplyOnBaseZeroIsForAnEmptyStore(t *testing.T) {
	p := start(t)
	req := &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("a", "true")}, Base: proto.Int64(0)}
	if _, err := p.Apply(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	_, err := p.Apply(t.Context(), req)
	wantCode(t, "second Apply", err, codes.Aborted)
}

func TestApplyNamesEveryViolation(t *testing.T) {
	p := start(t)
	_, err := p.Apply(t.Context(), &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{
		server("everything", ""), credential("laptop", "x", 0), credential("phone", "", 1),
	}})
	wantCode(t, "Apply", err, codes.InvalidArgument)
	got := fields(err)
	for _, want := range []string{"servers/everything#spec.stdio.command", "credentials/phone#spec.agents[0]"} {
		if !slices.Contains(got, want) {
			t.Errorf("violations = %q, want %q among them", got, want)
		}
	}
	if got := p.names(0); got != "" {
		t.Errorf("objects = %q, want none", got)
	}
}

func TestApplyWarnsOfWhatStopsNothing(t *testing.T) {
	p := start(t)
	res := p.apply(policy("backend", "nowhere"))
	if len(res.GetWarnings()) != 1 || res.GetWarnings()[0].GetField() != "spec.allow.servers[0]" {
		t.Errorf("warnings = %v, want one about spec.allow.servers[0]", res.GetWarnings())
	}
}

func TestCreateRefusesWhatExists(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"))
	_, err := p.Apply(t.Context(), &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("a", "false")}, Create: true})
	wantCode(t, "Apply", err, codes.AlreadyExists)
}

func TestDeleteRefusesWhatIsNotThere(t *testing.T) {
	p := start(t)
	_, err := p.Apply(t.Context(), &gatehousev1.ApplyRequest{Delete: []string{"servers/a"}})
	wantCode(t, "Apply", err, codes.NotFound)
}

func TestPruneDeletesServersAndPoliciesThatAreNotPut(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"), server("b", "true"), policy("backend", "a"), credential("laptop", "backend", 1))
	res, err := p.Apply(t.Context(), &gatehousev1.ApplyRequest{
		Put: []*gatehousev1.Object{server("a", "true")}, Prune: gatehousev1.Prune_PRUNE_ALL,
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = "deleted policies/backend, deleted servers/b"
	if got := changes(res.GetChanges()); got != want {
		t.Errorf("changes = %q, want %q", got, want)
	}
}

func TestPruneOfAnOwnerKeepsWhatOthersMade(t *testing.T) {
	p := start(t)
	p.apply(server("mine", "true"))
	put := []*gatehousev1.Object{server("file1", "true"), server("file2", "true")}
	req := &gatehousev1.ApplyRequest{Put: put, Owner: "up", Prune: gatehousev1.Prune_PRUNE_OWNED}
	if _, err := p.Apply(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	req.Put = put[:1]
	if _, err := p.Apply(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if got := p.names(0); got != "file1 mine" {
		t.Errorf("objects = %q, want %q", got, "file1 mine")
	}
}

func TestConcurrentAppliesAllCommitOnceEach(t *testing.T) {
	const writers, each = 8, 5
	p := start(t)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("s%d-%d", w, i)
				if _, err := p.Apply(t.Context(), &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server(name, "true")}}); err != nil {
					t.Errorf("Apply of %s = %v, want nil", name, err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(strings.Fields(p.names(0))); got != writers*each {
		t.Errorf("objects = %d, want %d", got, writers*each)
	}
	h, err := p.History(t.Context(), &gatehousev1.HistoryRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range h.GetRevisions() {
		if want := int64(writers*each - i); r.GetRevision() != want || len(r.GetChanges()) != 1 {
			t.Errorf("history[%d] = %v, want revision %d with one change", i, r, want)
		}
	}
}

func TestOfConcurrentAppliesOnOneBaseOneWins(t *testing.T) {
	const writers = 8
	p := start(t)
	p.apply(server("a", "true"))
	codesSeen := make(chan codes.Code, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			put := []*gatehousev1.Object{server(fmt.Sprintf("s%d", w), "true")}
			_, err := p.Apply(t.Context(), &gatehousev1.ApplyRequest{Put: put, Base: proto.Int64(1)})
			codesSeen <- status.Code(err)
		})
	}
	wg.Wait()
	close(codesSeen)
	count := map[codes.Code]int{}
	for c := range codesSeen {
		count[c]++
	}
	if count[codes.OK] != 1 || count[codes.Aborted] != writers-1 {
		t.Errorf("codes = %v, want 1 OK and %d Aborted", count, writers-1)
	}
}

func TestApplyRefusesWhatHistoryShouldNotHold(t *testing.T) {
	p := start(t)
	_, err := p.Apply(t.Context(), &gatehousev1.ApplyRequest{Message: strings.Repeat("m", 5000)})
	wantCode(t, "Apply", err, codes.InvalidArgument)
	if got := fields(err); !slices.Equal(got, []string{"message"}) {
		t.Errorf("violations = %q, want message", got)
	}
}

func TestRollbackMakesAHigherRevision(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"), policy("backend", "a"))
	p.apply(policy("backend", "a", "a/drop"))
	res, err := p.Rollback(t.Context(), &gatehousev1.RollbackRequest{Revision: 1, Author: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if res.GetRevision() != 3 || res.GetOutcome() != gatehousev1.Outcome_OUTCOME_COMMITTED {
		t.Errorf("Rollback = %v, want revision 3 committed", res)
	}
	d, err := p.Diff(t.Context(), &gatehousev1.DiffRequest{From: 1, To: 3})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.GetChanges()) > 0 {
		t.Errorf("changes from 1 to 3 = %q, want none", changes(d.GetChanges()))
	}
	h, err := p.History(t.Context(), &gatehousev1.HistoryRequest{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r := h.GetRevisions()[0]; r.GetRollbackOf() != 1 || r.GetAuthor() != "ada" {
		t.Errorf("history[0] = %v, want a rollback of 1 by ada", r)
	}
}

func TestRollbackToTheNewestIsUnchanged(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"))
	res, err := p.Rollback(t.Context(), &gatehousev1.RollbackRequest{Revision: 1})
	if err != nil {
		t.Fatal(err)
	}
	if res.GetRevision() != 1 || res.GetOutcome() != gatehousev1.Outcome_OUTCOME_UNCHANGED {
		t.Errorf("Rollback = %v, want revision 1 unchanged", res)
	}
}

func TestRollbackRefuses(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"))
	for _, c := range []struct {
		name string
		req  *gatehousev1.RollbackRequest
		want codes.Code
	}{
		{"no revision", &gatehousev1.RollbackRequest{}, codes.InvalidArgument},
		{"a revision that never was", &gatehousev1.RollbackRequest{Revision: 9}, codes.NotFound},
		{"a stale base", &gatehousev1.RollbackRequest{Revision: 1, Base: proto.Int64(0)}, codes.Aborted},
	} {
		_, err := p.Rollback(t.Context(), c.req)
		wantCode(t, c.name, err, c.want)
	}
}

func TestRollbackWarnsOfKeysThatWorkAgain(t *testing.T) {
	p := start(t)
	p.apply(policy("backend", "*"), credential("laptop", "backend", 1))
	if _, err := p.Apply(t.Context(), &gatehousev1.ApplyRequest{Delete: []string{"credentials/laptop"}}); err != nil {
		t.Fatal(err)
	}
	res, err := p.Rollback(t.Context(), &gatehousev1.RollbackRequest{Revision: 1})
	if err != nil {
		t.Fatal(err)
	}
	if w := res.GetWarnings(); len(w) != 1 || w[0].GetObject() != "credentials/laptop" {
		t.Errorf("warnings = %v, want one about credentials/laptop", w)
	}
}
