package table

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// sealKeySize is the length of a snapshot's seal key in bytes.
const sealKeySize = 32

// Why Build refuses a snapshot as such, whatever its objects hold.
var (
	// ErrFeature says that the snapshot requires a feature that this build does not know.
	ErrFeature = errors.New("the snapshot requires a feature that this version does not know")
	// ErrDigest says that the content is not what the position names.
	ErrDigest = errors.New("the content does not have the digest of its position")
)

// FeatureSessionModes is required where a server's session mode is not shared: a proxy that took no notice of the mode
// would let agents share what must be kept apart.
const FeatureSessionModes = "session-modes"

// FeatureResourceRules is required where a policy has rules for resources or prompts: a proxy that took no notice of them
// would give agents all resources and prompts of each server that they may use.
const FeatureResourceRules = "resource-and-prompt-rules"

// Features returns what this build understands beyond the first version of snapshots, sorted; a proxy says so in hello.
func Features() []string { return []string{FeatureResourceRules, FeatureSessionModes} }

// Build makes a table of a snapshot, or refuses it whole.
func Build(s *gatehousev1.Snapshot) (*Table, error) { return BuildWith(s, Features()) }

// BuildWith is Build by a proxy that understands just these features. They come first: one that lacks any must not guess
// at the content.
func BuildWith(s *gatehousev1.Snapshot, features []string) (*Table, error) {
	if missing := missingFeatures(s.GetRequiredFeatures(), features); len(missing) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrFeature, strings.Join(missing, ", "))
	}
	if sum := sha256.Sum256(s.GetContent()); !bytes.Equal(sum[:], s.GetPosition().GetDigest()) {
		return nil, ErrDigest
	}
	c := &gatehousev1.SnapshotContent{}
	if err := proto.Unmarshal(s.GetContent(), c); err != nil {
		return nil, fmt.Errorf("decoding the content of revision %d: %w", s.GetPosition().GetRevision(), err)
	}
	if err := checkContent(s.GetPosition(), c); err != nil {
		return nil, err
	}
	return Compile(s.GetPosition(), c)
}

// checkContent compares the content with the position it came under.
func checkContent(pos *gatehousev1.Position, c *gatehousev1.SnapshotContent) error {
	if c.GetRevision() != pos.GetRevision() {
		return fmt.Errorf("%w: it is revision %d under the name of %d", ErrDigest, c.GetRevision(), pos.GetRevision())
	}
	if n := len(c.GetSealKey()); n != sealKeySize {
		return fmt.Errorf("reading the seal key of revision %d: %d bytes, want %d", c.GetRevision(), n, sealKeySize)
	}
	return nil
}

// missingFeatures returns those of required that are not known.
func missingFeatures(required, known []string) []string {
	return slices.DeleteFunc(slices.Clone(required), func(f string) bool { return slices.Contains(known, f) })
}
