package upstream

import (
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// Pool holds the upstreams of all tables that still have calls. Tables whose servers have equal keys share an upstream.
type Pool struct {
	// cfg has every field set.
	cfg Config
	// mem is shared by all connections.
	mem memory
	// spills take what is too large for mem.
	spills *spills
	// http does what direct does not: https, event streams that are asked for, proxies.
	http   *http.Transport
	direct *h1.Client

	byKey atomic.Pointer[map[string]*Upstream] // replaced as a whole, so that readers take no lock

	mu sync.Mutex // guards below
	// uses :: key → how many prepared tables name it
	uses   map[string]int
	closed bool

	// stop is closed by Close.
	stop  chan struct{}
	tasks sync.WaitGroup
}

// New makes a pool without upstreams. Close ends what it starts.
func New(c Config) *Pool {
	c = c.withDefaults()
	p := &Pool{
		cfg: c, http: newTransport(c.MaxAnswerHeaders), direct: h1.New(h1.Config{MaxHeadBytes: c.MaxAnswerHeaders, IdleTimeout: keepIdle}),
		uses: make(map[string]int), stop: make(chan struct{}),
	}
	p.spills = newSpills(&p.cfg)
	p.byKey.Store(&map[string]*Upstream{})
	p.tasks.Go(p.sweep)
	return p
}

// keepIdle is how long a connection that no call uses is kept. Many servers keep theirs for less, and until ours ends, one that
// its server has closed holds a descriptor.
const keepIdle = 30 * time.Second

// newTransport is net/http's for many calls to few hosts. Compression stays off: results pass through as they are,
// and nothing small can become large here.
func newTransport(maxHeaders int) *http.Transport {
	return &http.Transport{
		MaxResponseHeaderBytes: int64(maxHeaders),
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        keepIdle,
		DisableCompression:     true,
	}
}

// Prepare makes the upstreams of next ready to be used; those that a live table shares with it are kept as they are.
// Nothing is opened before it is needed. Each prepared table is released once.
func (p *Pool) Prepare(next *table.Table) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || next == nil {
		return
	}
	// Readers keep the map that they have; nobody ever changes one that was published.
	byKey := maps.Clone(*p.byKey.Load())
	for _, s := range next.Servers {
		if s.Spec.GetDisabled() {
			continue
		}
		if p.uses[s.Key]++; byKey[s.Key] == nil {
			byKey[s.Key] = newUpstream(p, s)
		}
	}
	p.byKey.Store(&byKey)
}

// Release gives up the upstreams of prev once its last call is done; those that no other table uses are closed then. It
// does not wait for that; Close does.
func (p *Pool) Release(prev *table.Table) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || prev == nil {
		return
	}
	// The last call of prev decides when; a table that never drains is given up by Close.
	p.tasks.Go(func() {
		select {
		case <-prev.Drained():
			for _, u := range p.forget(prev) {
				p.tasks.Go(u.close)
			}
		case <-p.stop:
		}
	})
}

// forget returns the upstreams that nobody uses without prev.
func (p *Pool) forget(prev *table.Table) (unused []*Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil // Close has them all
	}
	byKey := maps.Clone(*p.byKey.Load())
	for _, s := range prev.Servers {
		if u := byKey[s.Key]; u != nil && !s.Spec.GetDisabled() {
			if p.uses[s.Key]--; p.uses[s.Key] <= 0 {
				delete(p.uses, s.Key)
				delete(byKey, s.Key)
				unused = append(unused, u)
			}
		}
	}
	p.byKey.Store(&byKey)
	return unused
}

// Upstream returns the upstream of a server of a table that was prepared. It takes no lock. For a disabled server, and one
// of a table that was not prepared, it returns an upstream that is never available.
func (p *Pool) Upstream(s *table.Server) *Upstream {
	// Disabled is not part of the key: the same definition may be in service in another table.
	if !s.Spec.GetDisabled() {
		if u := (*p.byKey.Load())[s.Key]; u != nil {
			return u
		}
	}
	return absent(&p.cfg, s)
}

// EndSession closes the upstream sessions that belonged to an agent's MCP session. Calls under way on them end first.
func (p *Pool) EndSession(session string) {
	if session == "" {
		return
	}
	for _, u := range *p.byKey.Load() {
		u.endSession(session)
	}
}

// sweep ends sessions that nobody uses.
func (p *Pool) sweep() {
	tick := time.NewTicker(max(p.cfg.IdleTimeout/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, u := range *p.byKey.Load() {
				u.endIdle(now.Add(-p.cfg.IdleTimeout))
			}
		case <-p.stop:
			return
		}
	}
}

// Close closes everything and waits for it; calls under way end as unavailable. It always returns nil.
func (p *Pool) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	if first {
		close(p.stop)
	}
	var closing sync.WaitGroup
	// Nothing is added any more, and what Release is about to close is waited for below.
	for _, u := range *p.byKey.Load() {
		closing.Go(u.close)
	}
	closing.Wait()
	p.tasks.Wait()
	p.http.CloseIdleConnections()
	p.direct.Close()
	return nil
}
