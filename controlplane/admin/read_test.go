package admin_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestGetReadsAnyRevision(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"))
	p.apply(server("b", "true"), policy("backend", "a"))
	for _, c := range []struct {
		req  *gatehousev1.GetRequest
		want string
	}{
		{&gatehousev1.GetRequest{}, "a b backend"},
		{&gatehousev1.GetRequest{Revision: 1}, "a"},
		{&gatehousev1.GetRequest{Kind: "servers"}, "a b"},
		{&gatehousev1.GetRequest{Kind: "servers", Name: "b"}, "b"},
		{&gatehousev1.GetRequest{Kind: "settings"}, ""},
	} {
		res, err := p.Get(t.Context(), c.req)
		if err != nil {
			t.Errorf("Get(%v) = %v, want nil", c.req, err)
		}
		var names []string
		for _, o := range res.GetObjects() {
			names = append(names, o.GetName())
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("Get(%v) = %q, want %q", c.req, got, c.want)
		}
	}
}

func TestGetRefuses(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"))
	for _, c := range []struct {
		name string
		req  *gatehousev1.GetRequest
		want codes.Code
	}{
		{"a name without a kind", &gatehousev1.GetRequest{Name: "a"}, codes.InvalidArgument},
		{"an unknown kind", &gatehousev1.GetRequest{Kind: "gadgets"}, codes.InvalidArgument},
		{"an object that is not there", &gatehousev1.GetRequest{Kind: "servers", Name: "b"}, codes.NotFound},
		{"a revision that never was", &gatehousev1.GetRequest{Revision: 2}, codes.NotFound},
		{"a negative revision", &gatehousev1.GetRequest{Revision: -1}, codes.InvalidArgument},
	} {
		_, err := p.Get(t.Context(), c.req)
		wantCode(t, c.name, err, c.want)
	}
}

func TestAnEmptyStoreIsRevisionZero(t *testing.T) {
	p := start(t)
	res, err := p.Get(t.Context(), &gatehousev1.GetRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if res.GetRevision() != 0 || len(res.GetObjects()) != 0 {
		t.Errorf("Get = %v, want revision 0 without objects", res)
	}
	h, err := p.History(t.Context(), &gatehousev1.HistoryRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.GetRevisions()) != 0 {
		t.Errorf("History = %v, want none", h)
	}
}

func TestHistoryIsPagedNewestFirst(t *testing.T) {
	p := start(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		p.apply(server(name, "true"))
	}
	h, err := p.History(t.Context(), &gatehousev1.HistoryRequest{Before: 4, Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if r := h.GetRevisions(); len(r) != 2 || r[0].GetRevision() != 3 || r[1].GetRevision() != 2 {
		t.Fatalf("History = %v, want revisions 3 and 2", h)
	}
	r := h.GetRevisions()[0]
	if r.GetAuthor() != "ada" || r.GetMessage() != "for a test" || !r.GetTime().IsValid() || changes(r.GetChanges()) != "created servers/c" {
		t.Errorf("record = %v, want author, message, time and change", r)
	}
	for _, limit := range []int32{-1, 1001} {
		_, err := p.History(t.Context(), &gatehousev1.HistoryRequest{Limit: limit})
		wantCode(t, "History", err, codes.InvalidArgument)
	}
}

// access writes access changes as "AGENT SERVER/TOOL BEFORE>AFTER".
func access(list []*gatehousev1.AccessChange) string {
	var out []string
	for _, a := range list {
		out = append(out, a.GetAgent()+" "+a.GetServer()+"/"+a.GetTool()+" "+a.GetBefore()+">"+a.GetAfter())
	}
	return strings.Join(out, ", ")
}

func TestDiffSaysWhoLosesWhichTool(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"), policy("backend", "a"))
	p.apply(policy("backend", "a", "a/drop"))
	d, err := p.Diff(t.Context(), &gatehousev1.DiffRequest{From: 1, To: 2})
	if err != nil {
		t.Fatal(err)
	}
	if d.GetFrom() != 1 || d.GetTo() != 2 || changes(d.GetChanges()) != "updated policies/backend" {
		t.Errorf("Diff = %d to %d: %q, want 1 to 2: updated policies/backend", d.GetFrom(), d.GetTo(), changes(d.GetChanges()))
	}
	if got, want := access(d.GetAccess()), "backend a/drop allow>deny"; got != want {
		t.Errorf("access = %q, want %q", got, want)
	}
	if len(d.GetDetails()) != 1 || d.GetDetails()[0].GetBefore().GetName() != "backend" {
		t.Errorf("details = %v, want both sides of backend", d.GetDetails())
	}
}

func TestDiffOfAProposedChangeCommitsNothing(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"), policy("backend", "a", "a/drop"))
	d, err := p.Diff(t.Context(), &gatehousev1.DiffRequest{Proposed: &gatehousev1.ApplyRequest{
		Put: []*gatehousev1.Object{policy("backend", "a")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if d.GetFrom() != 1 || d.GetTo() != 0 {
		t.Errorf("Diff = %d to %d, want 1 to 0", d.GetFrom(), d.GetTo())
	}
	if got, want := access(d.GetAccess()), "backend a/drop deny>allow"; got != want {
		t.Errorf("access = %q, want %q", got, want)
	}
	if res := p.apply(server("a", "true")); res.GetRevision() != 1 {
		t.Errorf("newest revision = %d, want 1", res.GetRevision())
	}
}

func TestDiffNamesToolsThatProxiesReported(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"), policy("backend", "a"))
	proxy := p.connect("p1")
	proxy.report(&gatehousev1.Report{Servers: []*gatehousev1.ServerStatus{{Server: "a", State: "ready", Tools: []string{"list", "read"}}}})
	p.until("the report", func() bool {
		f, err := p.Fleet(t.Context(), &gatehousev1.FleetRequest{})
		return err == nil && len(f.GetProxies()) == 1 && f.GetProxies()[0].GetReport() != nil
	})
	d, err := p.Diff(t.Context(), &gatehousev1.DiffRequest{Proposed: &gatehousev1.ApplyRequest{Delete: []string{"policies/backend"}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = "backend a/* allow>deny, backend a/list allow>deny, backend a/read allow>deny"
	if got := access(d.GetAccess()); got != want {
		t.Errorf("access = %q, want %q", got, want)
	}
}

func TestDiffRefuses(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"))
	bad := &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("b", "")}}
	for _, c := range []struct {
		name string
		req  *gatehousev1.DiffRequest
		want codes.Code
	}{
		{"a revision that never was", &gatehousev1.DiffRequest{From: 7}, codes.NotFound},
		{"a second side that never was", &gatehousev1.DiffRequest{To: 7}, codes.NotFound},
		{"a proposed change and a revision", &gatehousev1.DiffRequest{To: 1, Proposed: bad}, codes.InvalidArgument},
		{"a proposed change that is wrong", &gatehousev1.DiffRequest{Proposed: bad}, codes.InvalidArgument},
	} {
		_, err := p.Diff(t.Context(), c.req)
		wantCode(t, c.name, err, c.want)
	}
}

func TestExplainDecidesAtAnyRevision(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"), policy("backend", "a"))
	p.apply(policy("backend", "a", "a/drop"))
	for _, c := range []struct {
		revision int64
		agent    string
		allow    bool
		code     string
		rule     string
		at       int64
	}{
		{1, "backend", true, "", "agents.backend.allow.servers[0]", 1},
		{0, "backend", false, "DENIED_BY_POLICY", "agents.backend.deny.tools.a[0]", 2},
		{2, "nobody", false, "INVALID_AGENT_ID", "", 2},
	} {
		req := &gatehousev1.ExplainRequest{Agent: c.agent, Server: "a", Tool: new("drop"), Revision: c.revision}
		got, err := p.Explain(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if got.GetAllow() != c.allow || got.GetCode() != c.code || got.GetRule() != c.rule || got.GetRevision() != c.at {
			t.Errorf("Explain(%v) = %v, want %+v", req, got, c)
		}
	}
	_, err := p.Explain(t.Context(), &gatehousev1.ExplainRequest{Server: "a", Tool: new("x"), Prompt: new("y")})
	wantCode(t, "Explain of two things", err, codes.InvalidArgument)
	_, err = p.Explain(t.Context(), &gatehousev1.ExplainRequest{Revision: 8})
	wantCode(t, "Explain", err, codes.NotFound)
}
