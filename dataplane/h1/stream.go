package h1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
)

// bufferBytes is what a connection reads at a time where the reader has no memory of its own to read into.
const bufferBytes = 4 << 10

// stream is a connection and what was read of it and not used: buf[r:w].
type stream struct {
	net  net.Conn
	buf  []byte
	r, w int
	// wide are the buffers for heads that need more than bufferBytes, and wider is buf where it is one of them.
	wide  *wide
	wider *[]byte
}

// wide are buffers of one size, which hold the largest head. They are used again: whoever sends large heads sends many.
type wide struct {
	size int
	pool sync.Pool
}

// widen makes room behind what is in a full buffer.
func (c *stream) widen() {
	if c.wider != nil {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
		return
	}
	room, ok := c.wide.pool.Get().(*[]byte)
	if !ok {
		b := make([]byte, c.wide.size)
		room = &b
	}
	copy(*room, c.buf)
	c.buf, c.wider = *room, room
}

// narrow lets go of the buffer; what is in it is lost.
func (c *stream) narrow() {
	if c.wider != nil {
		c.wide.pool.Put(c.wider)
		c.wider = nil
	}
	c.buf, c.r, c.w = nil, 0, 0
}

// fill reads once, into the free part of the buffer, which it makes where there is none.
func (c *stream) fill() error {
	switch {
	case c.buf == nil:
		c.buf = make([]byte, bufferBytes)
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w == len(c.buf) && c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	case c.w == len(c.buf):
		c.widen()
	}
	n, err := c.net.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil // an error shows again
	}
	return err
}

// read reads into p: first what is there, then from the connection without a detour.
func (c *stream) read(p []byte) (int, error) {
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

// unread puts back what was read past the buffer, which is empty.
func (c *stream) unread(text []byte) {
	if c.r, c.w = 0, len(text); c.w > len(c.buf) {
		c.narrow()
		c.buf, c.w = make([]byte, len(text)), len(text)
	}
	copy(c.buf, text)
}

// headText reads up to the empty line that ends a head, and returns it; it is valid until the next read.
func (c *stream) headText(limit int) ([]byte, error) {
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
func (c *stream) line(limit int) ([]byte, error) {
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
