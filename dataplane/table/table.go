// Package table makes one snapshot ready to serve: everything that a call looks up, indexed and immutable. It is pure,
// so the control plane proves a configuration by building the very table that a proxy will build.
package table

import (
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
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

	calls   atomic.Int64
	retired atomic.Bool
	drained chan struct{}
}

// Server is one upstream's definition.
type Server struct {
	// Name is the object's.
	Name string
	// Spec is the definition, references unresolved.
	Spec *gatehousev1.Server
	// Key changes when a change of the definition needs a new connection: a digest of name, transport and session mode.
	// Two tables whose servers have equal keys share the connection.
	Key string
	// CallTimeout is used where the agent gives no timeout_ms.
	CallTimeout time.Duration
	// MaxCallTimeout caps timeout_ms.
	MaxCallTimeout time.Duration
}

// Principal is who calls, proven by a credential.
type Principal struct {
	// Name is the credential's name; "anonymous" with --auth none, "stdio" on a pipe.
	Name string
	// Expires is when the credential stops working; the zero time means never.
	Expires time.Time

	all    bool
	agents []string
}
