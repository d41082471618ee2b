package h1

import "time"

const (
	// lookEvery is how often the watch looks while requests are under way, and manyConns are how many connections make it take
	// that much longer: so long it takes at most until a deadline is noticed, or that a new request's agent has gone.
	lookEvery = 10 * time.Millisecond
	manyConns = 2000
	// calmLooks is how many looks find no request under way before the watch rests.
	calmLooks = 20
)

// watch looks at all connections now and then, in place of what net/http does for each request: a timer for each deadline,
// and a goroutine that waits for the agent to go away. Requests that are done by the next look cost nothing of that.
func (s *Server) watch() {
	for calm := 0; ; {
		rest := s.between()
		if calm > calmLooks {
			s.resting.Store(true)
			if !s.look(time.Now()) { // else a request has begun that did not see it
				rest = max(rest, min(time.Second, s.conf.HeaderTimeout/4, s.conf.IdleTimeout/4))
			}
		}
		timer := time.NewTimer(rest)
		select {
		case <-s.done:
			timer.Stop()
			return
		case <-s.kick:
			timer.Stop()
		case <-timer.C:
		}
		s.resting.Store(false)
		if calm++; s.look(time.Now()) {
			calm = 0
		}
	}
}

// between is the time between two looks. The more connections there are, the longer it is, so that looking costs little.
func (s *Server) between() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return lookEvery * time.Duration(1+len(s.conns)/manyConns)
}

// wake has the watch look often, since a request is under way.
func (s *Server) wake() {
	if s.resting.CompareAndSwap(true, false) {
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
}

// look looks at each connection, and says whether a request is under way.
func (s *Server) look(now time.Time) (busy bool) {
	s.tell(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		busy = c.look(now) || busy
	}
	return busy
}

// look ends what takes too long, and has an agent watched whose request is under way since the look before. It says whether
// one is. The server's mutex is held.
func (c *inbound) look(now time.Time) (busy bool) {
	word := c.state.Load()
	if word != c.seen {
		c.seen, c.seenAt = word, now
	}
	age := now.Sub(c.seenAt)
	switch phase(word) {
	case fresh:
		if age >= c.server.conf.HeaderTimeout {
			c.expire(word)
		}
		return false
	case heading:
		if age >= c.server.conf.HeaderTimeout {
			_ = c.net.SetReadDeadline(past()) // its agent is told
		}
		return false
	case idle:
		if age >= c.server.conf.IdleTimeout {
			c.expire(word)
		}
		return false
	case waiting:
		if age > 0 && c.state.CompareAndSwap(word, word-waiting+watched) {
			c.server.tasks.Go(c.attend)
		}
	}
	c.late(now.UnixNano())
	return true
}

// expire closes a connection that is still in that state.
func (c *inbound) expire(word uint32) {
	if c.state.CompareAndSwap(word, word-phase(word)+over) {
		_ = c.net.Close() // which ends its read
	}
}

// late ends a read or a write whose deadline has passed. The connection ends with it.
func (c *inbound) late(now int64) {
	if by := c.readBy.Load(); by != 0 && now >= by && c.reading.Load() {
		c.spoilt.Store(true)
		_ = c.net.SetReadDeadline(past())
	}
	if by := c.writeBy.Load(); by != 0 && now >= by && c.writing.Load() {
		c.spoilt.Store(true)
		_ = c.net.SetWriteDeadline(past())
	}
}

// past is a deadline that has passed.
func past() time.Time { return time.Unix(1, 0) }

// attend waits for the agent of a request under way: that it goes away, or sends what it will want next.
func (c *inbound) attend() {
	n, err := c.net.Read(c.buf)
	if err != nil && !isTimeout(err) {
		c.cancel()
	}
	c.attended <- n
}

// unattended ends attend, if it runs: from here on the connection is the caller's again.
func (c *inbound) unattended() {
	if c.state.CompareAndSwap(c.word(waiting), c.word(busy)) || phase(c.state.Load()) != watched {
		return
	}
	_ = c.net.SetReadDeadline(past())
	c.r, c.w = 0, <-c.attended
	_ = c.net.SetReadDeadline(time.Time{})
	c.state.Store(c.word(busy))
}
