package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// hello is what a handshake found out, and so how requests are written. The zero value is the time before it. It is never
// changed.
type hello struct {
	// era decides whether requests carry our part of _meta.
	era mcp.Era
	// version is sent in a header over HTTP; empty before the handshake.
	version string
	// meta are the members that each request of the modern era has in its _meta, raw and without braces.
	meta []byte
	// listChanged says that the server tells when its tools change.
	listChanged bool
	// tasks says that a legacy server keeps tasks.
	tasks bool
	// talks says that a legacy server may say things on its own.
	talks bool
	// result is the raw result of the handshake, whose bytes are its own.
	result []byte
	// identity is how the gateway names itself, for agents that do not name themselves.
	identity []byte
}

// appendRequest writes a request as the era wants it; everything in the params but _meta stays as it is.
func (h *hello) appendRequest(dst []byte, id int64, c *mcp.Call) ([]byte, error) {
	if h.era == mcp.Legacy {
		return mcp.AppendRequest(dst, id, c.Method, c.Params), nil
	}
	dst = mcp.AppendRequest(dst, id, c.Method, nil)
	// The params follow where the request without any would end.
	dst = append(dst[:len(dst)-1], `,"params":`...)
	write, meta := mcp.AppendWithMeta, h.meta
	if c.Client != nil {
		write, meta = mcp.AppendJoinedMeta, h.metaOf(c.Client)
	}
	dst, err := write(dst, c.Params, meta)
	if err != nil {
		return nil, fmt.Errorf("writing request %s: %w", c.Method, err)
	}
	return append(dst, '}'), nil
}

// metaOf are the members of _meta for a request in an agent's name.
func (h *hello) metaOf(client *mcp.Client) []byte {
	capabilities, info := client.Capabilities, client.Info
	if capabilities == nil {
		capabilities = []byte("{}")
	}
	if info == nil {
		info = h.identity
	}
	return fmt.Appendf(nil, `%q:%q,%q:%s,%q:%s`, mcp.MetaVersion, mcp.ModernVersion,
		mcp.MetaCapabilities, capabilities, mcp.MetaClientInfo, info)
}

// greet performs the handshake over a new connection, which it closes if that does not work out.
func (d *dialer) greet(ctx context.Context, c conn) (conn, *hello, error) {
	h, err := d.handshake(ctx, c)
	if err != nil {
		d.legacy.Store(false) // it may have become another server since
		c.close()
		return nil, nil, err
	}
	d.legacy.Store(h.era == mcp.Legacy)
	c.speak(h)
	return c, h, nil
}

// handshake finds out how to speak to a server: the era, the version, and what it offers.
func (d *dialer) handshake(ctx context.Context, c conn) (*hello, error) {
	if _, old := c.(*sseConn); old || d.legacy.Load() { // HTTP+SSE exists in the legacy era alone
		return d.initialize(ctx, c)
	}
	if d.client == nil {
		return d.negotiate(ctx, c)
	}
	// The agent takes requests of servers, which the legacy era alone has: a server of both eras speaks that one to it.
	h, err := d.initialize(ctx, c)
	if err == nil || ctx.Err() != nil || !refusedLegacy(err) {
		return h, err
	}
	return d.negotiate(ctx, c)
}

// refusedLegacy says whether a server may have refused initialize because it speaks the modern era alone.
func refusedLegacy(err error) bool {
	status, ok := errors.AsType[*statusError](err)
	return errors.Is(err, errRefused) || ok && status.legacyEvidence()
}

// errRefused says that a server answered initialize with an error.
var errRefused = errors.New("refuses initialize")

// negotiate finds the era (MCP 2026-07-28, basic/versioning). server/discover is asked first. A server that names the
// modern version among those it supports is modern; after any other answer, or none within the probe's time, initialize
// is tried. An answer to the probe that comes even later still counts, since a slow starter answers both.
func (d *dialer) negotiate(ctx context.Context, c conn) (*hello, error) {
	// The probe runs beside us, because it may have to go on while initialize is tried.
	var probing sync.WaitGroup
	defer probing.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	modern := d.modern()
	// Over HTTP the version has to be in the headers of the probe itself.
	c.speak(modern)
	probe := make(chan probed, 1)
	probing.Go(func() {
		h, err := d.discover(ctx, c, modern)
		probe <- probed{h, err}
	})
	patience := time.NewTimer(d.cfg.ProbeTimeout)
	defer patience.Stop()
	select {
	case p := <-probe:
		if p.err == nil || !legacyEvidence(p.err) {
			return p.hello, d.probeError(c, p.err)
		}
		c.speak(new(hello))
		return d.initialize(ctx, c)
	case <-patience.C:
		c.speak(new(hello))
		return d.initializeBesides(ctx, c, probe)
	}
}

// errProbeLost says that the connection was lost while the server had server/discover before it.
var errProbeLost = errors.New("gone after server/discover")

// probeError marks the error of a probe that the server did not survive.
func (d *dialer) probeError(c conn, err error) error {
	select {
	case <-c.lost():
		if err != nil {
			return fmt.Errorf("%w; %w", err, errProbeLost)
		}
	default:
	}
	return err
}

// probed is the outcome of server/discover.
type probed struct {
	hello *hello
	err   error
}

// initializeBesides tries initialize while server/discover is unanswered: the first that works wins.
func (d *dialer) initializeBesides(ctx context.Context, c conn, probe <-chan probed) (*hello, error) {
	// A server of both eras answers both; initialize then wins, and the legacy era works as well.
	h, err := d.initialize(ctx, c)
	if err == nil || ctx.Err() != nil {
		return h, err
	}
	select {
	case p := <-probe:
		if p.err == nil {
			return p.hello, nil
		}
	case <-c.lost():
	case <-ctx.Done():
	}
	return nil, d.probeError(c, err)
}

// modern is how requests are written to a modern server.
func (d *dialer) modern() *hello {
	h := &hello{era: mcp.Modern, version: mcp.ModernVersion, identity: d.identity()}
	h.meta = h.metaOf(new(mcp.Client))
	return h
}

// identity is how the gateway names itself to servers.
func (d *dialer) identity() []byte {
	b := mcp.AppendString([]byte(`{"name":"gatehouse","version":`), d.cfg.Version)
	return append(b, '}')
}

// introduction are the params of initialize: an agent's own, where the connection is, else the gateway's.
func (d *dialer) introduction() []byte {
	version, capabilities, info := mcp.LegacyVersions[0], []byte("{}"), d.identity()
	if d.offers != nil {
		capabilities = d.offers.capabilities
	}
	if c := d.client; c != nil {
		if slices.Contains(mcp.LegacyVersions, c.Version) {
			version = c.Version
		}
		if c.Info != nil {
			info = c.Info
		}
		if c.Capabilities != nil {
			capabilities = c.Capabilities
		}
	}
	return fmt.Appendf(nil, `{"protocolVersion":%q,"capabilities":%s,"clientInfo":%s}`, version, capabilities, info)
}

// changing is what a server says about one of its lists.
type changing struct {
	ListChanged bool `json:"listChanged"`
	Subscribe   bool `json:"subscribe"`
}

// capabilities are what both handshakes say about what may change.
type capabilities struct {
	Tools     changing `json:"tools"`
	Prompts   changing `json:"prompts"`
	Resources changing `json:"resources"`
	// Tasks are those of the legacy era.
	Tasks json.RawMessage `json:"tasks"`
}

// talks says whether the server has anything to say on its own.
func (c *capabilities) talks() bool {
	return c.Tools.ListChanged || c.Prompts.ListChanged || c.Resources.ListChanged || c.Resources.Subscribe
}

// errLegacy says that the probe came to an end that a legacy server may give it.
var errLegacy = errors.New("the server does not speak " + mcp.ModernVersion)

// discover asks a server for its versions; success alone proves nothing, since legacy servers may answer it as well.
func (d *dialer) discover(ctx context.Context, c conn, modern *hello) (*hello, error) {
	reply, err := c.call(ctx, &mcp.Call{Method: "server/discover"})
	if err != nil {
		return nil, err
	}
	defer reply.Close()
	if reply.Error != nil {
		return nil, refusedProbe(reply.Error)
	}
	var result struct {
		// A legacy server that happens to know the method names its own versions only.
		SupportedVersions []string     `json:"supportedVersions"`
		Capabilities      capabilities `json:"capabilities"`
	}
	if err := json.Unmarshal(reply.Result, &result); err != nil || !slices.Contains(result.SupportedVersions, mcp.ModernVersion) {
		return nil, errLegacy
	}
	h := *modern
	h.listChanged, h.result = result.Capabilities.Tools.ListChanged, bytes.Clone(reply.Result)
	return &h, nil
}

// refusedProbe tells a modern server that refuses the request from a legacy one that does not know the method.
func refusedProbe(e *mcp.Error) error {
	if e.Code == mcp.CodeHeaderMismatch || e.Code == mcp.CodeMissingCapability {
		return fmt.Errorf("refuses server/discover: %w", e)
	}
	return errLegacy
}

// legacyEvidence says whether a probe that went wrong is a reason to try initialize. A server that is down, overloaded
// or wants other credentials says nothing about its era.
func legacyEvidence(err error) bool {
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.legacyEvidence()
	}
	return errors.Is(err, errLegacy) || errors.Is(err, mcp.ErrInvalidResponse)
}

// initialize performs the legacy handshake (MCP 2025-11-25, basic/lifecycle).
func (d *dialer) initialize(ctx context.Context, c conn) (*hello, error) {
	reply, err := c.call(ctx, &mcp.Call{Method: "initialize", Params: d.introduction()})
	if err != nil {
		return nil, err
	}
	defer reply.Close()
	if reply.Error != nil {
		return nil, fmt.Errorf("%w: %w", errRefused, reply.Error)
	}
	var result struct {
		ProtocolVersion string       `json:"protocolVersion"`
		Capabilities    capabilities `json:"capabilities"`
	}
	if err := json.Unmarshal(reply.Result, &result); err != nil {
		return nil, fmt.Errorf("reading its answer to initialize: %w", err)
	}
	if !slices.Contains(mcp.LegacyVersions, result.ProtocolVersion) {
		return nil, fmt.Errorf("speaks MCP version %q, which the gateway does not", result.ProtocolVersion)
	}
	h := &hello{version: result.ProtocolVersion, result: bytes.Clone(reply.Result), tasks: result.Capabilities.Tasks != nil}
	h.listChanged, h.talks = result.Capabilities.Tools.ListChanged, result.Capabilities.talks() || d.client != nil
	// The version belongs into the headers of the notification already.
	c.speak(h)
	return h, c.notify(ctx, "notifications/initialized", nil)
}
