package h1

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	// heldBytes is how much of an answer is held back until it is over, so that it leaves in one write, and with its length.
	heldBytes = 16<<10 + 1<<10
	// gapBytes is left free before it, for its head.
	gapBytes = 512
)

// answer is what a handler writes to. It implements http.ResponseWriter, and what http.ResponseController knows but full
// duplex: deadlines, Flush and Hijack. WriteBoth is its own.
type answer struct {
	c      *inbound
	header http.Header
	status int   // 0 before WriteHeader
	length int64 // announced by the handler; -1 where it was not
	wrote  int64 // of the body, by the handler
	headed bool  // the head is out, or stands in out
	chunks bool  // the body goes out in chunks
	again  bool  // the connection goes on
	// out is gapBytes of nothing, and then what waits to be written.
	out    []byte
	memory *memory   // of out
	front  []byte    // the head, and the size of a chunk
	sorted []string  // names of header
	parts  [5][]byte // for vec
	vec    net.Buffers
}

// begin readies it for the next request.
func (w *answer) begin() {
	clear(w.header)
	w.status, w.length, w.wrote, w.headed, w.chunks = 0, -1, 0, false, false
	w.again = w.c.known.head.again
	w.memory = w.c.server.takeMemory()
	w.out = w.memory.b
}

// memory is what answers are held back in; idle connections have none.
type memory struct{ b []byte }

func (s *Server) takeMemory() *memory {
	if m, ok := s.memory.Get().(*memory); ok {
		return m
	}
	return &memory{make([]byte, gapBytes, gapBytes+1<<10)}
}

// release gives the memory back.
func (w *answer) release() {
	w.memory.b = w.out[:gapBytes]
	w.c.server.memory.Put(w.memory)
	w.memory, w.out = nil, nil
}

// Header implements http.ResponseWriter.
func (w *answer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Interim answers (1xx) are not sent.
func (w *answer) WriteHeader(status int) {
	if w.status != 0 || status < 200 || status > 999 {
		return
	}
	w.status = status
	if text := w.header["Content-Length"]; len(text) == 1 {
		if n, err := parseLength(text[0]); err == nil {
			w.length = n
		}
	}
}

// bodiless says whether the answer has no body, whatever is written.
func (w *answer) bodiless() bool {
	return w.status == http.StatusNoContent || w.status == http.StatusNotModified || w.c.known.req.Method == http.MethodHead
}

// Write implements http.ResponseWriter.
func (w *answer) Write(p []byte) (int, error) {
	if w.c.taken {
		return 0, http.ErrHijacked
	}
	w.WriteHeader(http.StatusOK)
	switch {
	case w.bodiless():
		if w.c.known.req.Method != http.MethodHead {
			return 0, http.ErrBodyNotAllowed
		}
		w.wrote += int64(len(p))
		return len(p), nil
	case w.length >= 0 && w.wrote+int64(len(p)) > w.length:
		return 0, http.ErrContentLength
	}
	w.wrote += int64(len(p))
	if len(w.out)-gapBytes+len(p) <= heldBytes {
		w.out = append(w.out, p...)
		return len(p), nil
	}
	if err := w.push(p, nil, false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteBoth is Write for two texts of which the first is large, and that leave in one piece.
func (w *answer) WriteBoth(p, tail []byte) (int, error) {
	n := len(p) + len(tail)
	w.WriteHeader(http.StatusOK)
	if w.c.taken || w.bodiless() || w.length >= 0 && w.wrote+int64(n) > w.length || len(p) <= heldBytes {
		n, err := w.Write(p)
		if err != nil {
			return n, err
		}
		m, err := w.Write(tail)
		return n + m, err
	}
	w.wrote += int64(n)
	if err := w.push(p, tail, false); err != nil {
		return 0, err
	}
	return n, nil
}

// Flush implements http.Flusher.
func (w *answer) Flush() { _ = w.FlushError() }

// FlushError writes what is held back.
func (w *answer) FlushError() error {
	if w.c.taken {
		return http.ErrHijacked
	}
	w.WriteHeader(http.StatusOK)
	if w.headed && len(w.out) == gapBytes {
		return nil
	}
	return w.push(nil, nil, false)
}

// push writes what is held back, and p and tail behind it. The head goes first, where it is not out; last ends the body.
func (w *answer) push(p, tail []byte, last bool) error {
	w.front = w.front[:0]
	if !w.headed {
		w.headed = true
		w.chunks = w.length < 0 && w.c.known.req.ProtoMinor > 0 && !w.bodiless()
		w.again = w.again && (w.length >= 0 || w.chunks || w.bodiless()) // else the end of the connection is that of the body
		w.appendHead()
	}
	end := ""
	if w.chunks {
		end = w.chunk(len(w.out)-gapBytes+len(p)+len(tail), last)
	}
	if len(p)+len(tail) == 0 {
		w.out, end = append(w.out, end...), ""
	}
	err := w.write(p, tail, end)
	w.out = w.out[:gapBytes]
	return err
}

// chunk begins a chunk of n bytes, and returns what ends it; last ends the body as well.
func (w *answer) chunk(n int, last bool) (end string) {
	if n > 0 {
		w.front = append(strconv.AppendInt(w.front, int64(n), 16), "\r\n"...)
		end = "\r\n"
	}
	if last {
		end += "0\r\n\r\n"
	}
	return end
}

// write writes what is in front, what is held back, p, tail, and the end of a chunk, in one piece.
func (w *answer) write(p, tail []byte, end string) error {
	held := w.out[gapBytes:]
	front := w.front
	if len(front) <= gapBytes {
		held = w.out[gapBytes-len(front):]
		copy(held, front)
		front = nil
	}
	w.vec = w.parts[:0]
	for _, part := range [...][]byte{front, held, p, tail, []byte(end)} {
		if len(part) > 0 {
			w.vec = append(w.vec, part)
		}
	}
	return w.c.send(&w.vec)
}

// finish writes what is left of the answer, once the handler is done.
func (w *answer) finish() {
	w.WriteHeader(http.StatusOK)
	if !w.headed && w.length < 0 {
		w.length = w.wrote
	}
	w.again = w.again && !w.c.server.closing.Load() && w.c.body.worth()
	if (!w.headed || w.chunks || len(w.out) > gapBytes) && w.push(nil, nil, true) != nil {
		w.again = false
	}
	if w.wrote < w.length && !w.bodiless() {
		w.again = false // the agent must not take what comes next for the rest
	}
}

// worth says whether the rest of a body is worth reading.
func (a *arrival) worth() bool {
	return a.ended || !a.expects && a.err == nil && a.text.mode == counted && a.text.left <= maxUnread
}

// appendHead appends the head of the answer to what is in front (RFC 9112 §4, §5). A field that would break it is left out.
func (w *answer) appendHead() {
	h := w.front
	h = strconv.AppendInt(append(h, "HTTP/1.1 "...), int64(w.status), 10)
	h = append(append(h, ' '), http.StatusText(w.status)...)
	h = append(append(h, "\r\nDate: "...), *w.c.server.date.Load()...)
	h = append(h, "\r\n"...)
	for _, name := range w.names() {
		switch name {
		case "Date", "Content-Length", "Transfer-Encoding":
		case "Connection":
			w.again = false // there is nothing else to say with it
		default:
			for _, value := range w.header[name] {
				h, _ = AppendField(h, name, value)
			}
		}
	}
	switch {
	case w.chunks:
		h = append(h, "Transfer-Encoding: chunked\r\n"...)
	case w.length >= 0 && w.status != http.StatusNoContent && w.status != http.StatusNotModified:
		h = strconv.AppendInt(append(h, "Content-Length: "...), w.length, 10)
		h = append(h, "\r\n"...)
	}
	if !w.again {
		h = append(h, "Connection: close\r\n"...)
	}
	h = append(h, "\r\n"...)
	w.front = h
}

// names are those of the header, in order.
func (w *answer) names() []string {
	w.sorted = w.sorted[:0]
	for name := range w.header {
		w.sorted = append(w.sorted, name)
	}
	slices.Sort(w.sorted)
	return w.sorted
}

// ReadFrom implements io.ReaderFrom, so that the system copies from a file to the connection where it can.
func (w *answer) ReadFrom(r io.Reader) (n int64, err error) {
	w.WriteHeader(http.StatusOK)
	to, ok := w.c.net.(io.ReaderFrom)
	if !ok || w.c.taken || w.length < 0 || w.bodiless() {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	if err := w.FlushError(); err != nil {
		return 0, err
	}
	w.c.writing.Store(true)
	if most, ok := r.(*io.LimitedReader); !ok || most.N > w.length-w.wrote { // limited twice, it would be no file to the system
		r = io.LimitReader(r, w.length-w.wrote)
	}
	n, err = to.ReadFrom(r)
	w.c.writing.Store(false)
	w.wrote += n
	if err != nil {
		w.c.spoilt.Store(true)
	}
	return n, err
}

// SetReadDeadline bounds the reading of the request's body; see http.ResponseController. It holds to some hundredths of a
// second.
func (w *answer) SetReadDeadline(t time.Time) error {
	w.c.readBy.Store(nanoseconds(t))
	return nil
}

// SetWriteDeadline bounds the writing of the answer, as SetReadDeadline does the reading.
func (w *answer) SetWriteDeadline(t time.Time) error {
	w.c.writeBy.Store(nanoseconds(t))
	return nil
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// Hijack implements http.Hijacker. What was held back of an answer is lost.
func (w *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c := w.c
	if c.taken {
		return nil, nil, http.ErrHijacked
	}
	c.unattended()
	c.taken = true
	c.server.forget(c)
	unread := bytes.Clone(c.buf[c.r:c.w])
	in := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(unread), c.net), max(16, len(unread)))
	_, _ = in.Peek(len(unread)) // so that what is there counts as buffered
	w.release()
	c.narrow()
	return c.net, bufio.NewReadWriter(in, bufio.NewWriterSize(c.net, 16)), nil
}
