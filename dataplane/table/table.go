// Package table makes one snapshot ready to serve: everything that a call looks up, indexed and immutable. It is pure,
// so the control plane proves a configuration by building the very table that a proxy will build.
//
// A snapshot is taken whole or refused whole: bytes that do not have their digest, a feature that this build does not
// know, or one object that cannot be read refuse it. An unresolvable ${VAR} does not; it concerns one server, later.
package table

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// Table is one snapshot, indexed. It MUST NOT be changed after Build.
type Table struct {
	// Position names the snapshot.
	Position *gatehousev1.Position
	// Revision is the position's.
	Revision int64
	// Servers are all servers, sorted by name, disabled ones too.
	Servers []*Server
	// Policies decide.
	Policies *policy.Set
	// SealKey signs what travels through agents.
	SealKey []byte

	byName      map[string]*Server
	credentials map[[32]byte]*Principal // :: SHA-256 of the key → who holds it

	refs    atomic.Int64 // :: see pin
	drained chan struct{}
	news    news
}

// Server returns the server of that name, or nil. It does not say whether anybody may use it.
func (t *Table) Server(name string) *Server { return t.byName[name] }

// Server is one upstream's definition.
type Server struct {
	// Name is the object's.
	Name string
	// Spec is the definition, references unresolved.
	Spec *gatehousev1.Server
	// Key changes when a change of the definition needs a new connection: a digest of name, transport, session mode, and
	// what the gateway itself answers.
	// Two tables whose servers have equal keys share the connection.
	Key string
	// CallTimeout is used where the agent gives no timeout_ms.
	CallTimeout time.Duration
	// MaxCallTimeout caps timeout_ms.
	MaxCallTimeout time.Duration
	// Questions say what becomes of what a legacy server asks in a modern agent's call.
	Questions Questions
}

// Compile makes a table of content that is already decoded, for instance one that was never sent anywhere. A nil
// position leaves the table without one. Errors name the object and the field.
func Compile(pos *gatehousev1.Position, c *gatehousev1.SnapshotContent) (*Table, error) {
	policies, err := policy.Compile(c.GetConfig())
	if err != nil {
		return nil, err
	}
	t := &Table{
		Position: pos, Revision: pos.GetRevision(), Policies: policies, SealKey: c.GetSealKey(),
		byName: map[string]*Server{}, credentials: map[[32]byte]*Principal{},
		drained: make(chan struct{}),
	}
	for _, o := range c.GetConfig().GetObjects() {
		if err := t.add(o); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(t.Servers, func(a, b *Server) int { return strings.Compare(a.Name, b.Name) })
	return t, nil
}

// add indexes one object. Policies and settings are compiled elsewhere.
func (t *Table) add(o *gatehousev1.Object) error {
	switch spec := o.GetSpec().(type) {
	case *gatehousev1.Object_Server:
		return t.addServer(o.GetName(), spec.Server)
	case *gatehousev1.Object_Credential:
		return t.addCredential(o.GetName(), spec.Credential)
	case nil:
		return checkUnknown(o)
	}
	return nil
}

// checkUnknown lets an object of a kind that this build does not know pass: the snapshot would require a feature if it
// mattered. An object with nothing in it is a mistake.
func checkUnknown(o *gatehousev1.Object) error {
	if len(o.ProtoReflect().GetUnknown()) > 0 {
		return nil
	}
	return &policy.FieldError{Object: o.GetName(), Field: "spec", Message: "the object has no spec"}
}
