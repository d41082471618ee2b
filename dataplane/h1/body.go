package h1

import (
	"bytes"
	"io"
)

// How the end of a body is told.
const (
	counted    = iota // by a length
	chunked           // by a chunk of no bytes
	untilClose        // by the end of the connection
)

// sizeLine bounds the line before each chunk; extensions, which it may hold, nobody uses.
const sizeLine = 256

// manyBytes bounds what is read past a chunk at a time.
const manyBytes = 64 << 10

// body reads the body of an answer.
type body struct {
	mode int
	left int64 // of the body, or of the chunk
	next bool  // a chunk has been read, so the end of its line is next
}

// read reads into p, which is not empty. io.EOF says that this was all, and may come with the last bytes.
func (b *body) read(c *stream, p []byte, limit int) (n int, err error) {
	switch b.mode {
	case untilClose:
		return c.read(p)
	case chunked:
		if b.left == 0 {
			if err := b.chunk(c, limit); err != nil {
				return 0, err
			}
		}
	}
	if b.mode == chunked && c.r == c.w && int64(len(p)) > b.left && len(p) >= bufferBytes {
		return b.many(c, p)
	}
	n, err = c.read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case err != nil:
		return n, short(err)
	case b.left == 0 && b.mode == counted:
		return n, io.EOF
	}
	return n, nil
}

// many reads from the connection as much as there is room for in p, which is more than the rest of the chunk, and takes what
// is around the chunks out of it: servers send large bodies in chunks of 2 KiB, and a read of its own for every other one of
// them would cost far more than this copy.
func (b *body) many(c *stream, p []byte) (n int, err error) {
	got, err := c.net.Read(p[:min(int64(len(p)), b.left+manyBytes)])
	for raw := p[:got]; ; {
		m := copy(p[n:], raw[:min(int64(len(raw)), b.left)])
		n, raw, b.left = n+m, raw[m:], b.left-int64(m)
		size, after := b.peek(raw)
		if after == 0 {
			c.unread(raw)
			break
		}
		b.left, raw = size, raw[after:]
	}
	if err != nil && n == 0 {
		return 0, short(err)
	}
	return n, nil // an error shows again
}

// peek returns the size of the next chunk, and where it begins in raw, which begins behind the one before it; after is 0 where
// that is not to be told yet, or for chunk to tell.
func (b *body) peek(raw []byte) (size int64, after int) {
	if b.left > 0 || len(raw) < 2 || raw[0] != '\r' || raw[1] != '\n' {
		return 0, 0
	}
	end := bytes.IndexByte(raw[2:], '\n')
	if end < 1 || end > sizeLine || raw[1+end] != '\r' {
		return 0, 0
	}
	size, err := chunkSize(raw[2 : 1+end])
	if err != nil || size == 0 {
		return 0, 0
	}
	return size, end + 3
}

// chunk begins the next chunk (RFC 9112 §7.1); behind the last one it reads the trailers and returns io.EOF.
func (b *body) chunk(c *stream, limit int) error {
	if b.next {
		if line, err := c.line(sizeLine); err != nil {
			return err
		} else if len(line) > 0 {
			return fault("more in a chunk than its size")
		}
	}
	line, err := c.line(sizeLine)
	if err != nil {
		return err
	}
	if b.left, err = chunkSize(line); err != nil {
		return err
	}
	if b.next = b.left > 0; b.next {
		return nil
	}
	return trailers(c, limit)
}

// chunkSize reads the line before a chunk: hexadecimal digits, and extensions that nobody looks at (§7.1.1).
func chunkSize(line []byte) (n int64, err error) {
	digits, _, _ := bytes.Cut(line, []byte(";"))
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > 15 || !isValue(string(line)) {
		return 0, fault("a chunk without a size")
	}
	for _, d := range digits {
		switch {
		case isDigit(d):
			d -= '0'
		case 'a' <= d|0x20 && d|0x20 <= 'f':
			d = d | 0x20 - 'a' + 10
		default:
			return 0, fault("a chunk without a size")
		}
		n = n<<4 | int64(d)
	}
	return n, nil
}

// trailers reads and forgets the fields behind the last chunk (§7.1.2); io.EOF says that they were well.
func trailers(c *stream, limit int) error {
	for limit >= 0 {
		line, err := c.line(limit)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return io.EOF
		}
		if bytes.IndexByte(line, '\r') >= 0 {
			return fault("a line with a bare CR in it")
		}
		if _, _, err := parseField(string(line)); err != nil {
			return err
		}
		limit -= len(line) + 2
	}
	return fault("trailers without end")
}
