// Package front is where agents meet the gateway: Streamable HTTP and stdio, both eras of MCP, one handler behind them.
//
// A message to the gateway takes one of three ways, the same for both transports; one to a single server has its own:
//
//	POST /mcp ─┐                  ┌─ tools/call ─→ Gateway.CallTool: arguments and result as raw bytes
//	           ├→ scan → era ─→ ──┼─ tools/list ─→ bytes rendered at the start
//	stdin line ┘                  └─ the rest ───→ mcp-go's server, behind a fence
//	POST /mcp/{server} → scan → era ─────────────→ Gateway.Direct: raw, as a stream of events once the server speaks
//
// The first is the path that is measured: one read of the body, one scan of the envelope, the result's bytes written
// between a head and a tail.
//
// The fence stands because mcp-go's server shares what it knows between agents that have no session of their own: it
// would deliver one agent's notifications to another, let one cancel another's request, and answer ids above 2^53 with a
// rounded one. So it never gets a session, a notification, a cancellation or a stream, and its ids are ours.
//
// What differs by era:
//
//	                legacy (2025-11-25 and older)       modern (2026-07-28)
//	version         negotiated by initialize            in each request, header and body alike
//	session         signed id that any proxy opens      none; a header that names one is ignored
//	cancellation    notifications/cancelled             the agent goes away
//	GET, DELETE     event stream, end of session        405
//	server asks     event, answered by another POST     a result, which the agent answers with another call
//	unknown method  200 and -32601                      404 and -32601
//
// It refuses foreign origins and hosts, bodies that are not one JSON-RPC message, callers without a key, session ids that
// are not the caller's, and modern requests whose headers say other than their body. It decides nothing about tools: that
// is the gateway's.
package front

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// Gateway performs what agents ask for.
type Gateway interface {
	// ToolsList returns the "tools" array of a tools/list result. It is asked for once.
	ToolsList() []byte
	// CallTool performs a tools/call; refusals are results. The error is an *mcp.Error where the request is wrong, one of
	// package auth where the key has been revoked meanwhile, and the context's where the call was cancelled.
	CallTool(ctx context.Context, c *gateway.Call) (*mcp.Reply, error)
	// Direct performs a request to one upstream as itself; its replies may be errors of the upstream's. Its error is as
	// CallTool's.
	Direct(ctx context.Context, d *gateway.Direct) (*mcp.Reply, error)
	// Unauthenticated records a request that was refused with 401, and why.
	Unauthenticated(c *gateway.Call, reason error)
}

// Authenticator finds out who sends a request, from its Authorization header. Its errors are those of package auth.
type Authenticator interface {
	Authenticate(authorization string) (*table.Principal, error)
}

// Config says what the front serves. Gateway is needed always, Auth for HTTP; everything else may be left out.
type Config struct {
	// Gateway performs the calls.
	Gateway Gateway
	// Auth identifies the senders of HTTP requests.
	Auth Authenticator
	// SealKey returns the key that signs session ids, nil while there is none; nil means that there never is one, and
	// legacy agents are then served without sessions. It is asked at each use, so that a new key holds at once.
	SealKey func() []byte
	// Address is where other proxies reach this one, host and port. Sessions that begin here name it as their home, and what
	// concerns them is forwarded here by the others. Empty means a fleet of one: nothing is forwarded.
	Address string
	// Peers returns the addresses of the other proxies, which hear of what may concern any of them; nil means that there are
	// none. The slice is not changed.
	Peers func() []string
	// EndSession is told when an agent's session is over, by its id; nil means that nobody needs to know.
	EndSession func(session string)
	// Version is the gateway's own version, which agents see beside its name; empty means "dev".
	Version string
	// MaxBody bounds a request's body, or a line on stdio, in bytes; 0 means 16 MiB. What an agent sends is arguments, so
	// this is generous; results, which may be larger, are not bounded here.
	MaxBody int64
	// PingEvery is how often an idle event stream gets a comment, so that nothing on the way cuts it; 0 means 25 s.
	PingEvery time.Duration
	// Patience is how long an HTTP agent may take to send a body, and half of how long to take each part of an answer; 0 means
	// 30 s. How long a tool takes does not count.
	Patience time.Duration
	// MaxHeaderNames bounds the different headers of a request; 0 means 100.
	MaxHeaderNames int
	// MaxStreams bounds the open streams of events of one principal, MaxHeld the bytes of its large bodies under way; 0 means
	// 16,384 and 256 MiB.
	MaxStreams int
	MaxHeld    int64
	// Refused is told of each refusal for one of these bounds; nil means that nobody counts.
	Refused func(limit.Name)
	// Parallel bounds the requests served at the same time on stdio; 0 means 64. While so many run, nothing more is read,
	// so that an agent that does not wait for answers slows itself and not the process.
	Parallel int
	// Logger gets what happens; nil discards it.
	Logger *slog.Logger
}

func (c *Config) maxBody() int64 { return cmp.Or(c.MaxBody, 16<<20) }

func (c *Config) pingEvery() time.Duration { return cmp.Or(c.PingEvery, 25*time.Second) }

func (c *Config) patience() time.Duration { return cmp.Or(c.Patience, 30*time.Second) }

func (c *Config) maxHeaderNames() int { return cmp.Or(c.MaxHeaderNames, 100) }

func (c *Config) maxStreams() int { return cmp.Or(c.MaxStreams, 16_384) }

func (c *Config) maxHeld() int64 { return cmp.Or(c.MaxHeld, 256<<20) }

func (c *Config) refused(name limit.Name) {
	if c.Refused != nil {
		c.Refused(name)
	}
}

func (c *Config) parallel() int { return cmp.Or(c.Parallel, 64) }

func (c *Config) version() string { return cmp.Or(c.Version, "dev") }

func (c *Config) logger() *slog.Logger { return cmp.Or(c.Logger, slog.New(slog.DiscardHandler)) }

func (c *Config) endSession(session string) {
	if c.EndSession != nil {
		c.EndSession(session)
	}
}

// Handler serves agents over HTTP as an http.Handler, and over stdio. It is safe for concurrent use.
type Handler struct {
	conf     Config
	log      *slog.Logger
	origins  *http.CrossOriginProtection // trusts no origin but the request's own host
	control  *control
	lists    [2]mcp.Reply // tools/list, by era
	sessions sessions
	calls    calls
	clients  clients
	asks     asks
	peers    peers
	forwards forwards
	streams  streams
	memory   exchanges
	jsonType []string // the Content-Type of answers, which all share and nobody changes
	tail     []byte   // of answers, likewise

	drain   sync.Once
	drained chan struct{} // closed by Drain
}

// New returns a handler. It asks the gateway for its tools once, and renders what tools/list answers: neither policy nor
// configuration changes the gateway's own tools.
func New(conf Config) *Handler {
	h := &Handler{
		conf:     conf,
		log:      conf.logger(),
		origins:  http.NewCrossOriginProtection(),
		control:  newControl(conf.version()),
		sessions: sessions{key: conf.SealKey},
		peers:    peers{client: newPeerClient()},
		streams:  streams{every: conf.pingEvery()},
		drained:  make(chan struct{}),
		jsonType: []string{"application/json"},
		tail:     []byte(mcp.ResponseTail),
	}
	h.lists = renderLists(conf.Gateway.ToolsList(), conf.version())
	return h
}

// Drain ends the open event streams, which nothing else would end, so that the HTTP server can shut down. Calls under way
// go on. It may be called more than once.
func (h *Handler) Drain() {
	h.drain.Do(func() {
		close(h.drained)
		h.streams.drain()
	})
}

// Wait waits until the streams that Drain ends are gone. The HTTP server does not know most of them any more.
func (h *Handler) Wait() { h.streams.tasks.Wait() }

// Close waits for what other proxies are being told, which takes seconds at most, and lets the connections to them go. It is
// for when no more requests come.
func (h *Handler) Close() { h.peers.close() }
