// Package config works on whole configurations: it merges a change into one, checks the result, compares two, and makes
// the snapshot that proxies take. It is pure; storing and sending are done elsewhere.
//
// The path of a change through it:
//
//	Merge     the newest configuration and a request  → the next one, and what changes
//	Validate  the next one as a whole                 → all that is wrong, and what deserves a look
//	Resolve   the same, with its revision             → the snapshot, proven
//
// It is the one place of the control plane that uses the data plane's own packages: what it accepts, a proxy has
// already accepted once, in table.Build. It refuses to edit a configuration in place, and to store what it cannot read
// to the last field.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// The kinds of objects as references and commands spell them, in the order of a Config.
const (
	Servers     = "servers"
	Policies    = "policies"
	Settings    = "settings"
	Credentials = "credentials"
)

// kinds is every kind there is, in the order of a Config, for messages that say what would have been right.
func kinds() []string { return []string{Servers, Policies, Settings, Credentials} }

// ErrExists says that an object which was to be created is there already.
var ErrExists = errors.New("it exists already")

// NotFoundError says that a configuration has no such object.
type NotFoundError struct {
	// Object is the reference.
	Object string
}

// Error names the object.
func (e *NotFoundError) Error() string { return "there is no " + e.Object }

// Kind returns what an object is, such as "servers"; empty where it has no spec.
func Kind(o *gatehousev1.Object) string {
	switch o.GetSpec().(type) {
	case *gatehousev1.Object_Server:
		return Servers
	case *gatehousev1.Object_Policy:
		return Policies
	case *gatehousev1.Object_Settings:
		return Settings
	case *gatehousev1.Object_Credential:
		return Credentials
	}
	return ""
}

// Ref returns the reference of an object, such as "servers/everything".
func Ref(o *gatehousev1.Object) string { return Kind(o) + "/" + o.GetName() }

// ParseRef takes a reference apart; an unknown kind or an empty name is an error.
func ParseRef(ref string) (kind, name string, err error) {
	kind, name, ok := strings.Cut(ref, "/")
	if !ok || name == "" || !slices.Contains(kinds(), kind) {
		return "", "", fmt.Errorf("%q is not a reference such as servers/NAME; kinds are %s", ref, strings.Join(kinds(), ", "))
	}
	return kind, name, nil
}

// Find returns the object of that reference, or nil.
func Find(c *gatehousev1.Config, ref string) *gatehousev1.Object {
	for _, o := range c.GetObjects() {
		if Ref(o) == ref {
			return o
		}
	}
	return nil
}

// Select returns the objects of a kind, or of all kinds where it is empty, and of that only the one of that name, where
// one is given. A *NotFoundError where that one is missing; any other error is about the kind.
func Select(c *gatehousev1.Config, kind, name string) ([]*gatehousev1.Object, error) {
	if kind != "" && !slices.Contains(kinds(), kind) {
		return nil, fmt.Errorf("%q is not a kind; kinds are %s", kind, strings.Join(kinds(), ", "))
	}
	var out []*gatehousev1.Object
	for _, o := range c.GetObjects() {
		if (kind == "" || Kind(o) == kind) && (name == "" || o.GetName() == name) {
			out = append(out, o)
		}
	}
	if name != "" && len(out) == 0 {
		return nil, &NotFoundError{Object: strings.TrimPrefix(kind+"/"+name, "/")}
	}
	return out, nil
}

// Sort brings a configuration into the one form that all equal ones have, in place: objects by kind and name, rules
// by server, empty parts left out. It is for configurations that the caller made; stored ones have that form already.
func Sort(c *gatehousev1.Config) {
	for _, o := range c.GetObjects() {
		canonical(o)
	}
	slices.SortStableFunc(c.Objects, compare)
}

// compare orders objects as a Config does. The bytes of every stored revision depend on it, so it never changes.
func compare(a, b *gatehousev1.Object) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.GetName(), b.GetName()))
}

// rank is the place of an object's kind; one without a spec comes last, for Validate to find.
func rank(o *gatehousev1.Object) int {
	switch o.GetSpec().(type) {
	case *gatehousev1.Object_Server:
		return 0
	case *gatehousev1.Object_Policy:
		return 1
	case *gatehousev1.Object_Settings:
		return 2
	case *gatehousev1.Object_Credential:
		return 3
	}
	return 4
}

// canonical brings one object into its one form, in place. Only policies have more than one: their rules are a map to
// the operator, and a map has no order.
func canonical(o *gatehousev1.Object) {
	p := o.GetPolicy()
	if p == nil {
		return
	}
	p.Allow, p.Deny = canonicalAccess(p.GetAllow()), canonicalAccess(p.GetDeny())
}

// canonicalAccess sorts rules; an Access that says nothing is nil. Lists of names keep their order, since the path
// of a rule holds the index that the operator sees in the file.
func canonicalAccess(a *gatehousev1.Access) *gatehousev1.Access {
	said := len(a.GetServers())
	for _, kind := range policy.Kinds() {
		said += len(kind.Rules(a))
		slices.SortStableFunc(kind.Rules(a), func(x, y *gatehousev1.ToolRule) int {
			return strings.Compare(x.GetServer(), y.GetServer())
		})
	}
	if said == 0 {
		return nil
	}
	return a
}

// clone copies an object into its one form, under a new owner.
func clone(o *gatehousev1.Object, owner string) *gatehousev1.Object {
	c := proto.CloneOf(o)
	c.Owner = owner
	canonical(c)
	return c
}
