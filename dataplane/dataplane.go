package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/follow"
	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// errDraining is why an agent on a pipe is left when the proxy ends.
var errDraining = errors.New("the proxy is shutting down")

// Config says what a proxy serves, and whom it follows. StateDir is needed; everything else has a default.
type Config struct {
	// ControlPlane is the address of the control plane's gRPC listener; empty means 127.0.0.1:9090.
	ControlPlane string
	// Listen is the address that serves agents; empty means 127.0.0.1:8080. It must be on loopback.
	Listen string
	// AdminListen is the address for health and metrics; empty means 127.0.0.1:8081. It must be on loopback.
	AdminListen string
	// Advertise is the address at which other proxies reach Listen, host and port; empty means the address that was bound.
	Advertise string
	// StateDir is the folder of the last good snapshot; it is made, with mode 0700, where it does not exist.
	StateDir string
	// ID is the proxy's name in the fleet; empty means the host's name and a number that StateDir keeps.
	ID string
	// Labels are the operator's.
	Labels map[string]string
	// Auth says how callers prove who they are; empty means auth.Key.
	Auth auth.Mode
	// Audit is the file of the audit log, "-" for Stdout; empty means audit.jsonl in StateDir.
	Audit string
	// Stdout takes the audit log where Audit is "-"; nil means os.Stdout.
	Stdout io.Writer
	// Debug adds get_gateway_status, and rules to refusals.
	Debug bool
	// Version is the program's version; empty means "dev".
	Version string
	// Features are what the proxy understands of snapshots; nil means all that this build does. A proxy that lacks one
	// refuses what requires it: so a fleet of several builds can be tried out in one process.
	Features []string
	// Environ looks up what ${VAR} in servers refers to; nil means os.LookupEnv.
	Environ func(name string) (string, bool)
	// Limits bound what agents and upstreams may use; each that is zero has its default.
	Limits Limits
	// DrainTimeout bounds how long calls under way may take to end at shutdown; 0 means 20 s.
	DrainTimeout time.Duration
	// Logger takes what operators should see; nil discards it.
	Logger *slog.Logger
}

// withDefaults returns c with every field set that may be empty, or says what is missing or wrong.
func (c Config) withDefaults() (Config, error) {
	or := func(s *string, otherwise string) {
		if *s == "" {
			*s = otherwise
		}
	}
	or(&c.ControlPlane, "127.0.0.1:9090")
	or(&c.Listen, "127.0.0.1:8080")
	or(&c.AdminListen, "127.0.0.1:8081")
	or(&c.Audit, filepath.Join(c.StateDir, "audit.jsonl"))
	or((*string)(&c.Auth), string(auth.Key))
	or(&c.Version, "dev")
	c.Limits = c.Limits.withDefaults()
	if c.Stdout == nil {
		c.Stdout = os.Stdout
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 20 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.StateDir == "":
		return c, errors.New("a state directory is needed")
	case c.Auth != auth.Key && c.Auth != auth.None:
		return c, fmt.Errorf("auth must be %q or %q, not %q", auth.Key, auth.None, c.Auth)
	}
	return c, checkAdvertise(c.Advertise)
}

// Server is one proxy. New binds its addresses, Run serves them. A process may hold several: nothing is shared but the
// metrics of the process itself.
type Server struct {
	config   Config
	log      *slog.Logger
	live     *live
	listener net.Listener
	admin    net.Listener
	lock     *os.File // of the state directory
	audit    *record.Log
	registry *prometheus.Registry
	pool     *upstream.Pool
	follower *follow.Follower
	gateway  *gateway.Gateway
	front    *front.Handler
	agents   *h1.Server
	health   *http.Server

	handlers sync.WaitGroup // requests of agents, and agents on pipes
	refused  func(limit.Name)
	draining chan struct{} // closed when shutdown begins
	pipes    sync.Mutex    // held to add an agent on a pipe, and to begin the shutdown
}

// New takes what only one process can have, the addresses and the audit log, so that Addr is known before Run.
func New(c Config) (*Server, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("configuring proxy: %w", err)
	}
	s := &Server{config: c, log: c.Logger, live: newLive(), registry: prometheus.NewRegistry(), draining: make(chan struct{})}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.wire(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open takes what only one process can have, and what tells soonest that the configuration is wrong.
func (s *Server) open() (err error) {
	if err := os.MkdirAll(s.config.StateDir, 0o700); err != nil {
		return fmt.Errorf("making state directory: %w", err)
	}
	if s.lock, err = lock(s.config.StateDir); err != nil {
		return err
	}
	if s.config.ID == "" {
		if s.config.ID, err = identity(s.config.StateDir); err != nil {
			return err
		}
	}
	if s.listener, err = listen(s.config.Listen); err != nil {
		return err
	}
	s.listener = s.bounded(s.listener)
	if s.admin, err = listen(s.config.AdminListen); err != nil {
		return err
	}
	if s.config.Advertise == "" {
		s.config.Advertise = s.Addr()
	}
	s.audit, err = record.Open(record.Config{
		Path: s.config.Audit, Stdout: s.config.Stdout, Proxy: s.config.ID, Logger: s.log,
	})
	return err
}

// wire makes the parts and joins them, from the upstreams to the agents.
func (s *Server) wire() (err error) {
	c := s.config
	s.refused = record.Refusals(s.registry, limitNames())
	s.pool = upstream.New(s.upstreamConfig())
	s.follower, err = follow.New(follow.Config{
		ControlPlane: c.ControlPlane, StateDir: c.StateDir, ID: c.ID, Labels: c.Labels, Version: c.Version,
		Address: c.Advertise, Features: c.Features, Live: s.live, Pool: s.pool, Status: s.statuses, Logger: s.log,
	})
	if err != nil {
		return fmt.Errorf("making follower: %w", err)
	}
	verifier := auth.New(s.live.Live, c.Auth)
	s.gateway = gateway.New(gateway.Config{
		Live: s.live.Live, Auth: verifier, Upstream: s.upstream, Records: s.audit, Debug: c.Debug, Address: c.Advertise,
		Metrics: record.NewMetrics(s.registry, append(gateway.Operations(), gateway.Methods()...)), Status: s.status, Logger: s.log,
		MaxCalls: c.Limits.Calls, MaxHeld: int64(c.Limits.Held), Refused: s.refused,
		MaxParkedCalls: c.Limits.ParkedCalls, MaxParked: c.Limits.Parked,
	})
	s.front = front.New(s.frontConfig(verifier))
	s.registerProxy()
	s.agents, s.health = s.agentServer(), s.adminServer()
	return nil
}

// Addr returns the address that serves agents, host and port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// AdminAddr returns the address of health and metrics, host and port.
func (s *Server) AdminAddr() string { return s.admin.Addr().String() }

// Ready is closed once there is a snapshot to serve from.
func (s *Server) Ready() <-chan struct{} { return s.live.first }

// Reopen opens the audit log's file anew, after it has been moved away.
func (s *Server) Reopen() error { return s.audit.Reopen() }

// Run serves until ctx ends or a listener gives up: first from the last good snapshot on disk, then from what the control
// plane sends. At the end it drains: not ready any more, no new calls, those under way finish within DrainTimeout, then
// upstreams are closed and the audit log is flushed. It is called once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.follower.Start(); err != nil {
		return errors.Join(fmt.Errorf("starting from disk: %w", err), s.Close())
	}
	if s.config.Auth == auth.None {
		s.log.Warn("insecure: callers need no key and may act as any agent; use it on your own machine only", "auth", auth.None)
	}
	// The parts do not end with ctx, but when the drain says so.
	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	parts.Go(func() { stop(s.serve(s.agents, s.listener)) })
	parts.Go(func() { stop(s.serve(s.health, s.admin)) })
	parts.Go(func() { stop(s.follower.Run(running)) })
	s.log.Info("proxy started", "id", s.config.ID, "listen", s.Addr(), "admin_listen", s.AdminAddr(),
		"control_plane", s.config.ControlPlane)

	select {
	case <-ctx.Done():
	case <-running.Done(): // a part gave up
	}
	stop(nil) // a cause that is there already stays
	err := s.drain(context.WithoutCancel(ctx))
	parts.Wait()
	s.log.Info("proxy stopped")
	return errors.Join(cause(running), err)
}

// Stdio serves one agent over a pipe, as everybody that there is, until in, ctx or Run ends. It waits for the first
// snapshot, which takes Run.
func (s *Server) Stdio(ctx context.Context, in io.Reader, out io.Writer) error {
	if !s.enter() {
		return errDraining
	}
	defer s.handlers.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The drain waits for this agent, but cannot make it leave; a pipe may stay open for ever.
	s.handlers.Go(func() {
		select {
		case <-s.draining:
			cancel(errDraining)
		case <-ctx.Done():
		}
	})
	select {
	case <-s.Ready():
		return s.front.ServeStdio(ctx, in, out)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enter counts an agent on a pipe, unless the shutdown has begun: it would not wait for that one.
func (s *Server) enter() bool {
	s.pipes.Lock()
	defer s.pipes.Unlock()
	select {
	case <-s.draining:
		return false
	default:
		s.handlers.Add(1)
		return true
	}
}

// cause is why a part gave up; nil where Run was told to end.
func cause(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
