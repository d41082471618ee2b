package front

import (
	"bytes"
	"slices"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// maxClients bounds the legacy sessions whose clients are remembered; one that is forgotten is taken for a client that
	// declared nothing.
	maxClients = 4096
	// maxClient bounds what a client can declare of itself, in bytes.
	maxClient = 16 << 10
	// maxURIs bounds the subscriptions of a session that are remembered.
	maxURIs = 256
)

// client is what is known of the agent of a legacy session.
type client struct {
	*mcp.Client        // nil where nothing is known
	level       []byte // raw, of logging/setLevel; nil where it set none
	// uris are the resources that it subscribed to, each once. They are replaced, never changed.
	uris []string
	// changed is closed when uris are replaced; nil where nothing is known.
	changed chan struct{}
}

// clients remember what the agents of legacy sessions declared of themselves in initialize. Only this process knows it.
// The zero value is ready.
type clients struct {
	mu    sync.Mutex // guards below
	m     map[string]client
	order []string // of m, oldest at next once it is full
	next  int
}

// add remembers a session's client.
func (c *clients) add(session string, declaration *mcp.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = make(map[string]client)
	}
	if len(c.order) < maxClients {
		c.order = append(c.order, session)
	} else {
		delete(c.m, c.order[c.next])
		c.order[c.next] = session
		c.next = (c.next + 1) % maxClients
	}
	c.m[session] = client{Client: declaration, changed: make(chan struct{})}
}

// setLevel remembers the log level that a session's client has set, raw, if that client is remembered.
func (c *clients) setLevel(session string, level []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.m[session]; ok && len(level) < 64 {
		known.level = bytes.Clone(level)
		c.m[session] = known
	}
}

// subscribe remembers, or forgets, that a session's client wants to hear of a resource, if that client is remembered.
func (c *clients) subscribe(session, uri string, wanted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.m[session]
	if !ok || wanted && (len(known.uris) >= maxURIs || len(uri) > maxClient) || wanted == slices.Contains(known.uris, uri) {
		return
	}
	others := slices.DeleteFunc(slices.Clone(known.uris), func(u string) bool { return u == uri })
	if wanted {
		others = append(others, uri)
	}
	close(known.changed)
	known.uris, known.changed = others, make(chan struct{})
	c.m[session] = known
}

// of returns what is known of a session's client.
func (c *clients) of(session string) client {
	if session == "" {
		return client{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[session]
}

// forget drops a session's client; its place in the order stays until it is used again.
func (c *clients) forget(session string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, session)
}

// client is what the sender of a request declared of itself: in the request itself in the modern era, and in the
// initialize that began the session, or that is the request, in the legacy era. It shares no memory with the request.
func (h *Handler) client(x *exchange) *mcp.Client {
	if x.era == mcp.Modern {
		var v [1][]byte
		if _, err := mcp.Pick(x.params.meta, []string{mcp.MetaClientInfo}, v[:]); err != nil {
			v[0] = nil // ambiguous: the upstream need not know
		}
		return declared(x.params.capabilities, v[0], x.params.version)
	}
	if x.msg.Method != "initialize" {
		return h.clients.of(x.call.Session).Client
	}
	var v [3][]byte
	if _, err := mcp.Pick(x.msg.Params, []string{"capabilities", "clientInfo", "protocolVersion"}, v[:]); err != nil {
		return nil
	}
	version, _ := mcp.Unquote(v[2])
	return declared(v[0], v[1], version)
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
