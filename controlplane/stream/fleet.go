package stream

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-mcp/gatehouse/controlplane/publish"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Bounds of what one fleet remembers.
const (
	maxName     = 128  // bytes of a proxy id or boot id
	maxAddress  = 255  // bytes of a proxy's address
	maxLabels   = 64   // labels and features of one proxy
	maxOffline  = 1024 // proxies remembered without a stream; the ones heard of longest ago go first
	maxReason   = 1024 // bytes kept of a refusal's reason
	sweepEvery  = time.Minute
	maxServerNo = 4096 // servers kept of one report
)

// Fleet knows which proxy serves what. It lives in memory: proxies tell it all anew when they connect. It is no source
// of truth for configuration. Its methods may be called at the same time.
type Fleet struct {
	frames Frames
	stale  time.Duration
	forget time.Duration
	log    *slog.Logger

	mu      sync.Mutex         // guards below
	members map[string]*member // :: proxy id → what is known of it
	changed chan struct{}      // closed and replaced at each change
	peers   peers              // of those that are connected
	swept   time.Time          // when the offline were last looked through
}

// conn is one stream in the fleet's eyes. What it says counts as long as it is its member's.
type conn struct {
	id, boot string
	replaced chan struct{} // closed when a newer stream takes over
}

func newFleet(c Config) *Fleet {
	return &Fleet{
		frames:  c.Frames,
		stale:   c.StaleAfter,
		forget:  c.ForgetAfter,
		log:     c.Logger,
		members: make(map[string]*member),
		changed: make(chan struct{}),
		peers:   peers{moved: make(chan struct{})},
	}
}

// Changed returns a channel that closes at the next change of any proxy. Take it before reading, so that a change
// between the two is not missed. What time alone changes, such as pending into stale, does not close it.
func (f *Fleet) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Target returns the newest position, or nil where none can be served yet.
func (f *Fleet) Target() *gatehousev1.Position {
	if c := f.frames.Current(); c != nil {
		return c.Position
	}
	return nil
}

// Proxies returns every proxy that is or was connected, sorted by id, with its state relative to the newest revision.
func (f *Fleet) Proxies() []*gatehousev1.Proxy {
	target, now := f.frames.Current(), time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweepLocked(now)
	list := make([]*gatehousev1.Proxy, 0, len(f.members))
	for _, id := range slices.Sorted(maps.Keys(f.members)) {
		m := f.members[id]
		state, reason := m.state(target, now, f.stale)
		list = append(list, m.proxy(state, reason))
	}
	return list
}

// Catalogues returns, for each server that any proxy reported, the names of its tools, sorted. A proxy that is offline
// counts too: what its upstreams offered is the best that is known of them.
func (f *Fleet) Catalogues() map[string][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := make(map[string][]string)
	for _, m := range f.members {
		for _, s := range m.report.GetServers() {
			found[s.GetServer()] = append(found[s.GetServer()], s.GetTools()...)
		}
	}
	for server, tools := range found {
		slices.Sort(tools)
		found[server] = slices.Compact(tools)
	}
	return found
}

// join takes a new stream in. It ends the older stream of the same id, unless the new one is of a process that a newer
// process has replaced and that is still there: then it is refused, so that two processes of one id do not alternate.
func (f *Fleet) join(h *gatehousev1.Hello) (*conn, error) {
	if err := checkHello(h); err != nil {
		return nil, err
	}
	now := time.Now()
	c := &conn{id: h.GetProxyId(), boot: h.GetBootId(), replaced: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweepLocked(now)
	m := f.members[c.id]
	if m == nil {
		m = &member{id: c.id}
		f.members[c.id] = m
	}
	if m.conn != nil {
		if m.conn.boot != c.boot && m.replacedBoot == c.boot {
			return nil, status.Errorf(codes.Aborted, "proxy %q is a newer process; this one was replaced", c.id)
		}
		close(m.conn.replaced)
	}
	m.join(c, h, now)
	f.connectedLocked()
	f.changedLocked()
	return c, nil
}

// leave notes that a stream has ended; its proxy is offline from now on, unless a newer stream is there.
func (f *Fleet) leave(c *conn) {
	f.update(c, func(m *member) {
		m.conn = nil
		f.connectedLocked()
	})
}

// acked notes what a proxy serves; it may have refused that before, for want of room on its disk.
func (f *Fleet) acked(c *conn, p *gatehousev1.Position) {
	f.update(c, func(m *member) { m.serving, m.refused, m.reason = p, nil, "" })
}

// refused notes what a proxy does not take, and what it goes on with. One refusal is kept: positions come in one order,
// so an older one can never be the newest again.
func (f *Fleet) refused(c *conn, k *gatehousev1.Nack) {
	f.update(c, func(m *member) {
		m.refused, m.reason = k.GetPosition(), truncate(k.GetReason(), maxReason)
		m.serving = k.GetServing()
	})
}

// reported keeps a proxy's report, the last one alone.
func (f *Fleet) reported(c *conn, r *gatehousev1.Report) {
	if len(r.GetServers()) > maxServerNo {
		r.Servers = r.Servers[:maxServerNo]
	}
	f.update(c, func(m *member) {
		m.report = r
		if r.GetServing() != nil {
			m.serving = r.GetServing()
		}
	})
}

// update changes the member of c, unless a newer stream has taken over, and tells whoever waits.
func (f *Fleet) update(c *conn, change func(*member)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.members[c.id]
	if m == nil || m.conn != c {
		return
	}
	change(m)
	m.seen = time.Now()
	f.changedLocked()
}

// accepts says whether frame may be sent to the proxy of c: its process has not refused it, lacks no feature for it, and
// does not serve something while nothing was ever applied here.
func (f *Fleet) accepts(c *conn, frame *publish.Frame) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.members[c.id]
	return m != nil && m.conn == c && m.objection(frame) == ""
}

// changedLocked wakes whoever waits in Changed. A closed channel reaches any number of them and keeps none waiting.
func (f *Fleet) changedLocked() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// sweepLocked forgets proxies that have been gone for long, or that are too many. It runs once in a while, when somebody
// asks or joins anyway, so that the fleet needs no goroutine of its own.
func (f *Fleet) sweepLocked(now time.Time) {
	if now.Sub(f.swept) < sweepEvery {
		return
	}
	f.swept = now
	var gone []*member
	for _, m := range f.members {
		if m.conn == nil {
			gone = append(gone, m)
		}
	}
	slices.SortFunc(gone, func(a, b *member) int { return b.seen.Compare(a.seen) })
	for i, m := range gone {
		if i >= maxOffline || now.Sub(m.seen) >= f.forget {
			delete(f.members, m.id)
		}
	}
}

// checkHello refuses a hello that names nobody, or that would make the fleet remember too much.
func checkHello(h *gatehousev1.Hello) error {
	for what, s := range map[string]string{"proxy_id": h.GetProxyId(), "boot_id": h.GetBootId()} {
		if s == "" || len(s) > maxName {
			return status.Error(codes.InvalidArgument, fmt.Sprintf("%s must have 1 to %d bytes", what, maxName))
		}
	}
	if len(h.GetAddress()) > maxAddress {
		return status.Errorf(codes.InvalidArgument, "address must have %d bytes at most", maxAddress)
	}
	if len(h.GetLabels()) > maxLabels || len(h.GetFeatures()) > maxLabels {
		return status.Errorf(codes.InvalidArgument, "hello may have %d labels and %d features", maxLabels, maxLabels)
	}
	return nil
}

// truncate cuts s to n bytes, at the beginning of a character.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 { // the middle of a character
		n--
	}
	return s[:n]
}
