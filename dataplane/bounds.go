package dataplane

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// frontConfig is the front's part of the configuration.
func (s *Server) frontConfig(verifier *auth.Verifier) front.Config {
	l := s.config.Limits
	return front.Config{
		Gateway: s.gateway, Auth: verifier, SealKey: s.sealKey, EndSession: s.pool.EndSession,
		Address: s.config.Advertise, Peers: s.follower.Peers, Version: s.config.Version, Logger: s.log,
		MaxBody: int64(l.Body), MaxHeaderNames: l.HeaderNames, Patience: l.Patience,
		MaxStreams: l.Streams, MaxHeld: int64(l.Held), Refused: s.refused,
	}
}

// upstreamConfig is the upstreams' part of the configuration.
func (s *Server) upstreamConfig() upstream.Config {
	l := s.config.Limits
	return upstream.Config{
		Environ: s.config.Environ, Logger: s.log, Version: s.config.Version,
		MaxMessageBytes: int(l.Message), MaxMemoryBytes: int(l.Memory), SpillBytes: int(l.Spill), MaxSpilledBytes: int64(l.Disk),
		SpillDir: s.config.StateDir, MaxAnswerHeaders: int(l.AnswerHeaders), MaxNotifications: l.Notifications,
		MaxRedirects: l.Redirects, MaxTools: l.Tools, MaxCatalogueBytes: int(l.Catalogue), MaxSessions: l.ServerSessions,
		MaxCalls: l.ServerCalls, ConnectTimeout: l.ConnectTimeout, Refused: s.refused,
	}
}

// limitNames are the names of all limits, for the metrics.
func limitNames() (names []limit.Name) {
	var l Limits
	for _, b := range l.bounds() {
		names = append(names, b.name)
	}
	return names
}

// bounded bounds the connections of a listener.
func (s *Server) bounded(l net.Listener) net.Listener {
	return &boundedListener{Listener: l, most: int64(s.config.Limits.Connections), refused: func() { s.refused(limit.Connections) }}
}

// boundedListener answers connections over its bound at once, without reading: an agent learns more from a refusal than
// from waiting, and one that was let in is not disturbed.
type boundedListener struct {
	net.Listener
	most    int64
	refused func()
	open    limit.Count
	leaving limit.Count
	tasks   sync.WaitGroup // those leaving
}

// busy is the whole answer to a connection for which there is no room.
const busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n" +
	"Content-Length: 111\r\n\r\n" +
	`{"jsonrpc":"2.0","id":null,"error":{"code":503,"message":"the gateway has as many connections as it may have"}}`

// Accept returns the next connection for which there is room.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Take(1, l.most) {
			return l.count(c), nil
		}
		l.refused()
		l.turnAway(c)
	}
}

// Close closes the listener, and waits for those that it turned away.
func (l *boundedListener) Close() error {
	err := l.Listener.Close()
	l.tasks.Wait()
	return err
}

const (
	// maxLeaving is how many connections may be on their way out, leavingTime how long that may take.
	maxLeaving  = 64
	leavingTime = 500 * time.Millisecond
)

// turnAway answers a connection and closes it. The answer fits into the buffer of a new connection, so nothing waits. An agent
// that still sends its request would lose the answer if it were closed at once, so it has a moment, unless there are many.
// One that has gone meanwhile needs none of it: errors are nobody's.
func (l *boundedListener) turnAway(c net.Conn) {
	_, err := c.Write([]byte(busy))
	half, ok := c.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(leavingTime)) != nil || !l.leaving.Take(1, maxLeaving) {
		c.Close()
		return
	}
	l.tasks.Go(func() {
		defer l.leaving.Give(1)
		defer c.Close()
		_, _ = io.CopyN(io.Discard, c, 64<<10)
	})
}

// count gives a connection's place back when it is closed. A TCP connection stays one, so that net/http can use what only
// that can do.
func (l *boundedListener) count(c net.Conn) net.Conn {
	if tcp, ok := c.(*net.TCPConn); ok {
		return &countedConn{TCPConn: tcp, open: &l.open}
	}
	l.open.Give(1) // no listener of ours makes others
	return c
}

// countedConn is one connection of a boundedListener.
type countedConn struct {
	*net.TCPConn
	open *limit.Count
	once sync.Once
}

// Close closes the connection and gives its place back, once.
func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Give(1) })
	return c.TCPConn.Close()
}
