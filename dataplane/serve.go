package dataplane

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
)

// listen binds an address, which must be on loopback: what is served is neither encrypted nor, with auth none, proven.
func listen(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("reading address %q: %w", address, err)
	}
	// A host name other than localhost is refused without asking a resolver: what it says may change after the check.
	ip, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listening on %s: only loopback (127.0.0.1, ::1, localhost) is served until TLS is configured", address)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("listening on %s: %w: stop the program that does, or name another address", address, err)
		}
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	return l, nil
}

// checkAdvertise refuses what is no address that another proxy could dial; empty is the one that will be bound.
func checkAdvertise(address string) error {
	if address == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("reading the address to advertise: %w", err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || host == "" || len(address) > 255 || strings.ContainsAny(host, "/?#@ \\") {
		return fmt.Errorf("reading the address to advertise: %q is not HOST:PORT", address)
	}
	return nil
}

// identity returns the name that a proxy keeps in its state directory, made at the first start. Two proxies of one name
// would drive each other off the control plane, so a host name alone is not enough.
func identity(dir string) (string, error) {
	file := filepath.Join(dir, "id")
	text, err := os.ReadFile(file)
	if id := strings.TrimSpace(string(text)); err == nil && id != "" {
		return id, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading proxy id: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "proxy" // a name for people; the number makes it unique
	}
	var number [4]byte
	if _, err := rand.Read(number[:]); err != nil {
		return "", fmt.Errorf("making proxy id: %w", err)
	}
	id := host + "-" + hex.EncodeToString(number[:])
	if err := os.WriteFile(file, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keeping proxy id: %w", err)
	}
	return id, nil
}

// agentServer serves the front. Calls may take as long as their timeouts let them, so answers have no deadline here.
func (s *Server) agentServer() *h1.Server {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handlers.Add(1)
		defer s.handlers.Done()
		s.front.ServeHTTP(w, r)
	})
	l := s.config.Limits
	return h1.NewServer(h1.ServerConfig{
		Handler: handler, MaxHeadBytes: int(l.Headers), HeaderTimeout: l.HeaderTimeout, IdleTimeout: l.IdleTimeout, Logger: s.log,
	})
}

// adminServer serves health, metrics and version.
func (s *Server) adminServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { s.say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if reason := s.unready(); reason != "" {
			s.say(w, http.StatusServiceUnavailable, reason)
			return
		}
		s.say(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		err := json.NewEncoder(w).Encode(map[string]string{"program": "gwproxy", "version": s.config.Version})
		if err != nil {
			s.log.Debug("version not sent", "error", err)
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	server := s.httpServer(local(mux))
	server.ReadTimeout, server.WriteTimeout = 10*time.Second, time.Minute // every page is short
	return server
}

// local serves requests that name this machine alone, so that a web page cannot make itself look local by DNS rebinding
// and read names of servers and agents.
func local(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !front.IsLoopback(r.Host) {
			http.Error(w, "requests to other host names are not served here", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// httpServer bounds what a caller can hold without having sent a request.
func (s *Server) httpServer(h http.Handler) *http.Server {
	// No timeouts of whole requests: event streams stay open, and tools may think for minutes; the front bounds the rest.
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// say answers a probe in one line.
func (s *Server) say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	if _, err := fmt.Fprintln(w, text); err != nil {
		s.log.Debug("probe not answered", "error", err)
	}
}

// unready says why the proxy cannot serve; empty means that it can. A control plane is not needed for that.
func (s *Server) unready() string {
	select {
	case <-s.draining:
		return "draining"
	default:
	}
	if s.live.Load() == nil {
		return "no snapshot yet"
	}
	return ""
}

// serve runs one HTTP server until it is shut down.
func (s *Server) serve(server interface{ Serve(l net.Listener) error }, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", l.Addr(), err)
	}
	return nil
}

// drain ends the proxy in order: no longer ready, no new calls, those under way finish, and only then is closed what they
// stand on. Past DrainTimeout, calls are cut off. The admin server is the last to go, so that probes see it all.
func (s *Server) drain(ctx context.Context) error {
	s.pipes.Lock()
	close(s.draining) // probes and agents on pipes see it
	s.pipes.Unlock()
	s.front.Drain() // event streams end, which Shutdown would wait for
	bounded, cancel := context.WithTimeout(ctx, s.config.DrainTimeout)
	defer cancel()
	if err := s.agents.Shutdown(bounded); err != nil {
		s.log.Warn("calls cut off at shutdown", "after", s.config.DrainTimeout)
		if err := s.agents.Close(); err != nil {
			s.log.Debug("connections not closed", "error", err)
		}
	}
	s.gateway.Close()     // ends the calls that wait for their agents
	err := s.pool.Close() // ends the calls that are left
	s.leave()
	s.front.Close()
	err = errors.Join(err, s.audit.Close())
	s.handlers.Wait()
	s.front.Wait()
	return errors.Join(err, s.health.Close(), s.lock.Close())
}

// lastWords is how long calls whose upstreams are gone may take to hand over their records.
const lastWords = 3 * time.Second

// leave waits for the calls that are left, but not for those that wait themselves for a disk that takes no records: only
// closing the log lets them go.
func (s *Server) leave() {
	done := make(chan struct{})
	go func() { s.handlers.Wait(); s.front.Wait(); close(done) }() // ends with them, and drain waits for that
	select {
	case <-done:
	case <-time.After(lastWords):
		s.log.Warn("calls wait for the audit log at shutdown", "error", s.audit.Err())
	}
}

// Close releases what New took. It is for a server that is never run; Run does it by itself.
func (s *Server) Close() error {
	var err error
	for _, l := range []net.Listener{s.listener, s.admin} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	if s.pool != nil {
		err = errors.Join(err, s.pool.Close())
	}
	if s.audit != nil {
		err = errors.Join(err, s.audit.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}
