package gateway

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// subscription is an agent's stream of changes: what it asked for, as far as policy lets it hear that, and nothing else.
type subscription struct {
	// What it is never changes.
	to     mcp.Stream
	era    mcp.Era
	server string
	direct *Direct
	// id is the raw id of the request that opened it; nil in the legacy era.
	id []byte
	// wanted are the methods of lists that the agent wants to hear of; nil in the legacy era, where it hears of all. asks are
	// the resources.
	wanted map[string]bool
	asks   []string
	// ctx ends with the stream; tasks are what still looks whether there is something to tell.
	ctx   context.Context //nolint:containedctx // of the tasks, which notifications begin
	tasks sync.WaitGroup

	mu    sync.Mutex // guards below
	acked bool
	muted bool // the agent may not hear anything now
	at    *place
	views [kindCount]sighting
}

// sighting is what a stream knows of one list.
type sighting struct {
	known bool
	last  glance // what was there when the agent was told last, or when it began to listen
	busy  bool   // somebody is looking
	again bool   // another change was announced meanwhile
}

// newSubscription reads what an agent wants to hear.
func newSubscription(d *Direct) (*subscription, error) {
	s := &subscription{to: d.Stream, era: d.Era, server: d.Server, direct: d, id: bytes.Clone(d.ID)}
	if d.Stream == nil {
		return nil, refuseArgument("a subscription needs Accept: text/event-stream")
	}
	if d.Era == mcp.Legacy {
		s.asks = d.URIs
		return s, nil
	}
	var v [1][]byte
	if _, err := mcp.Pick(d.Params, []string{memberNotifications}, v[:]); err != nil || v[0] == nil {
		return nil, refuseArgument("params.notifications must be an object")
	}
	asked := v[0]
	names := []string{"toolsListChanged", "promptsListChanged", "resourcesListChanged", memberURIs}
	var w [4][]byte
	if _, err := mcp.Pick(asked, names, w[:]); err != nil {
		return nil, refuseArgument("params.notifications: %v", err)
	}
	s.wanted = map[string]bool{
		notifyList(policy.Tools):     string(w[0]) == "true",
		notifyList(policy.Prompts):   string(w[1]) == "true",
		notifyList(policy.Resources): string(w[2]) == "true",
	}
	if w[3] == nil {
		return s, nil
	}
	err := mcp.Elements(w[3], func(raw []byte) error {
		uri, ok := mcp.Unquote(raw)
		if !ok {
			return errNoURIs
		}
		s.asks = append(s.asks, uri)
		return nil
	})
	if err != nil {
		return nil, refuseArgument("params.notifications.resourceSubscriptions must be an array of strings")
	}
	return s, nil
}

// acknowledge tells the agent what of its subscription stands, where the upstream's era has no words for it: what the
// server would have been asked for.
func (s *subscription) acknowledge(params []byte) {
	from, to, err := mcp.Locate(params, memberNotifications)
	if err != nil || from == 0 {
		return // newSubscription has looked
	}
	text := append([]byte(`{"notifications":`), params[from:to]...)
	s.Notify(methodAcknowledged, append(text, '}'))
}

// methodAcknowledged is the first message of a stream in the modern era.
const methodAcknowledged = "notifications/subscriptions/acknowledged"

// settle takes the stream to a place, where it learns what the agent can see of those lists that policy narrows: what is
// announced there may concern what the agent does not see. Where that cannot be learned, the agent is told of every change.
func (s *subscription) settle(at *place) {
	s.mu.Lock()
	s.at = at
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, at.table.Server(s.server).CallTimeout)
	defer cancel()
	for _, kind := range policy.Kinds() {
		known := sighting{}
		if s.wants(notifyList(kind)) && at.agent.Narrows(kind, s.server) {
			g, err := at.glance(ctx, s.direct, kind)
			known = sighting{known: err == nil, last: g}
		}
		s.mu.Lock()
		known.busy, known.again = s.views[kind].busy, s.views[kind].again
		s.views[kind] = known
		s.mu.Unlock()
	}
}

// Notify implements mcp.Stream.
func (s *subscription) Notify(method string, params []byte) {
	kind, isList := kindOf(method)
	if isList {
		s.place().lists.kinds[kind].announce()
	}
	switch {
	case !s.wants(method):
	case s.ofTasks(method, &params): // of another agent's
	case isList && s.place().agent.Narrows(kind, s.server):
		s.look(kind, bytes.Clone(params))
	case method == notifyUpdated && !s.hears(uriOf(params)):
	case method == methodAcknowledged && !s.first():
	default:
		s.tell(method, params)
	}
}

// mute has the agent hear nothing any more, or again.
func (s *subscription) mute(muted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = muted
}

// ofTasks calls tasks by the agent's names for them, and says whether a notification has to do with none of the agent's.
func (s *subscription) ofTasks(method string, params *[]byte) (foreign bool) {
	f := s.place().flight
	switch {
	case *params == nil:
	case s.era == mcp.Legacy:
		*params = f.told(method, *params)
	case f.direct.listening != nil && (method == noteTask || method == methodAcknowledged):
		*params = f.heard(method, *params)
	}
	return *params == nil && (method == noteTask || method == noteTaskStatus)
}

// place is where the stream stands.
func (s *subscription) place() *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// hears says whether the agent asked to hear of a resource, and may.
func (s *subscription) hears(uri string) bool {
	// Others may have subscribed to other resources on the same session.
	return slices.Contains(s.asks, uri) && s.place().agent.May(policy.Resources, s.server, uri).Allow
}

// first says whether nothing was acknowledged before: the agent gets one acknowledgement, whatever happens behind us.
func (s *subscription) first() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.acked
	s.acked = true
	return first && s.era == mcp.Modern
}

// look finds out whether a change of a list is one that the agent can see, beside whoever announced it. What is announced
// while it looks is one change with what it looks for.
func (s *subscription) look(kind policy.Kind, params []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &s.views[kind]
	if v.busy {
		v.again = true
		return
	}
	v.busy = true
	s.tasks.Go(func() {
		if s.seesChange(kind) && s.ctx.Err() == nil {
			s.tell(notifyList(kind), params)
		}
	})
}

// maxLooks bounds how often a list is read for one notification where the server announces changes without end.
const maxLooks = 3

// seesChange says whether the list of a kind differs from what it was, as the agent may see it. A change that is nowhere to
// be seen is passed on: the server has its reasons.
func (s *subscription) seesChange(kind policy.Kind) bool {
	for i := 1; ; i++ {
		at := s.place()
		ctx, cancel := context.WithTimeout(s.ctx, at.table.Server(s.server).CallTimeout)
		now, err := at.glance(ctx, s.direct, kind)
		cancel()
		s.mu.Lock()
		v := &s.views[kind]
		if v.again && i < maxLooks {
			v.again = false
			s.mu.Unlock()
			continue
		}
		tell := err != nil || !v.known || now.seen != v.last.seen || now.whole == v.last.whole
		*v = sighting{known: err == nil, last: now}
		s.mu.Unlock()
		return tell
	}
}

// tell sends a notification to the agent, in the words of its era.
func (s *subscription) tell(method string, params []byte) {
	s.mu.Lock()
	muted := s.muted
	s.mu.Unlock()
	if muted {
		return
	}
	if s.era == mcp.Modern {
		tagged, err := s.tag(params)
		if err != nil {
			return // the agent could not tell what it belongs to
		}
		params = tagged
	}
	s.to.Notify(method, params)
}

// wants says whether the agent asked for a kind of notification.
func (s *subscription) wants(method string) bool {
	switch method {
	case "notifications/progress", "notifications/cancelled", "notifications/initialized":
		return false // of calls, or of the hop behind us
	case noteTask:
		return s.era == mcp.Modern && s.place().flight.direct.listening != nil
	case noteTaskStatus:
		return s.era == mcp.Legacy
	case methodAcknowledged, notifyUpdated:
		return true
	}
	if s.era == mcp.Legacy {
		return true
	}
	wanted, known := s.wanted[method]
	return wanted || !known && method != "notifications/message" // log messages belong to calls
}

// tag replaces the upstream's subscription id by the agent's.
func (s *subscription) tag(params []byte) ([]byte, error) {
	meta := []byte("{}")
	dst := []byte{'{'}
	if params != nil {
		err := mcp.Members(params, func(name, value []byte) error {
			if plain, _ := mcp.Unquote(name); plain == "_meta" {
				meta = value
				return nil
			}
			dst = append(append(append(append(dst, name...), ':'), value...), ',')
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	dst = append(append(dst, `"_meta":{"`+metaSubscription+`":`...), s.id...)
	err := mcp.Members(meta, func(name, value []byte) error {
		if plain, _ := mcp.Unquote(name); plain != metaSubscription {
			dst = append(append(append(append(dst, ','), name...), ':'), value...)
		}
		return nil
	})
	return append(dst, '}', '}'), err
}

// Ask implements mcp.Stream: nobody is asked outside of a call.
func (s *subscription) Ask(context.Context, string, []byte) (*mcp.Reply, error) {
	return &mcp.Reply{Error: &mcp.Error{Code: mcp.CodeMethodNotFound, Message: "this client is asked during its calls only"}}, nil
}
