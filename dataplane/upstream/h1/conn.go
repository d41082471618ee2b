package h1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// bufferBytes is what a connection reads at a time where the reader has no memory of its own to read into.
const bufferBytes = 4 << 10

// keptHead is the largest head that is remembered.
const keptHead = 1 << 10

// conn is one TCP connection. One exchange has it at a time.
type conn struct {
	net net.Conn
	raw syscall.RawConn // nil where there is none: such a connection is used once
	// talk is converse's, bound once so that a call costs no closure; abort ends every wait.
	talk  func(fd uintptr) bool
	abort func()
	used  bool      // it has carried an answer already
	since time.Time // idle since; guarded by the host's mutex

	// What was read and not used: buf[r:w].
	buf  []byte
	r, w int

	// The head of the answer before, as it came and as it was understood.
	lastText string
	last     head

	// Of the conversation under way; see converse.
	out   []byte
	asked bool
	wrote int
	err   error
}

func newConn(n net.Conn) (*conn, error) {
	c := &conn{net: n}
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

// fill reads once, into the free part of the buffer, which it makes where there is none.
func (c *conn) fill() error {
	switch {
	case c.buf == nil:
		c.buf = make([]byte, bufferBytes)
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w == len(c.buf) && c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	case c.w == len(c.buf):
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.net.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil // an error shows again
	}
	return err
}

// read reads into p: first what is there, then from the connection without a detour.
func (c *conn) read(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.r += n
		return n, nil
	}
	if len(p) >= len(c.buf) {
		return c.net.Read(p)
	}
	if err := c.fill(); err != nil {
		return 0, err
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
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

// headText reads up to the empty line that ends a head, and returns it; it is valid until the next read.
func (c *conn) headText(limit int) ([]byte, error) {
	for from := 0; ; {
		have := c.buf[c.r:c.w]
		if end := headEnd(have, from); end >= 0 && end <= limit {
			c.r += end
			return have[:end], nil
		}
		if len(have) >= limit {
			return nil, fault("a head of more than %d bytes", limit)
		}
		from = max(0, len(have)-2)
		if err := c.fill(); err != nil {
			if errors.Is(err, io.EOF) && len(have) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// headEnd returns where the head ends that b begins with, or -1; nothing before from needs a look.
func headEnd(b []byte, from int) int {
	for i := from; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		switch rest := b[i:]; {
		case len(rest) > 0 && rest[0] == '\n':
			return i + 1
		case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
			return i + 2
		}
	}
}

// line reads one line of a chunked body, which ends with CRLF, and returns it without that. It is valid until the next read.
func (c *conn) line(limit int) ([]byte, error) {
	for {
		have := c.buf[c.r:c.w]
		if n := bytes.IndexByte(have, '\n'); n >= 0 && n <= limit {
			if n == 0 || have[n-1] != '\r' {
				return nil, fault("a line of a chunked body without CRLF")
			}
			c.r += n + 1
			return have[:n-1], nil
		}
		if len(have) > limit {
			return nil, fault("a line of a chunked body of more than %d bytes", limit)
		}
		if err := c.fill(); err != nil {
			return nil, short(err)
		}
	}
}

// short words the end of a connection within a message.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
