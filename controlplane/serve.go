package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-mcp/gatehouse/controlplane/publish"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Limits of the listeners.
const (
	maxRequest   = 32 << 20         // bytes of one gRPC message: a whole configuration
	maxStreams   = 1000             // requests under way on one connection; a proxy needs one
	stopTimeout  = 10 * time.Second // for requests under way, after the signal to stop
	readTimeout  = 10 * time.Second // of the admin listener, whose requests have no body
	writeTimeout = 30 * time.Second // of the admin listener, for a scrape over a slow line
)

// errNotLoopback refuses an address that others can reach.
var errNotLoopback = errors.New("only loopback addresses are served as long as TLS and operator credentials are not configured")

// listen binds a loopback address. The address is checked before it is bound, and again after, since a name may resolve
// to anything.
func listen(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("reading the address %q: %w", addr, err)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listening on %s: %w", addr, errNotLoopback)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("listening on %s: %w: stop the program that does, or name another address", addr, err)
		}
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("listening on %s: %w", addr, errNotLoopback), l.Close())
	}
	return l, nil
}

// grpcServer makes the server for operators and proxies. Compression stays off: it would encode per stream what is
// encoded once.
func (s *Server) grpcServer() *grpc.Server {
	g := grpc.NewServer(
		grpc.ForceServerCodecV2(publish.Codec()),
		grpc.WaitForHandlers(true),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.guardUnary),
		grpc.StreamInterceptor(s.guardStream),
	)
	gatehousev1.RegisterAdminServiceServer(g, s.admin)
	gatehousev1.RegisterSnapshotServiceServer(g, s.stream)
	healthv1.RegisterHealthServer(g, s.health)
	return g
}

// serveGRPC serves operators and proxies until the server is shut down, which is no error, also if it was sooner.
func (s *Server) serveGRPC() error {
	if err := s.grpc.Serve(s.grpcLis); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// guardUnary makes a panic of one request an error of that request alone.
func (s *Server) guardUnary(
	ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler,
) (res any, err error) {
	defer s.recovered(info.FullMethod, &err)
	return next(ctx, req)
}

// guardStream is guardUnary for streams.
func (s *Server) guardStream(srv any, st grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer s.recovered(info.FullMethod, &err)
	return next(srv, st)
}

// recovered is deferred around a handler. Shared state cannot have been left half changed by a panic there: it is
// swapped whole, or guarded by a mutex that a deferred unlock gives back.
func (s *Server) recovered(method string, err *error) {
	if p := recover(); p != nil {
		s.log.Error("a request panicked", "method", method, "panic", p, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "the request ended in a bug; the log of the control plane says where")
	}
}

// httpServer makes the server for health and metrics.
func (s *Server) httpServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /version", s.version)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	return &http.Server{Handler: local(mux), ReadTimeout: readTimeout, WriteTimeout: writeTimeout}
}

// local serves requests that name this machine alone, so that no web page can read the fleet's names through a host name of
// its own that it has made to lead here (DNS rebinding).
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if host != "localhost" && (err != nil || !addr.IsLoopback()) {
			writeText(w, http.StatusForbidden, "requests to other host names are not served here\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readyz says whether proxies and operators are served: a revision is published, and the server is not going away.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	res, err := s.health.Check(r.Context(), &healthv1.HealthCheckRequest{})
	switch {
	case err != nil || res.GetStatus() != healthv1.HealthCheckResponse_SERVING:
		writeText(w, http.StatusServiceUnavailable, "shutting down\n")
	case s.publish.Current() == nil:
		writeText(w, http.StatusServiceUnavailable, "no revision can be served yet\n")
	default:
		writeText(w, http.StatusOK, "ok\n")
	}
}

// version says which program this is.
func (s *Server) version(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(map[string]string{"program": "gwcontrol", "version": s.cfg.Version})
	if err != nil {
		writeText(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // a client that has gone away cannot be told so
}

// writeText answers in plain text.
func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // as in version
}

// serveHTTP serves health and metrics until the server is shut down, which is no error.
func (s *Server) serveHTTP() error {
	if err := s.http.Serve(s.adminLis); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// shutdown ends both servers: not ready any more, proxies and waiting operators sent away, the rest finished or, after
// stopTimeout, cut off.
func (s *Server) shutdown() {
	s.health.Shutdown()
	s.admin.Drain()
	s.stream.Drain()
	cut := time.AfterFunc(stopTimeout, s.grpc.Stop)
	s.grpc.GracefulStop()
	cut.Stop()
	s.stream.Finish()
	s.admin.Finish()
	if err := s.http.Close(); err != nil {
		s.log.Warn("closing the admin server", "error", err)
	}
}
