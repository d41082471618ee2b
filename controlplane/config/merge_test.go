package config_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
)

const (
	pruneAll   = gatehousev1.Prune_PRUNE_ALL
	pruneOwned = gatehousev1.Prune_PRUNE_OWNED
)

// owned puts an object under an owner.
func owned(owner string, o *gatehousev1.Object) *gatehousev1.Object {
	o.Owner = owner
	return o
}

func TestMergeSaysWhatChanges(t *testing.T) {
	other := serverOf("a", stdio("false"))
	tests := []struct {
		name string
		req  *gatehousev1.ApplyRequest
		want string
	}{
		{"nothing", &gatehousev1.ApplyRequest{}, ""},
		{"the same again", &gatehousev1.ApplyRequest{Put: all().GetObjects()}, ""},
		{"new, other and gone, by reference", &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("c"), other}, Delete: []string{"credentials/k"}},
			"deleted credentials/k, updated servers/a, created servers/c"},
		{"same content, new owner", &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("a")}, Owner: "up"}, "updated servers/a"},
		{"the owner is the request's, not the object's", &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{owned("x", server("a"))}}, ""},
		{"prune all leaves settings and credentials", &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("a")}, Prune: pruneAll},
			"deleted policies/p, deleted servers/b"},
		{"prune and delete the same", &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("a"), policy("p", "allow a")}, Prune: pruneAll, Delete: []string{"servers/b"}},
			"deleted servers/b"},
		{"creating what is new", &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("c")}, Create: true}, "created servers/c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next, changes, err := config.Merge(all(), tt.req)
			if err != nil || changed(changes) != tt.want {
				t.Fatalf("Merge = %q, %v; want %q", changed(changes), err, tt.want)
			}
			if again, more, err := config.Merge(next, &gatehousev1.ApplyRequest{Put: tt.req.GetPut(), Owner: tt.req.GetOwner()}); err != nil || len(more) != 0 {
				t.Errorf("Merge again = %v, %q, %v; want no change", again, changed(more), err)
			}
		})
	}
}

// What `up` does not own stays, whatever vanishes from its files.
func TestPruneOwnedTakesTheOwnersObjectsOnly(t *testing.T) {
	base := configOf(server("mine"), owned("up", server("kept")), owned("up", server("gone")), owned("up", settings(&gatehousev1.Settings{})), owned("other", policy("p")))
	_, changes, err := config.Merge(base, &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("kept")}, Owner: "up", Prune: pruneOwned})
	if want := "deleted servers/gone, deleted settings/default"; err != nil || changed(changes) != want {
		t.Errorf("Merge = %q, %v; want %q", changed(changes), err, want)
	}
}

func TestWhatIsAppliedAgainAsItIsStaysWithItsOwner(t *testing.T) {
	base := configOf(owned("up", server("a")))
	next, changes, err := config.Merge(base, &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("a")}})
	if err != nil || len(changes) != 0 || !proto.Equal(next, base) {
		t.Errorf("Merge of the same by hand = %v, %v, %v, want no change", next, changes, err)
	}
	next, _, err = config.Merge(base, &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{serverOf("a", stdio("false"))}})
	if err != nil || next.GetObjects()[0].GetOwner() != "" {
		t.Errorf("Merge of another one by hand = %v, %v, want it to be nobody's", next, err)
	}
}

func TestMergeRefusesWholeRequests(t *testing.T) {
	tests := []struct {
		name  string
		req   *gatehousev1.ApplyRequest
		check func(error) bool
	}{
		{"delete of what is not there", &gatehousev1.ApplyRequest{Delete: []string{"servers/nope"}}, func(err error) bool {
			var missing *config.NotFoundError
			return errors.As(err, &missing) && missing.Object == "servers/nope"
		}},
		{"create of what is there", &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("a")}, Create: true}, func(err error) bool {
			return errors.Is(err, config.ErrExists)
		}},
		{"one object twice", &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("c"), server("c")}}, violates("servers/c", "metadata.name")},
		{"put and delete", &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{server("a")}, Delete: []string{"servers/a"}}, violates("servers/a", "delete")},
		{"no reference", &gatehousev1.ApplyRequest{Delete: []string{"a"}}, violates("a", "delete")},
		{"prune by nobody", &gatehousev1.ApplyRequest{Prune: pruneOwned}, violates("", "owner")},
		{"no spec", &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{{Name: "x"}}}, violates("/x", "kind")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if next, _, err := config.Merge(all(), tt.req); next != nil || !tt.check(err) {
				t.Errorf("Merge = %v, %v; want it refused", next, err)
			}
		})
	}
}

// violates says whether an error holds that violation first.
func violates(object, field string) func(error) bool {
	return func(err error) bool {
		var bad *config.InvalidError
		return errors.As(err, &bad) && bad.Violations[0].Object == object && bad.Violations[0].Field == field
	}
}

// A stored configuration is shared by every reader. Neither it nor the request may change under them.
func TestMergeTouchesNeitherSide(t *testing.T) {
	base := all()
	req := &gatehousev1.ApplyRequest{Owner: "up", Put: []*gatehousev1.Object{policy("p", "allow a", "allow b: x", "allow a: y"), server("c")}}
	base0, req0 := proto.CloneOf(base), proto.CloneOf(req)
	next, _, err := config.Merge(base, req)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(base, base0) || !proto.Equal(req, req0) {
		t.Error("Merge changed its arguments")
	}
	sorted := proto.CloneOf(next)
	config.Sort(sorted)
	if encoded(t, next) != encoded(t, sorted) {
		t.Errorf("Merge = %v, want it in the form of Sort", next)
	}
}
