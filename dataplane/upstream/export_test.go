package upstream

import (
	"bufio"
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
