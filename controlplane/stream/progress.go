package stream

import (
	"maps"
	"slices"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Progress counts the proxies that are not offline: how many meet the condition for a revision, how many of the others
// refused it or a newer one, and whether all are there, which is so where there are none. It does not list them.
func (f *Fleet) Progress(revision int64, cond gatehousev1.WaitCondition) *gatehousev1.WaitResponse {
	g := f.goal(revision, cond)
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &gatehousev1.WaitResponse{Done: true}
	for _, m := range f.members {
		switch g.state(m) {
		case gatehousev1.ProxyState_PROXY_STATE_OFFLINE:
		case gatehousev1.ProxyState_PROXY_STATE_SYNCED:
			p.Reached++
		case gatehousev1.ProxyState_PROXY_STATE_REJECTED:
			p.Rejected++
			p.Done = false
		default:
			p.Done = false
		}
	}
	return p
}

// Towards returns the proxies that are not offline, sorted by id, with their state relative to a revision: synced,
// rejected or pending. Their reports come without the upstreams, since the list is sent often while somebody waits.
func (f *Fleet) Towards(revision int64, cond gatehousev1.WaitCondition) []*gatehousev1.Proxy {
	g := f.goal(revision, cond)
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*gatehousev1.Proxy
	for _, id := range slices.Sorted(maps.Keys(f.members)) {
		m := f.members[id]
		if state := g.state(m); state != gatehousev1.ProxyState_PROXY_STATE_OFFLINE {
			p := m.proxy(state, g.reason(m, state))
			p.Report = brief(m.report)
			list = append(list, p)
		}
	}
	return list
}

// brief is a report without what it says of upstreams.
func brief(r *gatehousev1.Report) *gatehousev1.Report {
	if r == nil {
		return nil
	}
	return &gatehousev1.Report{Serving: r.GetServing(), OldestRevision: r.GetOldestRevision(), Calls: r.GetCalls()}
}

// goal is a revision of the store that proxies are sent now, and what counts as there.
type goal struct {
	fleet    *Fleet
	target   *gatehousev1.Position // says which store and epoch
	revision int64
	drained  bool // calls on older revisions must have ended, too
}

// goal makes the goal of a wait.
func (f *Fleet) goal(revision int64, cond gatehousev1.WaitCondition) goal {
	drained := cond == gatehousev1.WaitCondition_WAIT_CONDITION_DRAINED
	return goal{fleet: f, target: f.Target(), revision: revision, drained: drained}
}

// state says where m stands.
func (g goal) state(m *member) gatehousev1.ProxyState {
	switch {
	case m.conn == nil:
		return gatehousev1.ProxyState_PROXY_STATE_OFFLINE
	case g.reachedBy(m):
		return gatehousev1.ProxyState_PROXY_STATE_SYNCED
	case g.refusedBy(m) != "":
		return gatehousev1.ProxyState_PROXY_STATE_REJECTED
	}
	return gatehousev1.ProxyState_PROXY_STATE_PENDING
}

// reason says why m refused.
func (g goal) reason(m *member, state gatehousev1.ProxyState) string {
	if state != gatehousev1.ProxyState_PROXY_STATE_REJECTED {
		return ""
	}
	return g.refusedBy(m)
}

// reachedBy says whether m serves the revision or a newer one, and, where that is asked, has no call on an older one. A
// report from before the swap proves nothing, so it must itself speak of the revision.
func (g goal) reachedBy(m *member) bool {
	if !g.covers(m.serving) {
		return false
	}
	return !g.drained || (g.covers(m.report.GetServing()) && m.report.GetOldestRevision() >= g.revision)
}

// covers says whether p is the revision or a newer one. Revisions compare within one store and epoch alone; a proxy that
// resumed with equal content may name an older epoch.
func (g goal) covers(p *gatehousev1.Position) bool {
	if p == nil || g.target == nil {
		return false
	}
	if sameContent(p, g.target) {
		return g.target.GetRevision() >= g.revision
	}
	return p.GetStoreId() == g.target.GetStoreId() && p.GetEpoch() == g.target.GetEpoch() && p.GetRevision() >= g.revision
}

// refusedBy says why m will not get there with what it is sent now; empty where it may.
func (g goal) refusedBy(m *member) string {
	if m.refused != nil && g.covers(m.refused) {
		return m.reason
	}
	if frame := g.fleet.frames.Current(); frame != nil && frame.Position.GetRevision() >= g.revision {
		return m.objection(frame)
	}
	return ""
}
