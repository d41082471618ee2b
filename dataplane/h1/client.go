package h1

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// inlineBody is the largest body that is copied behind its head, so that both leave in one write.
	inlineBody = 16 << 10
	// besideBody is the largest body that the calling goroutine writes itself. A larger one may fill every buffer on the way
	// to a server that answers without reading it, so it is written beside.
	besideBody = 128 << 10
)

// Config says how connections are made and kept. The zero value works.
type Config struct {
	// Dial opens a TCP connection; nil means a dialer that gives up after 10 s.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// MaxIdle bounds the idle connections to one address; 0 means 256.
	MaxIdle int
	// IdleTimeout is how long a connection is kept unused; 0 means 90 s.
	IdleTimeout time.Duration
	// MaxHeadBytes bounds an answer's head, and the trailers behind a chunked body; 0 means 64 KiB.
	MaxHeadBytes int
}

// Client keeps the connections to all servers. Close ends it.
type Client struct {
	conf Config
	wide wide

	mu     sync.Mutex // guards below
	hosts  map[string]*Host
	closed bool
}

// New returns a client without connections.
func New(c Config) *Client {
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	c.MaxIdle, c.MaxHeadBytes = cmp.Or(c.MaxIdle, 256), cmp.Or(c.MaxHeadBytes, 64<<10)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 90*time.Second)
	return &Client{conf: c, hosts: make(map[string]*Host), wide: wide{size: c.MaxHeadBytes + bufferBytes}}
}

// Host returns the connections to an address, host:port. All who ask for the same address share them.
func (c *Client) Host(addr string) *Host {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[addr]
	if h == nil {
		h = &Host{conf: &c.conf, wide: &c.wide, addr: addr, closed: c.closed}
		c.hosts[addr] = h
	}
	return h
}

// Close closes idle connections at once, and those in use when their answers are done. Calls under way go on.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, h := range c.hosts {
		h.close()
	}
}

// Post sends a request and returns the head of its answer; the body is read by the caller, who closes it. Both are ended by
// ctx, whose error is then returned as it is. The answer's header MUST NOT be changed: other answers may share it.
func (h *Host) Post(ctx context.Context, r *Request) (*http.Response, error) {
	for ctx.Err() == nil {
		c, err := h.take(ctx)
		if err != nil {
			return nil, err
		}
		e := &exchange{host: h, conn: c, ctx: ctx}
		if ctx.Done() != nil {
			e.stop = context.AfterFunc(ctx, c.abort)
		}
		untouched, err := e.send(r)
		if err == nil {
			err = e.readHead()
		}
		if err == nil {
			return &e.resp, nil
		}
		err = e.fail(err)
		// Nothing of the request is out, and the connection may have been closed for having been idle: the next one may be
		// good. A new connection that takes nothing is a server that takes nothing.
		if !untouched || !c.used || ctx.Err() != nil {
			return nil, err
		}
	}
	return nil, ctx.Err()
}

// take returns an idle connection, or a new one.
func (h *Host) take(ctx context.Context) (*conn, error) {
	if c := h.idle(); c != nil {
		return c, nil
	}
	n, err := h.conf.Dial(ctx, "tcp", h.addr)
	if err != nil {
		return nil, err
	}
	return newConn(n, h.wide)
}

// FaultError says how an answer breaks the rules of HTTP.
type FaultError struct{ what string }

// Error words it to follow a server's name.
func (e *FaultError) Error() string { return "sent a broken HTTP answer: " + e.what }

func fault(format string, args ...any) error { return &FaultError{fmt.Sprintf(format, args...)} }
