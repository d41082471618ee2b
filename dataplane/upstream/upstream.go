package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Upstream is one server, with its sessions and its catalogue.
type Upstream struct {
	// name, mode and absent never change.
	name   string
	mode   gatehousev1.SessionMode
	absent string // why there is nothing behind it, if so
	cfg    *Config
	log    *slog.Logger
	// dialer is nil where absent is set.
	dialer *dialer
	cat    catalogueCache
	// shared is used by the shared mode alone, and is there in all.
	shared *session // the one session of the shared mode

	// keeps says that the server keeps tasks of the legacy era.
	keeps atomic.Bool

	// What Status says is kept where it happens, so that asking for it disturbs nobody.
	live    atomic.Int64           // connections that work
	calls   limit.Count            // under way
	failure atomic.Pointer[string] // why the last attempt to use the server came to nothing

	mu       sync.Mutex // guards below
	closed   bool
	keyed    map[owner]*session    // of the modes agent and session
	open     map[*session]struct{} // all but the shared one, those that end included
	closing  int                   // of open, those being closed
	failures int                   // dials that failed in a row
	retryAt  time.Time
	pause    *backoff.ExponentialBackOff
	tasks    sync.WaitGroup // sessions being closed, catalogues being read
}

// disabled is why an operator's switch keeps a server out of service.
const disabled = "is disabled"

// newUpstream makes the upstream of a server; nothing is opened.
func newUpstream(p *Pool, s *table.Server) *Upstream {
	u := &Upstream{
		name: s.Name, mode: s.Spec.GetSession(), cfg: &p.cfg, log: p.cfg.Logger.With("server", s.Name),
		keyed: make(map[owner]*session), open: make(map[*session]struct{}), pause: newPause(),
	}
	u.shared = &session{up: u}
	u.cat.up = u
	u.dialer = &dialer{
		name: s.Name, spec: s.Spec, cfg: &p.cfg, mem: &p.mem, spills: p.spills, http: p.http, direct: p.direct, log: u.log,
		hooks: hooks{changed: u.cat.invalidate, down: u.down}, headers: u.cat.paramHeaders, legacy: new(atomic.Bool),
		offers: newOffers(s.Spec.GetQuestions()),
	}
	return u
}

// newPause is how long to wait between attempts: from about 200 ms to about 30 s, with jitter, so that proxies that lost one
// server at the same time do not come back to it at the same time.
func newPause() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = 200*time.Millisecond, 30*time.Second, 2
	b.Reset()
	return b
}

// Call performs a call on the session that the server's mode gives to the caller, opening it if need be. Its error wraps
// mcp.ErrUnavailable, mcp.ErrBusy, mcp.ErrTimeout or mcp.ErrInvalidResponse, or is the context's where the caller went away; a call
// that ends with its context is cancelled at the server. A request that the server provably did not execute is sent once
// more, on a new connection.
func (u *Upstream) Call(ctx context.Context, c *mcp.Call) (*mcp.Reply, error) {
	// The gateway gives every call a deadline; this is for callers that forgot.
	if _, ok := ctx.Deadline(); !ok {
		bounded, cancel := context.WithTimeout(ctx, u.cfg.CallTimeout)
		defer cancel()
		ctx = bounded
	}
	if !u.calls.Take(1, int64(u.cfg.MaxCalls)) {
		u.cfg.Refused(limit.Waiting)
		return nil, fmt.Errorf("%w: server %s has %d calls under way, as many as it may have", mcp.ErrBusy, u.name, u.cfg.MaxCalls)
	}
	defer u.calls.Give(1)
	// No retry but this one: a tool may have effects, and whether it ran cannot be told from outside.
	reply, err := u.attempt(ctx, c)
	if errors.Is(err, errNotExecuted) && ctx.Err() == nil {
		reply, err = u.attempt(ctx, c)
	}
	if err == nil && reply.Error != nil && reply.Error.Code == mcp.CodeHeaderMismatch {
		return u.refreshed(ctx, c, reply)
	}
	return reply, err
}

// attempt performs a call once.
func (u *Upstream) attempt(ctx context.Context, c *mcp.Call) (reply *mcp.Reply, err error) {
	s, err := u.acquire(c)
	if err != nil {
		return nil, err
	}
	defer func() { u.giveBack(s, c, err) }()
	l, err := s.ready(ctx)
	if err != nil {
		return nil, err
	}
	reply, err = l.call(ctx, c)
	u.note(err)
	return reply, err
}

// note keeps what a call says about the server's health; on the usual path it only reads.
func (u *Upstream) note(err error) {
	switch {
	case err == nil && u.failure.Load() != nil:
		u.failure.Store(nil)
	case errors.Is(err, mcp.ErrUnavailable):
		u.fails(err)
	}
}

// refreshed repeats a call whose headers did not fit what the server expects: it changed the tool's schema
// (MCP 2026-07-28, basic/transports/streamable-http §Custom headers).
func (u *Upstream) refreshed(ctx context.Context, c *mcp.Call, refused *mcp.Reply) (*mcp.Reply, error) {
	if _, err := u.Refresh(ctx); err != nil {
		u.log.Debug("headers were refused, and so was the catalogue", "reason", err)
		return refused, nil // the first answer says more
	}
	return u.attempt(ctx, c)
}

// mayDial says whether the server may be tried: at once after one failure, after a growing pause from the second on.
func (u *Upstream) mayDial() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return u.shutDown()
	}
	// The pause is the server's, not a session's: what keeps one session from starting keeps them all.
	wait := time.Until(u.retryAt)
	if wait <= 0 {
		return nil
	}
	why := "server " + u.name + " did not start"
	if f := u.failure.Load(); f != nil {
		why = *f
	}
	return fmt.Errorf("%w: %s; next attempt in %v", mcp.ErrUnavailable, why, wait.Round(100*time.Millisecond))
}

// dialled counts an attempt to connect.
func (u *Upstream) dialled(s *session, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		u.failures, u.retryAt = 0, time.Time{}
		u.pause.Reset()
		u.live.Add(1)
		u.failure.Store(nil)
		u.log.Debug("connected", "agent", s.owner.agent)
		return
	}
	// One failure costs nothing: a crash between two calls should not show.
	if u.failures++; u.failures > 1 {
		u.retryAt = time.Now().Add(u.pause.NextBackOff())
	}
	u.fails(err)
	u.log.Warn("connecting did not work", "reason", err, "attempt", u.failures)
}

// down is what a connection tells when it was lost.
func (u *Upstream) down(err error) {
	u.fails(err)
	u.log.Warn("connection lost", "reason", err)
	if u.isShared() {
		u.cat.invalidate() // the next process may be another version
	}
}

// fails keeps the reason for Status. It is worded for people, without resolved references.
func (u *Upstream) fails(err error) {
	text := bare(err)
	u.failure.Store(&text)
}

// Status is how an upstream is doing.
type Status struct {
	// State is idle, ready, unavailable or disabled.
	State string
	// Error says why it is unavailable, without secrets.
	Error string
	// Tools are the names in the catalogue, sorted; nil while it has not been read.
	Tools []string
}

// Status says how the upstream is doing, as far as is known without asking it.
func (u *Upstream) Status() Status {
	// A failure outweighs connections that work: it is what an operator looks for.
	st := Status{State: "idle"}
	switch u.absent {
	case "":
	case disabled:
		return Status{State: "disabled"}
	default:
		return Status{State: "unavailable", Error: bare(u.shutDown())}
	}
	if c := u.cat.kept.Load(); c != nil {
		st.Tools = c.names
	}
	if f := u.failure.Load(); f != nil {
		st.State, st.Error = "unavailable", *f
	} else if u.live.Load() > 0 {
		st.State = "ready"
	}
	return st
}

// background runs something beside the caller, which close waits for.
func (u *Upstream) background(task func()) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return u.shutDown()
	}
	u.tasks.Go(task)
	return nil
}

// shutDown says why an upstream is of no use for good.
func (u *Upstream) shutDown() error {
	if u.absent != "" {
		return unavailable(u.name, u.absent)
	}
	return unavailable(u.name, "was shut down")
}

// absent is the upstream of a server that is not in service.
func absent(cfg *Config, s *table.Server) *Upstream {
	u := &Upstream{name: s.Name, absent: "is not in service", cfg: cfg, log: cfg.Logger, closed: true}
	if s.Spec.GetDisabled() {
		u.absent = disabled
	}
	u.cat.up = u
	return u
}
