package dataplane

import (
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
		turnAway(c)
	}
}

// turnAway answers a connection and closes it. The answer fits into the buffer of a new connection, so nothing waits; what
// has come of the request is read, since closing with it unread would take the answer back. An agent that has gone
// meanwhile needs none of it, so errors are nobody's.
func turnAway(c net.Conn) {
	defer c.Close()
	if c.SetDeadline(time.Now().Add(2*time.Millisecond)) != nil {
		return
	}
	if _, err := c.Write([]byte(busy)); err != nil {
		return
	}
	_, _ = c.Read(make([]byte, 8<<10))
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
