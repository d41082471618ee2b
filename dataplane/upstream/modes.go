package upstream

import (
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// isShared says whether all agents share one session, which is so where the definition says nothing.
func (u *Upstream) isShared() bool {
	return u.mode == gatehousev1.SessionMode_SESSION_MODE_SHARED || u.mode == gatehousev1.SessionMode_SESSION_MODE_UNSPECIFIED
}

// acquire returns the session for a call; release gives it back. The shared mode takes no lock.
func (u *Upstream) acquire(c *mcp.Call) (*session, error) {
	switch {
	case u.absent != "":
		return nil, u.shutDown()
	case c.Profile != nil:
		return u.lend(c)
	case u.isOwn(c):
		return u.own(c)
	case u.isShared():
		return u.shared, nil
	case u.mode == gatehousev1.SessionMode_SESSION_MODE_AGENT:
		return u.keep(owner{agent: c.Agent})
	case u.mode == gatehousev1.SessionMode_SESSION_MODE_SESSION && c.Session != "":
		return u.keep(owner{session: c.Session, agent: c.Agent}) // one MCP session may act as several agents
	}
	return u.temporary(nil)
}

// isOwn says whether a call needs a session of the agent's own: where the server may ask the agent, and where a server of
// the legacy era keeps tasks, which it tells whose they are by the session alone.
func (u *Upstream) isOwn(c *mcp.Call) bool {
	if c.Client == nil {
		return false
	}
	return c.Own || takesRequests(c.Client) || c.Session != "" && c.Client.Version != mcp.ModernVersion && u.keeps.Load()
}

// takesRequests says whether an agent declared that servers may ask it something, in the era where they do.
func takesRequests(c *mcp.Client) bool {
	if c.Capabilities == nil || c.Version == mcp.ModernVersion || len(c.Capabilities) <= len("{}") {
		return false // most declare nothing, and looking closer costs a stack that is kept where this is asked for a stream
	}
	var v [3][]byte
	_, err := mcp.Pick(c.Capabilities, []string{"elicitation", "sampling", "roots"}, v[:])
	return err == nil && (v[0] != nil || v[1] != nil || v[2] != nil)
}

// own returns the session that is the agent's own, opened with what it declared: nobody else may be asked there. Where the
// agent has no session, it lasts for the call.
func (u *Upstream) own(c *mcp.Call) (*session, error) {
	if c.Session == "" || u.mode == gatehousev1.SessionMode_SESSION_MODE_CALL {
		return u.temporary(c.Client)
	}
	return u.keepAs(owner{session: c.Session, agent: c.Agent, capabilities: string(c.Client.Capabilities)}, c.Client)
}

// temporary returns a session that ends when it is released, in an agent's name; nil is the gateway's.
func (u *Upstream) temporary(client *mcp.Client) (*session, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s, err := u.addLocked(owner{})
	if err != nil {
		return nil, err
	}
	s.client, s.ended = client, true
	return s, nil
}

// keep returns the session of an owner, and makes it if there is none.
func (u *Upstream) keep(o owner) (*session, error) { return u.keepAs(o, nil) }

// keepAs is keep for a session in an agent's name; nil is the gateway's.
func (u *Upstream) keepAs(o owner, client *mcp.Client) (*session, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	// Whoever finds it counts at once, so that it is not closed between finding and using it.
	if s := u.keyed[o]; s != nil {
		s.users++
		return s, nil
	}
	s, err := u.addLocked(o)
	if err != nil {
		return nil, err
	}
	s.client = client
	u.keyed[o] = s
	return s, nil
}

// addLocked makes a session with one user. At the cap, the one that was idle the longest makes room. Sessions that are
// being closed still have their processes, so as many may wait for that, but not more.
func (u *Upstream) addLocked(o owner) (*session, error) {
	if u.closed {
		return nil, u.shutDown()
	}
	if len(u.open)-u.closing >= u.cfg.MaxSessions {
		u.endLocked(u.longestIdleLocked())
	}
	if len(u.open)-u.closing >= u.cfg.MaxSessions || u.closing > u.cfg.MaxSessions {
		u.cfg.Refused(limit.Sessions)
		return nil, unavailable(u.name, fmt.Sprintf("has %d sessions, and all are in use", len(u.open)))
	}
	s := &session{up: u, owner: o, users: 1}
	u.open[s] = struct{}{}
	return s, nil
}

// longestIdleLocked returns the session without users that was used last, or nil.
func (u *Upstream) longestIdleLocked() *session {
	// The cap is small, so looking at all of them costs less than keeping them in order.
	var oldest *session
	for _, s := range u.keyed {
		if s.users == 0 && (oldest == nil || s.used.Before(oldest.used)) {
			oldest = s
		}
	}
	return oldest
}

// release gives a session back. One that ended meanwhile is closed by its last user.
func (u *Upstream) release(s *session) {
	if s == u.shared {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	// Counted under the lock, since ending and releasing must agree on who closes.
	s.users--
	s.used = time.Now()
	if s.ended && s.users == 0 {
		u.closeLocked(s)
	}
}

// endLocked takes a session from its owner; it is closed at once, or by its last user. Nil is no session.
func (u *Upstream) endLocked(s *session) {
	if s == nil || s.ended {
		return
	}
	s.ended = true
	delete(u.keyed, s.owner)
	if s.users == 0 {
		u.closeLocked(s)
	}
}

// closeLocked closes a session beside the caller.
func (u *Upstream) closeLocked(s *session) {
	if u.closed {
		return // close has it
	}
	u.closing++
	u.tasks.Go(func() {
		s.close()
		u.mu.Lock()
		defer u.mu.Unlock()
		u.closing--
		delete(u.open, s)
	})
}

// endSession ends what belongs to an agent's MCP session.
func (u *Upstream) endSession(id string) {
	u.endWhere(func(s *session) bool { return s.owner.session == id })
}

// endIdle ends the sessions that were not used since a time.
func (u *Upstream) endIdle(since time.Time) {
	u.endWhere(func(s *session) bool { return s.users == 0 && s.used.Before(since) })
}

// endWhere ends the kept sessions that match; those in use are closed by their last user.
func (u *Upstream) endWhere(matches func(*session) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.keyed {
		if matches(s) {
			u.endLocked(s)
		}
	}
}

// close closes all sessions at the same time and waits for them and for everything else under way.
func (u *Upstream) close() {
	u.mu.Lock()
	// From here on nobody opens a session, and closeLocked leaves them to us.
	u.closed = true
	sessions := []*session{u.shared}
	for s := range u.open {
		sessions = append(sessions, s)
	}
	clear(u.keyed)
	u.mu.Unlock()
	// At the same time: each may take all of its grace.
	var closing sync.WaitGroup
	for _, s := range sessions {
		closing.Go(s.close)
	}
	closing.Wait()
	u.tasks.Wait()
}
