package h1

import (
	"net"
	"syscall"
	"time"
)

// keptHead is the largest head that is remembered.
const keptHead = 1 << 10

// conn is one TCP connection. One exchange has it at a time.
type conn struct {
	stream
	raw syscall.RawConn // nil where there is none: such a connection is used once
	// talk is converse's, bound once so that a call costs no closure; abort ends every wait.
	talk  func(fd uintptr) bool
	abort func()
	used  bool      // it has carried an answer already
	since time.Time // idle since; guarded by the host's mutex

	// The head of the answer before, as it came and as it was understood.
	lastText string
	last     head

	// Of the conversation under way; see converse.
	out   []byte
	asked bool
	wrote int
	err   error
}

func newConn(n net.Conn, wide *wide) (*conn, error) {
	c := &conn{stream: stream{net: n, wide: wide}}
	c.abort = func() { _ = n.SetDeadline(time.Unix(1, 0)) } // an error means that it is closed, which is as good
	if s, ok := n.(syscall.Conn); ok && canPeek {
		raw, err := s.SyscallConn()
		if err != nil {
			n.Close()
			return nil, err
		}
		c.raw, c.talk = raw, c.converse
	}
	return c, nil
}

// errStale says that an idle connection was closed by its server, or that the server said something unasked.
var errStale = fault("a connection that is not quiet")

// ask sends what is in out and waits for the first bytes of the answer, which are in the buffer then. Untouched says that
// nothing was sent. An empty out only looks whether an idle connection is still quiet.
func (c *conn) ask() (untouched bool, err error) {
	if c.raw == nil {
		n, err := c.net.Write(c.out)
		return n == 0, err
	}
	c.asked, c.wrote, c.err = false, 0, nil
	if c.buf == nil {
		c.buf = make([]byte, bufferBytes)
	}
	if err := c.raw.Read(c.talk); err != nil {
		return c.wrote == 0, err
	}
	if c.err == nil && c.wrote < len(c.out) { // the socket's memory is full: the rest goes out as there is room
		n, err := c.net.Write(c.out[c.wrote:])
		c.wrote += n
		return c.wrote == 0, err
	}
	return c.wrote == 0, c.err
}

// head reads the head of an answer. Servers mostly say the same again, with the same date within a second: then the head of
// the answer before stands for this one as well.
func (c *conn) head(limit int) (head, error) {
	b, err := c.headText(limit)
	if err != nil {
		return head{}, err
	}
	if string(b) == c.lastText { // compared without a copy
		return c.last, nil
	}
	text := string(b)
	h, err := parseHead(text)
	if err == nil && len(text) <= keptHead {
		c.lastText, c.last = text, h
	}
	return h, err
}
