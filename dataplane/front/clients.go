package front

import (
	"bytes"
	"container/list"
	"slices"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// maxClients bounds the legacy sessions of which something is remembered. Most need nothing to be.
	maxClients = 64 << 10
	// maxRemembered bounds what is remembered of all sessions together, in bytes.
	maxRemembered = 64 << 20
	// maxClient bounds what a client can declare of itself, in bytes.
	maxClient = 16 << 10
	// maxURIs bounds the subscriptions of a session that are remembered.
	maxURIs = 256
)

// client is what is remembered of the agent of a legacy session. It is replaced, never changed.
type client struct {
	declared *mcp.Client // where it is too large for the session's id
	level    []byte      // raw, of logging/setLevel; nil where it set none
	uris     []string    // of the resources that it subscribed to, each once
}

// size is about what a client takes, in bytes.
func (c *client) size() int {
	n := 256 + len(c.level)
	if c.declared != nil {
		n += len(c.declared.Capabilities) + len(c.declared.Info)
	}
	for _, u := range c.uris {
		n += 16 + len(u)
	}
	return n
}

// clients remember of the agents of legacy sessions what their ids have no place for. Only this process knows it. Where it
// is too much, the session that was not used for longest is forgotten. The zero value is ready.
type clients struct {
	mu    sync.Mutex // guards below
	m     map[string]*list.Element
	order list.List // of *remembered, the last used in front
	size  int       // of all, in bytes
}

// remembered is a session and its client.
type remembered struct {
	session string
	client  client
}

// declare remembers what a session's client declared.
func (c *clients) declare(session string, declaration *mcp.Client) {
	c.change(session, func(k *client) { k.declared = declaration })
}

// setLevel remembers the log level that a session's client has set, raw.
func (c *clients) setLevel(session string, level []byte) {
	if len(level) < 64 {
		c.change(session, func(k *client) { k.level = bytes.Clone(level) })
	}
}

// subscribe remembers, or forgets, that a session's client wants to hear of a resource.
func (c *clients) subscribe(session, uri string, wanted bool) {
	c.change(session, func(k *client) {
		if wanted && (len(k.uris) >= maxURIs || len(uri) > maxClient) || wanted == slices.Contains(k.uris, uri) {
			return
		}
		k.uris = slices.DeleteFunc(slices.Clone(k.uris), func(u string) bool { return u == uri })
		if wanted {
			k.uris = append(k.uris, strings.Clone(uri))
		}
	})
}

// change changes what is remembered of a session's client.
func (c *clients) change(session string, how func(k *client)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.m[session]
	if e == nil {
		if c.m == nil {
			c.m = make(map[string]*list.Element)
		}
		r := &remembered{session: strings.Clone(session)}
		e = c.order.PushFront(r)
		c.m[r.session] = e
		c.size += r.client.size()
	}
	k := &e.Value.(*remembered).client //nolint:forcetypeassert // nothing else is put there
	c.size -= k.size()
	how(k)
	c.size += k.size()
	c.order.MoveToFront(e)
	for c.order.Len() > 1 && (c.order.Len() > maxClients || c.size > maxRemembered) {
		c.forgetLocked(c.order.Back())
	}
}

// of returns what is remembered of a session's client.
func (c *clients) of(session string) client {
	if session == "" {
		return client{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.m[session]
	if e == nil {
		return client{}
	}
	c.order.MoveToFront(e)
	return e.Value.(*remembered).client //nolint:forcetypeassert // nothing else is put there
}

// forget drops a session's client.
func (c *clients) forget(session string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.m[session]; e != nil {
		c.forgetLocked(e)
	}
}

// forgetLocked drops one client. A stream that is open goes on with what was known.
func (c *clients) forgetLocked(e *list.Element) {
	r := c.order.Remove(e).(*remembered) //nolint:forcetypeassert // nothing else is put there
	c.size -= r.client.size()
	delete(c.m, r.session)
}

// client is what the sender of a request declared of itself: in the request itself in the modern era, and in the legacy era
// in the initialize that is the request, or that began the session, of which its id tells. It shares no memory with the
// request.
func (h *Handler) client(x *exchange) *mcp.Client {
	if x.era == mcp.Modern {
		var v [1][]byte
		if _, err := mcp.Pick(x.params.meta, []string{mcp.MetaClientInfo}, v[:]); err != nil {
			v[0] = nil // ambiguous: the upstream need not know
		}
		return declared(x.params.capabilities, v[0], x.params.version)
	}
	if x.msg.Method != "initialize" {
		return h.sessionClient(x)
	}
	var v [3][]byte
	if _, err := mcp.Pick(x.msg.Params, []string{"capabilities", "clientInfo", "protocolVersion"}, v[:]); err != nil {
		return nil
	}
	version, _ := mcp.Unquote(v[2])
	return declared(v[0], v[1], version)
}

// sessionClient is what the client of a session declared when it began; nil where there is no session.
func (h *Handler) sessionClient(x *exchange) *mcp.Client {
	s := &x.session
	if s.ID == "" {
		return nil
	}
	if c := h.clients.of(s.ID).declared; c != nil {
		return c
	}
	return declared(s.Capabilities, s.Info, s.Version)
}

// declared makes a client of raw members, of which only objects of a reasonable size count.
func declared(capabilities, info []byte, version string) *mcp.Client {
	c := &mcp.Client{Version: version}
	if isObject(capabilities) && len(capabilities) <= maxClient {
		c.Capabilities = bytes.Clone(capabilities)
	}
	if isObject(info) && len(info) <= maxClient {
		c.Info = bytes.Clone(info)
	}
	return c
}
