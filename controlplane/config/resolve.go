package config

import (
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// Identity is the store's, as snapshots carry it. It has the fields of store.Identity, so one converts into the other.
type Identity struct {
	// ID is the store's random name.
	ID string
	// Epoch grows with each restore from a backup.
	Epoch int64
	// SealKey is 32 random bytes.
	SealKey []byte
}

// Resolve makes the snapshot of one revision, and proves it by building the table that every proxy will build. Equal
// arguments give equal bytes within one version of this program; afterwards only the bytes are passed on.
func Resolve(rec *gatehousev1.Revision, c *gatehousev1.Config, id Identity) (*gatehousev1.Snapshot, error) {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(&gatehousev1.SnapshotContent{
		Revision: rec.GetRevision(), Config: c, CreateTime: rec.GetTime(), SealKey: id.SealKey,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding revision %d: %w", rec.GetRevision(), err)
	}
	digest := sha256.Sum256(content)
	s := &gatehousev1.Snapshot{
		Position: &gatehousev1.Position{StoreId: id.ID, Epoch: id.Epoch, Revision: rec.GetRevision(), Digest: digest[:]},
		Content:  content, RequiredFeatures: requiredFeatures(c),
	}
	if _, err := table.Build(s); err != nil {
		return nil, fmt.Errorf("proving revision %d: %w", rec.GetRevision(), err)
	}
	return s, nil
}

// requiredFeatures returns what a proxy must understand to serve c, sorted: a name for each field in use that an older one
// would pass over in silence, with agents getting more than they may.
func requiredFeatures(c *gatehousev1.Config) []string {
	var out []string
	for _, o := range c.GetObjects() {
		switch o.GetServer().GetSession() {
		case gatehousev1.SessionMode_SESSION_MODE_UNSPECIFIED, gatehousev1.SessionMode_SESSION_MODE_SHARED:
		default:
			out = append(out, table.FeatureSessionModes)
		}
		if rulesBeyondTools(o.GetPolicy().GetAllow()) || rulesBeyondTools(o.GetPolicy().GetDeny()) {
			out = append(out, table.FeatureResourceRules)
		}
	}
	return sortedSet(out)
}

// rulesBeyondTools says whether a side of a policy has rules for resources or prompts: without them, all of a server's
// are permitted with it.
func rulesBeyondTools(a *gatehousev1.Access) bool {
	return len(a.GetResources()) > 0 || len(a.GetPrompts()) > 0
}
