//go:build unix

package h1

import (
	"errors"
	"io"
	"syscall"
)

// canPeek says whether an idle connection can be looked at without waiting.
const canPeek = true

// converse is what the runtime calls whenever the connection may be readable, until it returns true. The first time it
// looks whether the connection is quiet, which an idle one must be, and sends the request; after that it reads. All of it
// within one wait: the runtime forgets what was readable before, so an answer that comes at once is not missed, and there is
// no read that only finds out that nothing is there yet.
func (c *conn) converse(fd uintptr) (done bool) {
	if !c.asked {
		c.asked = true
		if c.used && !quiet(int(fd), c.buf[:1]) {
			c.err = errStale
			return true
		}
		if len(c.out) == 0 {
			return true
		}
		n, err := again(syscall.Write, int(fd), c.out)
		c.wrote = max(n, 0)
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			c.err = err
		}
		return c.err != nil || c.wrote < len(c.out)
	}
	n, err := again(syscall.Read, int(fd), c.buf)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return false
	case err != nil:
		c.err = err
	case n == 0:
		c.err = io.EOF
	default:
		c.r, c.w = 0, n
	}
	return true
}

// quiet says whether a connection is open and has nothing to say. Where it is not, what was read does not matter any more.
func quiet(fd int, b []byte) bool {
	_, err := again(syscall.Read, fd, b)
	return errors.Is(err, syscall.EAGAIN)
}

// again repeats a system call that a signal interrupts.
func again(call func(fd int, b []byte) (int, error), fd int, b []byte) (n int, err error) {
	for {
		n, err = call(fd, b)
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
