package controlplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"github.com/gatehouse-mcp/gatehouse/controlplane/admin"
	"github.com/gatehouse-mcp/gatehouse/controlplane/publish"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
	"github.com/gatehouse-mcp/gatehouse/controlplane/stream"
)

// Config says where a control plane listens and keeps its store.
type Config struct {
	// Listen is the gRPC address for operators and proxies; empty means 127.0.0.1:9090. It must be on loopback.
	Listen string
	// AdminListen is the HTTP address for health and metrics; empty means 127.0.0.1:9091. It must be on loopback.
	AdminListen string
	// DataDir is the folder of the store; it is made where it does not exist.
	DataDir string
	// Store names the kind of store; empty means "bbolt", the only kind so far.
	Store string
	// Version is the program's version, shown by /version.
	Version string
	// Heartbeat is the longest silence on a proxy's stream; 0 means 5 s.
	Heartbeat time.Duration
	// RequireFeatures are demanded of every proxy before it is sent a snapshot, besides what the snapshot requires.
	RequireFeatures []string
	// Logger takes what operators should see; nil discards it.
	Logger *slog.Logger
}

// withDefaults returns c with every zero value replaced that may be, or says what is missing.
func (c Config) withDefaults() (Config, error) {
	or := func(s *string, def string) {
		if *s == "" {
			*s = def
		}
	}
	or(&c.Listen, "127.0.0.1:9090")
	or(&c.AdminListen, "127.0.0.1:9091")
	or(&c.Store, "bbolt")
	or(&c.Version, "dev")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.DataDir == "" {
		return c, errors.New("a data directory is needed")
	}
	return c, nil
}

// Server is one control plane. New binds its addresses, Run serves them. Its parts stand in the order in which a change
// goes through them, from the store to the wire.
type Server struct {
	cfg      Config
	log      *slog.Logger
	store    store.Store
	metrics  *prometheus.Registry
	publish  *publish.Publisher
	stream   *stream.Service
	admin    *admin.Service
	health   *health.Server
	grpc     *grpc.Server
	http     *http.Server
	grpcLis  net.Listener
	adminLis net.Listener
}

// New opens the store and binds both addresses, so that Addr is known, and the first client heard, before Run.
func New(c Config) (*Server, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: c, log: c.Logger, metrics: prometheus.NewRegistry()}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.wire()
	return s, nil
}

// open takes what only one process can have: the addresses and the store.
func (s *Server) open() (err error) {
	if s.grpcLis, err = listen(s.cfg.Listen); err != nil {
		return err
	}
	if s.adminLis, err = listen(s.cfg.AdminListen); err != nil {
		return err
	}
	s.store, err = openStore(s.cfg)
	return err
}

// openStore opens the store that c names.
func openStore(c Config) (store.Store, error) {
	if c.Store != "bbolt" {
		return nil, fmt.Errorf("opening store %q: only bbolt is supported by this version", c.Store)
	}
	s, err := bolt.Open(bolt.Config{Dir: c.DataDir, Logger: c.Logger})
	if err != nil {
		return nil, err // it names the file; a nil *bolt.Store must not become a store.Store
	}
	return s, nil
}

// wire makes the parts and joins them, from the store outwards. Nothing runs yet.
func (s *Server) wire() {
	s.publish = publish.New(publish.Config{
		Store: s.store, RequireFeatures: s.cfg.RequireFeatures, Logger: s.log, Registerer: s.metrics,
	})
	s.stream = stream.New(stream.Config{
		Frames: s.publish, Heartbeat: s.cfg.Heartbeat, Logger: s.log, Registerer: s.metrics,
	})
	s.admin = admin.New(admin.Config{
		Store: s.store, Fleet: s.stream.Fleet(), Logger: s.log, Registerer: s.metrics,
	})
	s.health = health.NewServer()
	s.grpc = s.grpcServer()
	s.http = s.httpServer()
}

// Addr returns the bound gRPC address, host and port.
func (s *Server) Addr() string { return s.grpcLis.Addr().String() }

// AdminAddr returns the bound HTTP address for health and metrics, host and port.
func (s *Server) AdminAddr() string { return s.adminLis.Addr().String() }

// Run serves until ctx ends or a part of the server gives up. Then it drains the streams, finishes what is under way
// within a bounded time, and closes the store. It is called once.
func (s *Server) Run(ctx context.Context) error {
	// The parts outlive ctx: the publisher must still run while streams drain.
	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	start := func(name string, run func() error) {
		parts.Go(func() {
			if err := run(); err != nil {
				stop(fmt.Errorf("running the %s: %w", name, err))
			}
		})
	}
	// One part that gives up ends all: half a control plane would answer and never change anything.
	start("publisher", func() error { return s.publish.Run(running) })
	start("gRPC server", s.serveGRPC)
	start("admin server", s.serveHTTP)
	s.log.Info("control plane started", "listen", s.Addr(), "admin_listen", s.AdminAddr(), "data_dir", s.cfg.DataDir)

	select {
	case <-ctx.Done():
	case <-running.Done():
	}
	s.shutdown()
	stop(nil) // the publisher last
	parts.Wait()
	s.log.Info("control plane stopped")
	return errors.Join(cause(running), s.Close())
}

// cause is why a part gave up; nil where none did.
func cause(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Close releases what New took. It is for a server that is never run; Run does it by itself.
func (s *Server) Close() error {
	var err error
	for _, l := range []net.Listener{s.grpcLis, s.adminLis} {
		if l == nil {
			continue
		}
		if e := l.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	return err
}
