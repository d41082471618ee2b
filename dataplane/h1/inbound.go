package h1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// The phases of a connection of an agent's. They are the low bits of its state, above which stands the number of its
// requests, so that whoever looks twice knows whether it saw the same one.
const (
	fresh   = iota // nothing was read yet
	heading        // a head has begun
	idle           // between two requests
	busy           // a handler runs, or its answer is being finished
	waiting        // a handler runs, and nothing more of its request is to be read
	watched        // the same, and attend reads
	over           // closed by somebody else than its own goroutine
)

const phaseBits = 3

func phase(word uint32) uint32 { return word & (1<<phaseBits - 1) }

const (
	// maxUnread bounds the rest of a body, in bytes, that is read so that its connection can be used again.
	maxUnread = 256 << 10
	// partingTime is how long an agent that still sends may take until it has read why its connection ends.
	partingTime = 500 * time.Millisecond
)

// inbound is one connection of an agent's. Its goroutine reads a request, runs the handler, and begins anew:
//
//	await        -- the next head, whole
//	* understand -- what it says; mostly the same as the one before
//	* ServeHTTP  -- the handler, which reads the body and writes the answer
//	finish       -- what of the answer was held back; is the connection good for another request
type inbound struct {
	stream
	server *Server
	remote string
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	state  atomic.Uint32
	number uint32 // of the request, shifted
	seen   uint32 // by the watch, which alone uses it
	seenAt time.Time
	// attended gets what attend has read.
	attended chan int
	// Deadlines, in nanoseconds since 1970, and whether something is under way that they end.
	readBy, writeBy  atomic.Int64
	reading, writing atomic.Bool
	spoilt           atomic.Bool // not good for another request
	taken            bool        // by a handler

	known  known
	body   arrival
	answer answer
}

func newInbound(s *Server, n net.Conn) *inbound {
	c := &inbound{stream: stream{net: n, wide: &s.wide}, server: s, remote: n.RemoteAddr().String(), seenAt: time.Now(), attended: make(chan int, 1)}
	ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, n.LocalAddr())
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.body.c, c.answer.c = c, c
	c.answer.header = make(http.Header, 4)
	return c
}

// word is the state of a phase of this request.
func (c *inbound) word(phase uint32) uint32 { return c.number | phase }

// serve serves the connection to its end.
func (c *inbound) serve() {
	defer c.end()
	for {
		text, err := c.await()
		if err == nil && !c.begin() {
			return // closed meanwhile
		}
		if err == nil {
			err = c.understand(text)
		}
		if err != nil {
			c.refuse(err)
			return
		}
		if !c.exchange() {
			return
		}
	}
}

// end closes the connection, whatever happened, unless a handler has taken it.
func (c *inbound) end() {
	if e := recover(); e != nil && e != http.ErrAbortHandler { //nolint:errorlint // it is what was panicked with
		c.server.log.Error("request broke off", "panic", e, "remote", c.remote, "stack", string(debug.Stack()))
	}
	c.cancel()
	if !c.taken {
		_ = c.net.Close() // which is what it is for
		c.unattended()
		c.narrow()
		c.server.forget(c)
	}
}

// cut closes the connection and ends what runs for it.
func (c *inbound) cut() {
	_ = c.net.Close() // which is what it is for
	c.cancel()
}

// closeIdle closes the connection unless a request is under way.
func (c *inbound) closeIdle() {
	if word := c.state.Load(); phase(word) <= idle {
		c.expire(word)
	}
}

// await reads up to the end of the next head, which it returns; it is valid until the next read. It skips one empty line
// before it (RFC 9112 §2.2).
func (c *inbound) await() ([]byte, error) {
	for from, limit := 0, c.server.conf.MaxHeadBytes; ; {
		have := c.buf[c.r:c.w]
		if from == 0 && len(have) > 1 && have[0] == '\r' && have[1] == '\n' {
			c.r += 2
			have = have[2:]
		}
		if end := headEnd(have, from); end >= 0 && end <= limit {
			c.r += end
			return have[:end], nil
		}
		if len(have) >= limit {
			return nil, &refusal{http.StatusRequestHeaderFieldsTooLarge, "the head of the request is too large"}
		}
		if len(have) > 0 && from == 0 && !c.headed() {
			return nil, net.ErrClosed
		}
		from = max(0, len(have)-2)
		if err := c.fill(); err != nil {
			if len(have) > 0 && (errors.Is(err, io.EOF) || isTimeout(err)) {
				err = bad("half a head")
			}
			return nil, err
		}
	}
}

// headed notes that a head has begun and is not whole; false says that the connection was closed.
func (c *inbound) headed() bool {
	word := c.state.Load()
	return phase(word) == heading || phase(word) <= idle && c.state.CompareAndSwap(word, c.word(heading))
}

// begin notes that a request is under way; false says that the connection was closed.
func (c *inbound) begin() bool {
	word := c.state.Load()
	c.number += 1 << phaseBits
	if phase(word) == over || !c.state.CompareAndSwap(word, c.word(busy)) {
		return false
	}
	if c.server.resting.Load() {
		c.server.wake()
	}
	return true
}

// exchange has the handler answer the request, and says whether the connection is good for another one.
func (c *inbound) exchange() (again bool) {
	w := &c.answer
	w.begin()
	if c.body.ended {
		c.arrived()
	}
	c.server.conf.Handler.ServeHTTP(w, c.known.req)
	if c.taken {
		return false
	}
	w.finish()
	w.release()
	again = w.again && !c.spoilt.Load() && (c.body.ended || c.discard())
	c.unattended()
	if !again {
		c.part()
		return false
	}
	return c.rest()
}

// arrived notes that nothing more of the request is to be read. What has come behind it already keeps attend from reading.
func (c *inbound) arrived() {
	if c.r == c.w {
		c.state.Store(c.word(waiting))
	}
}

// rest readies the connection for the next request; false says that it is closed.
func (c *inbound) rest() bool {
	c.readBy.Store(0)
	c.writeBy.Store(0)
	if c.r == c.w && len(c.buf) > bufferBytes {
		c.narrow()
	}
	c.state.Store(c.word(idle))
	if c.server.closing.Load() {
		c.closeIdle()
		return false
	}
	return true
}

// discard reads the rest of a body that the handler did not want, so that the next request can be read.
func (c *inbound) discard() bool {
	if c.readBy.Load() == 0 {
		c.readBy.Store(time.Now().Add(c.server.conf.HeaderTimeout).UnixNano())
	}
	_, err := io.CopyN(io.Discard, &c.body, maxUnread+1)
	return errors.Is(err, io.EOF)
}

// part closes the connection of an agent that may still be sending, which would lose the answer if that were all.
func (c *inbound) part() {
	half, ok := c.net.(interface{ CloseWrite() error })
	if c.body.ended || c.spoilt.Load() || !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.net.SetReadDeadline(time.Now().Add(partingTime))
	_, _ = io.Copy(io.Discard, c.net)
}

// refusal is why a request does not reach the handler.
type refusal struct {
	status int
	why    string
}

func (e *refusal) Error() string { return e.why }

// refuse ends a connection whose next request cannot be served. An agent that has gone, or was too slow, is told nothing.
func (c *inbound) refuse(err error) {
	refused, ok := errors.AsType[*refusal](err)
	if !ok {
		return
	}
	c.body.ended = false // whatever else the agent sends
	text := fmt.Sprintf(`{"jsonrpc":"2.0","id":null,"error":{"code":%d,"message":%q}}`, refused.status, refused.why)
	_ = c.net.SetWriteDeadline(time.Now().Add(c.server.conf.HeaderTimeout))
	_, err = fmt.Fprintf(c.net, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		refused.status, http.StatusText(refused.status), *c.server.date.Load(), len(text), text)
	if err == nil {
		c.part()
	}
}

// invite gives an agent leave to send its body, unless the answer has begun.
func (c *inbound) invite() error {
	if c.answer.headed {
		return nil
	}
	c.answer.vec = append(c.answer.parts[:0], []byte("HTTP/1.1 100 Continue\r\n\r\n"))
	return c.send(&c.answer.vec)
}

// send writes parts in one piece where the system can.
func (c *inbound) send(parts *net.Buffers) error {
	c.writing.Store(true)
	var err error
	if len(*parts) == 1 {
		_, err = c.net.Write((*parts)[0])
	} else {
		_, err = parts.WriteTo(c.net)
	}
	c.writing.Store(false)
	if err != nil {
		c.spoilt.Store(true)
		c.cancel()
	}
	return err
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
