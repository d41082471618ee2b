package config

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Merge makes the configuration that a request asks for of the one it is applied to, and says what changes, sorted by
// object. base is not touched; the result is in the form that Sort gives, and shares what did not change. Errors are
// *InvalidError for a request that contradicts itself, *NotFoundError for a delete of what is not there, and ErrExists
// for a create of what is. Whether the result makes sense is for Validate to say.
func Merge(base *gatehousev1.Config, req *gatehousev1.ApplyRequest) (*gatehousev1.Config, []*gatehousev1.Change, error) {
	m := merge{base: index(base), put: map[string]*gatehousev1.Object{}, gone: map[string]bool{}}
	if err := m.read(req); err != nil {
		return nil, nil, err
	}
	m.prune(req)
	next := &gatehousev1.Config{}
	for _, o := range base.GetObjects() {
		if ref := Ref(o); m.put[ref] == nil && !m.gone[ref] {
			next.Objects = append(next.Objects, o)
		}
	}
	for _, o := range m.put {
		next.Objects = append(next.Objects, o)
	}
	slices.SortStableFunc(next.Objects, compare)
	changes, _ := Diff(base, next)
	return next, changes, nil
}

// merge is one request, read. All three are by reference.
type merge struct {
	base map[string]*gatehousev1.Object // :: what there is
	put  map[string]*gatehousev1.Object // :: copies, in their one form, under the request's owner
	gone map[string]bool                // :: what is deleted or pruned; put wins over pruned
}

// read takes in what the request names. A contradiction does not end it, so that one answer names them all; what depends
// on the state of the configuration does, since that may be different a moment later.
func (m *merge) read(req *gatehousev1.ApplyRequest) error {
	var bad InvalidError
	if req.GetPrune() == gatehousev1.Prune_PRUNE_OWNED && req.GetOwner() == "" {
		bad.add("", "owner", "pruning by owner needs an owner: without one it would take what everybody made by hand")
	}
	for _, o := range req.GetPut() {
		ref := Ref(o)
		switch {
		case Kind(o) == "":
			bad.add(ref, "kind", "the object has no spec")
		case m.put[ref] != nil:
			bad.add(ref, "metadata.name", "the request holds two objects of this name")
		case req.GetCreate() && m.base[ref] != nil:
			return fmt.Errorf("creating %s: %w", ref, ErrExists)
		default:
			m.put[ref] = m.copied(o, ref, req.GetOwner())
		}
	}
	for _, ref := range req.GetDelete() {
		if err := m.remove(ref, &bad); err != nil {
			return err
		}
	}
	return bad.orNil()
}

// copied is an object as it will be stored. One that somebody applies by hand just as it stands stays with its owner:
// what `get` prints can be applied again, and nothing changes by it.
func (m *merge) copied(o *gatehousev1.Object, ref, owner string) *gatehousev1.Object {
	if there := m.base[ref]; owner == "" && there.GetOwner() != "" {
		if same := clone(o, there.GetOwner()); proto.Equal(same, there) {
			return same
		}
	}
	return clone(o, owner)
}

// remove takes in one reference to delete.
func (m *merge) remove(ref string, bad *InvalidError) error {
	switch _, _, err := ParseRef(ref); {
	case err != nil:
		bad.add(ref, "delete", err.Error())
	case m.put[ref] != nil:
		bad.add(ref, "delete", "the request puts and deletes this object")
	case m.base[ref] == nil:
		return &NotFoundError{Object: ref}
	}
	m.gone[ref] = true
	return nil
}

// prune marks what goes besides. Settings and credentials are never pruned but by their owner: a missing file must not
// revoke a key that somebody made by hand.
func (m *merge) prune(req *gatehousev1.ApplyRequest) {
	for ref, o := range m.base {
		switch kind := Kind(o); req.GetPrune() {
		case gatehousev1.Prune_PRUNE_ALL:
			m.gone[ref] = m.gone[ref] || kind == Servers || kind == Policies
		case gatehousev1.Prune_PRUNE_OWNED:
			m.gone[ref] = m.gone[ref] || o.GetOwner() == req.GetOwner()
		}
	}
}

// index returns the objects by reference.
func index(c *gatehousev1.Config) map[string]*gatehousev1.Object {
	out := make(map[string]*gatehousev1.Object, len(c.GetObjects()))
	for _, o := range c.GetObjects() {
		out[Ref(o)] = o
	}
	return out
}
