package front

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// outlet is where the events of a stream go. Write and close are for one goroutine at a time, the others for any.
type outlet interface {
	// write writes whole at once, and says whether the agent got it.
	write(text []byte) bool
	// within bounds the write under way and those to come, from now on.
	within(d time.Duration)
	// close ends the answer in good order, cut without.
	close()
	cut()
}

// answering is a stream that a request's handler holds open: the way that every HTTP server knows.
type answering struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (a *answering) write(text []byte) bool {
	_, err := a.w.Write(text)
	return err == nil && a.control.Flush() == nil
}

// within does without a deadline where the connection knows none.
func (a *answering) within(d time.Duration) { _ = a.control.SetWriteDeadline(time.Now().Add(d)) }

func (a *answering) close() {}

func (a *answering) cut() { a.within(0) }

// taken is a stream on a connection that was taken from the HTTP server, whose goroutine and buffers are free again. Its
// body is written in chunks, since its length is not known.
type taken struct{ conn net.Conn }

// takeOver takes the connection of a request, writes the head of an event stream, and leaves the rest to the caller. It
// returns nil where the connection cannot be had.
func takeOver(w http.ResponseWriter, r *http.Request, patience time.Duration) (*taken, error) {
	if !r.ProtoAtLeast(1, 1) { // which knows no chunks
		return nil, nil
	}
	conn, _, err := http.NewResponseController(w).Hijack() // agents send nothing after a GET
	if errors.Is(err, http.ErrNotSupported) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("taking over the connection: %w", err)
	}
	t := &taken{conn}
	t.within(patience)
	if _, err := conn.Write(head(w.Header())); err != nil {
		t.cut()
		return nil, fmt.Errorf("beginning the stream: %w", err)
	}
	return t, nil
}

// head is the head of an answer that is a stream of events, with what is set in header already.
func head(header http.Header) []byte {
	beginEvents(header)
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("Connection", "close") // nothing comes after the stream
	header.Set("Transfer-Encoding", "chunked")
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	return b.Bytes()
}

func (t *taken) write(text []byte) bool {
	size := strconv.AppendInt(make([]byte, 0, 10), int64(len(text)), 16)
	chunk := net.Buffers{append(size, "\r\n"...), text, []byte("\r\n")}
	_, err := chunk.WriteTo(t.conn) // one system call
	return err == nil
}

func (t *taken) within(d time.Duration) { _ = t.conn.SetWriteDeadline(time.Now().Add(d)) }

func (t *taken) close() {
	_, _ = t.conn.Write([]byte("0\r\n\r\n"))
	t.cut()
}

func (t *taken) cut() { _ = t.conn.Close() }

// maxStray bounds what an agent may send, in bytes, where it has nothing to send.
const maxStray = 4 << 10

// await returns when the agent is gone, or the connection is closed.
func (t *taken) await() {
	var stray [64]byte
	for n := 0; n < maxStray; {
		k, err := t.conn.Read(stray[:])
		if err != nil {
			return
		}
		n += k
	}
}
