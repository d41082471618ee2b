package upstream

import (
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// lend returns a session for a call that says itself what the session was opened with. Those of one agent with the same
// profile are numbered, and a call gets the first that it may have: so calls one after the other find one session, with
// whatever the server keeps there, and calls at the same time find one each.
func (u *Upstream) lend(c *mcp.Call) (*session, error) {
	client := &mcp.Client{Capabilities: c.Profile, Version: mcp.LegacyVersions[0]}
	switch u.mode {
	case gatehousev1.SessionMode_SESSION_MODE_CALL, gatehousev1.SessionMode_SESSION_MODE_SESSION:
		return u.temporary(client) // such an agent has no session
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	o := owner{agent: c.Agent, capabilities: string(c.Profile)}
	for o.lane = 1; ; o.lane++ {
		s := u.keyed[o]
		if s == nil {
			return u.openLaneLocked(o, client, c.Alone)
		}
		if !c.Alone || !s.alone {
			s.users++
			s.alone = s.alone || c.Alone
			return s, nil
		}
	}
}

// openLaneLocked makes the session of a lane.
func (u *Upstream) openLaneLocked(o owner, client *mcp.Client, alone bool) (*session, error) {
	s, err := u.addLocked(o)
	if err != nil {
		return nil, err
	}
	s.client, s.alone = client, alone
	u.keyed[o] = s
	return s, nil
}

// giveBack gives a call's session back. One on which a call that was alone did not end well may still have something to
// ask for it, which the next call must not be asked.
func (u *Upstream) giveBack(s *session, c *mcp.Call, err error) {
	if c.Alone && c.Profile != nil {
		u.mu.Lock()
		s.alone = false
		if err != nil {
			u.endLocked(s)
		}
		u.mu.Unlock()
	}
	u.release(s)
}
