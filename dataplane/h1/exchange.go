package h1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// maxInterim bounds the 1xx answers before the answer.
const maxInterim = 5

// errClosed says that a body is read after its Close.
var errClosed = errors.New("reading a body that was closed")

// exchange is one request and its answer, of which it is the body.
type exchange struct {
	host *Host
	conn *conn
	ctx  context.Context
	stop func() bool // takes back what ends the exchange with ctx; nil where nothing does
	resp http.Response
	text body

	// ended says that all of the answer was read; the connection is not touched from then on. Close may come meanwhile.
	ended, closed atomic.Bool
	spoilt        bool // the connection cannot be used again
}

// send sends the request; untouched says that nothing of it is out. What stands in the buffer then begins the answer.
func (e *exchange) send(r *Request) (untouched bool, err error) {
	c := e.conn
	c.out = append(append(c.out[:0], r.Head...), r.Fields...)
	c.out = strconv.AppendInt(append(c.out, "Content-Length: "...), int64(len(r.Body)), 10)
	c.out = append(c.out, "\r\n\r\n"...)
	if len(r.Body) <= inlineBody {
		c.out = append(c.out, r.Body...)
		return c.ask()
	}
	head := c.out
	if c.used {
		c.out = nil
		if _, err := c.ask(); err != nil {
			return true, err
		}
		c.out = head
	}
	if len(r.Body) <= besideBody {
		return e.write(net.Buffers{head, r.Body})
	}
	return e.writeBeside(net.Buffers{head, r.Body})
}

// write writes head and body without copying the body.
func (e *exchange) write(parts net.Buffers) (untouched bool, err error) {
	n, err := parts.WriteTo(e.conn.net)
	return n == 0, err
}

// writeBeside writes while the answer is waited for. A server that answers before it has taken everything ends the
// writing, and the connection with it.
func (e *exchange) writeBeside(parts net.Buffers) (untouched bool, err error) {
	type outcome struct {
		untouched bool
		err       error
	}
	written := make(chan outcome, 1)
	go func() {
		untouched, err := e.write(parts)
		written <- outcome{untouched, err}
	}()
	err = e.conn.fill()
	select {
	case out := <-written:
		if err == nil && out.err != nil {
			e.spoilt = true // the server has answered early, and taken no more
		}
		return out.untouched, err
	default:
	}
	e.spoilt = true
	_ = e.conn.net.SetWriteDeadline(time.Unix(1, 0)) // an error means that it is closed
	out := <-written
	return out.untouched, err
}

// readHead reads the head of the answer, behind those that only announce it (RFC 9110 §15.2).
func (e *exchange) readHead() error {
	for range maxInterim + 1 {
		h, err := e.conn.head(e.host.conf.MaxHeadBytes)
		switch {
		case err != nil:
			return err
		case h.status == http.StatusSwitchingProtocols:
			return fault("another protocol, which nobody asked for")
		case h.status >= 200:
			e.begin(&h)
			return nil
		}
	}
	return fault("no end of interim answers")
}

// begin makes the answer of its head.
func (e *exchange) begin(h *head) {
	e.resp = http.Response{
		Status: h.text, StatusCode: h.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: int(h.minor - '0'),
		Header: h.header, ContentLength: h.length, Close: h.close, Body: e,
	}
	e.spoilt = e.spoilt || h.close
	switch {
	case h.bodiless():
		e.spoilt = e.spoilt || h.chunk || h.length > 0 // what comes next may be a body all the same
		e.resp.ContentLength = 0
		e.ended.Store(true)
	case h.chunk:
		e.text.mode = chunked
	case h.length >= 0:
		e.text.left = h.length
		e.ended.Store(h.length == 0)
	default:
		e.text.mode = untilClose
		e.spoilt = true
	}
}

// Read reads the body.
func (e *exchange) Read(p []byte) (int, error) {
	switch {
	case e.closed.Load():
		return 0, errClosed
	case e.ended.Load():
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	n, err := e.text.read(&e.conn.stream, p, e.host.conf.MaxHeadBytes)
	switch {
	case errors.Is(err, io.EOF):
		e.ended.Store(true)
	case err != nil:
		if e.ctx.Err() != nil {
			err = e.ctx.Err()
		}
	}
	return n, err
}

// Close gives the connection back if all of the answer was read, and else closes it, which ends a Read that waits.
func (e *exchange) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	quiet := e.stop == nil || e.stop() // else ctx has ended, and the connection's deadlines are no longer ours to set
	c := e.conn
	if !e.ended.Load() || !quiet || e.spoilt || c.r < c.w || c.raw == nil {
		c.net.Close()
		return nil
	}
	c.rest()
	e.host.keep(c)
	return nil
}

// fail closes the connection of an exchange that came to nothing, and says why.
func (e *exchange) fail(err error) error {
	if e.stop != nil {
		e.stop()
	}
	e.conn.net.Close()
	e.conn.narrow()
	if e.ctx.Err() != nil {
		return e.ctx.Err()
	}
	return err
}

// rest lets go of what an unusually large exchange has left behind.
func (c *conn) rest() {
	c.used, c.r, c.w = true, 0, 0
	if len(c.buf) > bufferBytes {
		c.narrow()
	}
	if cap(c.out) > 2*inlineBody {
		c.out = nil
	}
}
