package stream

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/controlplane/publish"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// member is what the fleet knows of one proxy id. The fleet's mutex guards it; the messages in it are never changed.
type member struct {
	id           string
	conn         *conn     // nil: offline
	boot         string    // of the newest stream
	replacedBoot string    // of the process that this one replaced
	since        time.Time // when the stream began
	seen         time.Time // when the proxy was last heard
	labels       map[string]string
	version      string
	features     []string
	address      string // where other proxies reach it; empty: nowhere
	serving      *gatehousev1.Position
	refused      *gatehousev1.Position // by this boot
	reason       string                // of the refusal
	report       *gatehousev1.Report   // by this boot
}

// join makes c the member's stream. What an earlier process refused or reported says nothing about a new one.
func (m *member) join(c *conn, h *gatehousev1.Hello, now time.Time) {
	if m.boot != c.boot {
		m.replacedBoot = m.boot
		m.refused, m.reason, m.report = nil, "", nil
	}
	m.conn, m.boot = c, c.boot
	m.since, m.seen = now, now
	m.labels, m.version, m.features = h.GetLabels(), h.GetVersion(), h.GetFeatures()
	m.serving, m.address = h.GetServing(), h.GetAddress()
}

// objection says why frame must not be sent to the proxy; empty means that nothing speaks against it.
func (m *member) objection(frame *publish.Frame) string {
	if m.refused != nil && samePosition(m.refused, frame.Position) {
		return m.reason
	}
	if lacks := missing(frame.RequiredFeatures, m.features); len(lacks) > 0 {
		return fmt.Sprintf("it lacks features that revision %d needs: %s", frame.Position.GetRevision(), strings.Join(lacks, ", "))
	}
	// A control plane that lost its store must not empty the fleet: revision 0 is for proxies that have nothing.
	if frame.Position.GetRevision() == 0 && m.serving.GetRevision() > 0 {
		return "it serves a configuration of another store; nothing was ever applied to this one"
	}
	return ""
}

// missing returns the members of want that have lacks.
func missing(want, have []string) []string {
	var lacks []string
	for _, w := range want {
		if !slices.Contains(have, w) {
			lacks = append(lacks, w)
		}
	}
	return lacks
}

// state says where the proxy stands relative to the newest frame, and why. Content decides, not the number: a store that
// came back from a backup may know the same bytes under another epoch. A dead connection is gRPC's keepalive to find,
// which makes it offline; silence alone is no fault, since proxies only speak when something has changed.
func (m *member) state(target *publish.Frame, now time.Time, stale time.Duration) (gatehousev1.ProxyState, string) {
	switch {
	case m.conn == nil:
		return gatehousev1.ProxyState_PROXY_STATE_OFFLINE, m.reason
	case target == nil:
		return gatehousev1.ProxyState_PROXY_STATE_PENDING, ""
	case sameContent(m.serving, target.Position):
		return gatehousev1.ProxyState_PROXY_STATE_SYNCED, ""
	}
	if why := m.objection(target); why != "" {
		return gatehousev1.ProxyState_PROXY_STATE_REJECTED, why
	}
	behind := now.Sub(later(m.since, target.Published))
	if behind < stale {
		return gatehousev1.ProxyState_PROXY_STATE_PENDING, ""
	}
	return gatehousev1.ProxyState_PROXY_STATE_STALE, fmt.Sprintf("has been behind for %s", behind.Round(time.Second))
}

// later returns the later of a and b.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// proxy returns the member as operators see it.
func (m *member) proxy(state gatehousev1.ProxyState, reason string) *gatehousev1.Proxy {
	return &gatehousev1.Proxy{
		Id:       m.id,
		State:    state,
		Serving:  m.serving,
		Labels:   m.labels,
		Version:  m.version,
		LastSeen: timestamppb.New(m.seen),
		Error:    reason,
		Report:   m.report,
	}
}
