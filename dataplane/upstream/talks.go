package upstream

import (
	"bytes"
	"slices"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// talks are the calls under way on a connection whose agents listen, and the agents that listen without a call.
type talks struct {
	mu sync.Mutex // guards below
	// calls are in the order that they began in.
	calls []*talk
	// listeners hear what belongs to no call. There may be thousands; each knows its place.
	listeners []*talk
}

// add takes a call in.
func (s *talks) add(t *talk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, t)
}

// attend takes a listener in; end takes it out.
func (s *talks) attend(t *talk) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.place = len(s.listeners)
	s.listeners = append(s.listeners, t)
	return func() { s.leave(t) }
}

// leave takes a listener out and finishes it. The last one takes its place.
func (s *talks) leave(t *talk) {
	s.mu.Lock()
	n := len(s.listeners) - 1
	last := s.listeners[n]
	s.listeners[t.place], last.place = last, t.place
	s.listeners[n] = nil
	s.listeners = s.listeners[:n]
	s.mu.Unlock()
	t.finish()
}

// end takes a call out and finishes it.
func (s *talks) end(t *talk) {
	s.mu.Lock()
	s.calls = slices.DeleteFunc(s.calls, func(other *talk) bool { return other == t })
	s.mu.Unlock()
	t.finish()
}

// pick returns the calls that a message is for, and those that listen to it. Lone says that no other call is under way, so
// that what belongs to none in particular belongs to it.
func (s *talks) pick(msg mcp.Message, lone func() bool) []*talk {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.calls) == 0 && len(s.listeners) == 0:
		return nil
	case msg.Method == "notifications/progress":
		return s.reportedLocked(msg.Params)
	case msg.Method == "notifications/cancelled":
		return slices.Clone(s.calls) // each knows what it has asked
	}
	if id, ok := parseID(inMeta(msg.Params, mcp.MetaPrefix+"subscriptionId")); ok {
		return matching(s.calls, func(t *talk) bool { return t.id == id })
	}
	if ofServer(msg.Method) {
		return slices.Clone(s.listeners)
	}
	// On a session of the agent's own, all calls are its.
	if n := len(s.calls); n > 0 && (s.calls[n-1].asks || n == 1 && lone()) {
		return []*talk{s.calls[n-1]}
	} else if n == 0 && s.listeners[0].asks {
		return []*talk{s.listeners[0]}
	}
	return nil
}

// attending returns those who hear what belongs to no call.
func (s *talks) attending() []*talk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.listeners)
}

// reportedLocked returns the call that a report of progress is about.
func (s *talks) reportedLocked(params []byte) []*talk {
	var v [1][]byte
	if params == nil {
		return nil
	}
	if _, err := mcp.Pick(params, []string{"progressToken"}, v[:]); err != nil || v[0] == nil {
		return nil
	}
	return matching(s.calls, func(t *talk) bool { return bytes.Equal(t.token, v[0]) })
}

// matching returns the first talk of a kind, alone.
func matching(all []*talk, is func(*talk) bool) []*talk {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return []*talk{all[i]}
	}
	return nil
}

// ofServer says whether a notification is about the server, and not about a call.
func ofServer(method string) bool {
	return strings.HasSuffix(method, "/list_changed") || method == "notifications/resources/updated"
}

// share hands a message, whose buffer stays the caller's, to all that it is for. They share one copy, which nobody changes.
func share(to []*talk, msg mcp.Message) {
	if len(to) == 0 {
		return
	}
	own := remark{msg: ownCopy(msg)}
	for _, t := range to {
		t.take(own)
	}
}

// ownCopy returns a message that shares no memory with what it was read from.
func ownCopy(msg mcp.Message) mcp.Message {
	msg.ID, msg.Params = bytes.Clone(msg.ID), bytes.Clone(msg.Params)
	return msg
}
