package h1

import (
	"sync"
	"time"
)

// Host is an address with the idle connections to it. The one used last is used next, so that those too many grow old.
type Host struct {
	conf *Config
	wide *wide
	addr string

	mu     sync.Mutex // guards below; held for no I/O but closing
	free   []*conn    // the oldest first
	timer  *time.Timer
	armed  bool
	closed bool
}

// idle takes the connection that was used last, or returns nil.
func (h *Host) idle() *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.free)
	if n == 0 {
		return nil
	}
	c := h.free[n-1]
	h.free[n-1] = nil
	h.free = h.free[:n-1]
	return c
}

// keep takes a connection back; one too many is closed.
func (h *Host) keep(c *conn) {
	c.since = time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.free) >= h.conf.MaxIdle {
		c.net.Close()
		return
	}
	h.free = append(h.free, c)
	if !h.armed {
		h.armed = true
		h.armLocked(h.conf.IdleTimeout)
	}
}

func (h *Host) armLocked(d time.Duration) {
	if h.timer == nil {
		h.timer = time.AfterFunc(d, h.sweep)
	} else {
		h.timer.Reset(d)
	}
}

// sweep closes what was idle for too long, and comes again as long as there is something.
func (h *Host) sweep() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, old := time.Now(), 0
	for old < len(h.free) && now.Sub(h.free[old].since) >= h.conf.IdleTimeout {
		h.free[old].net.Close()
		old++
	}
	rest := copy(h.free, h.free[old:])
	clear(h.free[rest:])
	h.free = h.free[:rest]
	if h.armed = rest > 0 && !h.closed; h.armed {
		h.armLocked(h.conf.IdleTimeout - now.Sub(h.free[0].since))
	}
}

// close closes all idle connections, and from now on those that come back.
func (h *Host) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.timer != nil {
		h.timer.Stop()
	}
	for _, c := range h.free {
		c.net.Close()
	}
	h.free = nil
}
