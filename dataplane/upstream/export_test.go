package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
)

// Expand resolves references, for the fuzz target.
func Expand(s string, lookup func(string) (string, bool)) (string, error) {
	r := &resolver{lookup: lookup}
	out := r.expand(s)
	return out, r.err()
}

// Event is a server-sent event, for the fuzz target.
type Event struct{ Name, Data string }

// ReadBytes is how much the readers below read at a time: little, so that short streams come to the ends of it.
const ReadBytes = 64

// ErrTooBig is what an event over the limit ends a stream with.
var ErrTooBig = errTooBig

// ReadEvents reads all events of a stream.
func ReadEvents(stream io.Reader, limit int) (events []Event, lastID string, err error) {
	r := &eventReader{in: bufio.NewReaderSize(stream, ReadBytes), mem: new(memory), limit: limit}
	defer r.close()
	for {
		ev, err := r.next()
		if errors.Is(err, io.EOF) {
			return events, r.from.lastID, nil
		}
		if err != nil {
			return events, r.from.lastID, err
		}
		events = append(events, Event{ev.name, string(ev.data.b)})
		ev.data.free()
	}
}

// Server sends event streams, which are read as fast as the newest ones have earned it.
type Server struct{ endpoint *endpoint }

// NewServer returns one that has sent nothing yet.
func NewServer() *Server { return &Server{&endpoint{mem: new(memory)}} }

// Read reads the first event of a stream, of at most so many bytes.
func (s *Server) Read(ctx context.Context, stream io.Reader, limit int) error {
	r := s.endpoint.events(ctx, stream, limit)
	defer r.close()
	ev, err := r.next()
	if err == nil {
		ev.data.free()
	}
	return err
}

// Line is one line of a stream, or how a line that is too long begins and ends.
type Line struct {
	Text       string
	Long       bool
	Head, Tail string
}

// ReadLines reads all lines of a stream.
func ReadLines(stream io.Reader, limit int) (lines []Line) {
	r := &lineReader{in: bufio.NewReaderSize(stream, ReadBytes), mem: new(memory), limit: limit}
	for {
		buf, err := r.next()
		var long *longLineError
		switch {
		case errors.As(err, &long):
			lines = append(lines, Line{Long: true, Head: string(long.head), Tail: string(long.tail)})
		case err != nil:
			return lines
		default:
			lines = append(lines, Line{Text: string(buf.b)})
			buf.free()
		}
	}
}

// GuessID finds an id near one end of a message.
func GuessID(text []byte) (int64, bool) { return guessID(text) }
