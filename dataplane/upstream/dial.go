package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// dialer opens connections to one server. All it remembers between them is the era.
type dialer struct {
	// name is the server's, for messages.
	name string
	// spec is the definition, with its references as written: they are resolved anew for every connection.
	spec *gatehousev1.Server
	cfg  *Config
	mem  *memory
	// spills take what is too large for mem.
	spills *spills
	// http and direct are shared by all servers, and so are their TCP connections.
	http   *http.Transport
	direct *h1.Client
	log    *slog.Logger
	// hooks are handed to every connection.
	hooks hooks
	// headers gives the Mcp-Param-* headers of a call in the modern era; nil for almost all.
	headers func(c *mcp.Call) map[string]string
	// legacy says that the last handshake found a legacy server: the next one spares itself the probe, which costs a
	// round trip, or seconds with a server that keeps silent. A handshake that goes wrong forgets it.
	legacy *atomic.Bool
	// offers are what the server's requests are answered with on the gateway's own sessions; nil refuses them.
	offers *offers
	// client is the agent whose own the connections are; nil for those of the gateway.
	client *mcp.Client
}

// as returns a dialer of connections that are an agent's own.
func (d *dialer) as(client *mcp.Client) *dialer {
	if client == nil {
		return d
	}
	own := *d
	// What one agent's session speaks says nothing about those of others.
	own.client, own.offers, own.legacy = client, nil, new(atomic.Bool)
	return &own
}

// dial opens a connection and performs the handshake.
func (d *dialer) dial(ctx context.Context) (conn, *hello, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.ConnectTimeout)
	defer cancel()
	// Values come from the environment at this moment, so a changed one counts with the next connection.
	r := &resolver{lookup: d.cfg.Environ}
	c, h, err := d.open(ctx, r)
	switch {
	case err == nil:
		return c, h, nil
	// The deadline is ours, not the call's, so to the caller it is a server that is down and not a call that took long.
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, nil, unavailable(d.name, fmt.Sprintf("did not finish the handshake within %v", d.cfg.ConnectTimeout))
	case errors.Is(err, mcp.ErrUnavailable):
		return nil, nil, fmt.Errorf("%w: %s", mcp.ErrUnavailable, r.scrub(bare(err)))
	}
	return nil, nil, fmt.Errorf("%w: server %s: %s", mcp.ErrUnavailable, d.name, r.scrub(err.Error()))
}

// open resolves the references and opens a connection; its error need not be fit to be shown.
func (d *dialer) open(ctx context.Context, r *resolver) (conn, *hello, error) {
	switch spec := d.spec.GetTransport().(type) {
	case *gatehousev1.Server_Stdio:
		return d.openStdio(ctx, r, spec.Stdio)
	case *gatehousev1.Server_Http:
		return d.openHTTP(ctx, r, spec.Http)
	}
	return nil, nil, errors.New("has no transport")
}

// openStdio starts the program and performs the handshake with it.
func (d *dialer) openStdio(ctx context.Context, r *resolver, spec *gatehousev1.Stdio) (conn, *hello, error) {
	p := program{
		command: r.expand(spec.GetCommand()),
		args:    r.expandAll(spec.GetArgs()),
		env:     childEnv(d.cfg.Environ, r.expandMap(spec.GetEnv())),
		dir:     spec.GetCwd(),
		log:     d.log,
		scrub:   r.scrub,
	}
	if err := r.err(); err != nil {
		return nil, nil, err
	}
	c, h, err := d.startAndGreet(ctx, p)
	if errors.Is(err, errProbeLost) && ctx.Err() == nil {
		// It may be one that ends at a request it does not expect before initialize.
		d.legacy.Store(true)
		c, h, err = d.startAndGreet(ctx, p)
	}
	return c, h, err
}

// startAndGreet starts the program once.
func (d *dialer) startAndGreet(ctx context.Context, p program) (conn, *hello, error) {
	c, err := dialStdio(d, p)
	if err != nil {
		return nil, nil, err
	}
	return d.greet(ctx, c)
}

// openHTTP connects over the transport that the definition names. Where it names none, the older one is tried after the
// newer one was refused.
func (d *dialer) openHTTP(ctx context.Context, r *resolver, spec *gatehousev1.Http) (conn, *hello, error) {
	e, err := d.newEndpoint(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	named := spec.GetTransport() != gatehousev1.HttpTransport_HTTP_TRANSPORT_UNSPECIFIED
	old := spec.GetTransport() == gatehousev1.HttpTransport_HTTP_TRANSPORT_SSE
	if old || !named && slices.Contains(strings.Split(e.url.Load().Path, "/"), "sse") {
		return d.openSSE(ctx, e)
	}
	c, h, err := d.greet(ctx, &httpConn{endpoint: e, headers: d.headers})
	if err == nil || named || !oldTransport(err) {
		return c, h, err
	}
	if e, again := d.newEndpoint(ctx, r); again == nil {
		if c, h, again := d.openSSE(ctx, e); again == nil {
			return c, h, nil
		}
	}
	return nil, nil, err // the first refusal says more
}

// openSSE connects over HTTP+SSE, which exists in the legacy era alone.
func (d *dialer) openSSE(ctx context.Context, e *endpoint) (conn, *hello, error) {
	c, err := dialSSE(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	return d.greet(ctx, c)
}
