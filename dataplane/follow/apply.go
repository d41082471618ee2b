package follow

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Why a snapshot is refused, besides that it does not build.
var (
	errOlder   = errors.New("it is older than what serves")
	errUnsaved = errors.New("it cannot be kept on disk")
)

// take is the way of a snapshot into service. nil means that it serves new calls and is on disk.
//
//	older than what serves? → build the table → fsync to disk → prepare upstreams → swap → release the table before
//
// The disk comes before the swap: a proxy that is killed right after an ack comes back with what it acked.
func (f *Follower) take(s *gatehousev1.Snapshot) error {
	serving := f.State().Position
	if serving != nil && proto.Equal(serving, s.GetPosition()) {
		return nil // sent again, across a lost ack
	}
	if err := f.mayFollow(s.GetPosition(), serving); err != nil {
		return err
	}
	t, err := table.BuildWith(s, f.features())
	if err != nil {
		return err
	}
	if err := f.disk.save(s); err != nil {
		return fmt.Errorf("%w: %w", errUnsaved, err)
	}
	f.serve(t, SourceControlPlane)
	return nil
}

// mayFollow refuses to go back in (epoch, revision) of one store. Another store is another history: then the control
// plane was replaced, and it is right. The same number under another digest is no way back either: a newer program may lay
// the same revision out in other bytes.
func (f *Follower) mayFollow(next, serving *gatehousev1.Position) error {
	if serving == nil {
		return nil
	}
	if next.GetStoreId() != serving.StoreId {
		f.log.Warn("the control plane has another store than before", "store", next.GetStoreId(), "before", serving.StoreId)
		return nil
	}
	if next.Epoch < serving.Epoch || next.Epoch == serving.Epoch && next.Revision < serving.Revision {
		return fmt.Errorf("taking revision %d of epoch %d where revision %d of epoch %d serves: %w",
			next.Revision, next.Epoch, serving.Revision, serving.Epoch, errOlder)
	}
	return nil
}

// serve takes a table into service. Calls under way stay on the one before, whose upstreams go when the last has ended.
func (f *Follower) serve(t *table.Table, source string) {
	f.config.Pool.Prepare(t)
	prev := f.config.Live.Swap(t)
	f.note(func(s *State) {
		s.Position, s.Since, s.Source, s.Refused = t.Position, time.Now(), source, ""
	})
	if prev != nil {
		f.retired = append(f.retired, prev)
		f.config.Pool.Release(prev)
	}
}
