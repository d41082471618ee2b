package follow

import (
	"slices"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// report says what serves, and how far calls under way are behind it.
func (f *Follower) report() *gatehousev1.Report {
	f.retired = slices.DeleteFunc(f.retired, drained)
	serving := f.State().Position
	r := &gatehousev1.Report{Serving: serving, OldestRevision: serving.GetRevision()}
	for _, t := range f.retired { // one that drains meanwhile counts once more, until the next report
		r.OldestRevision = min(r.OldestRevision, t.Revision)
		r.Calls += t.Calls()
	}
	if t := f.config.Live.Load(); t != nil {
		r.Calls += t.Calls()
	}
	if f.config.Status != nil {
		r.Servers = f.config.Status()
	}
	return r
}

// drained says, without waiting, whether the last call on a retired table has ended.
func drained(t *table.Table) bool {
	select {
	case <-t.Drained():
		return true
	default:
		return false
	}
}
