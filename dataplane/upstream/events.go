package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode"
)

// event is one server-sent event.
type event struct {
	name string // empty means message
	data *buffer
}

// eventReader reads server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). Lines end with
// LF or CRLF; a lone CR, which no known server sends, does not end one.
type eventReader struct {
	// in is from the memory; close gives it back.
	in    *bufio.Reader
	mem   *memory
	limit int
	// beside counts the bytes that are no data since the last event.
	beside int
	turn   turn
	// spills take events that are large; nil keeps all in memory.
	spills *spills
	// from is where the stream can be taken up again; what was said of that on one before it goes on to hold.
	from place
	// id is the newest that was read. It holds once its event has ended: one that was cut is to come again.
	id string
}

// place is where a stream can be taken up again. Its zero value is nowhere.
type place struct {
	// lastID is the id of the newest event; empty where the server gave none.
	lastID string
	// retry is what the server asks to wait before the stream is opened again, where it asked at all.
	retry time.Duration
	asked bool
}

// newEventReader reads from in, which it does not close; limit bounds the data of one event, in bytes, and
// what there is beside data before it.
func newEventReader(in io.Reader, mem *memory, limit int) *eventReader {
	return &eventReader{in: mem.takeReader(in), mem: mem, limit: limit}
}

// goOn has the reader of a stream that was taken up again know what the ones before it said.
func (r *eventReader) goOn(from place) { r.from, r.id = from, from.lastID }

// close gives the reader's memory back.
func (r *eventReader) close() { r.mem.giveReader(r.in) }

// next returns the next event that has data; its buffer is the caller's. What stands before the end of the stream counts
// as an event, since some servers leave out the last empty line.
func (r *eventReader) next() (event, error) {
	ev := event{data: r.mem.take()}
	// begun tells data that is there and empty from none: the next line of it needs a line end before it.
	begun := false // data may be there and be empty
	for {
		line, more, err := r.line()
		switch whole := ev.data.length() > 0; {
		case whole && (err == nil && len(line) == 0 || errors.Is(err, io.EOF)):
			r.turn.ended(ev.data.length())
			r.beside, r.from.lastID = 0, r.id
			return ev, nil
		case err == nil:
			begun, err = r.take(&ev, line, more, begun)
		}
		if err != nil {
			r.turn.cut(ev.data.length() + r.beside)
			ev.data.free()
			return event{}, err
		}
	}
}

// take takes a line into the event, of which there may be more than was read. It returns whether the event has data.
func (r *eventReader) take(ev *event, line []byte, more, begun bool) (_ bool, err error) {
	data := isData(line)
	if !data && r.skip(len(line)+1) {
		return begun, fmt.Errorf("reading event: %w", tooBig(r.limit))
	}
	switch {
	case len(line) == 0:
		ev.name, begun, r.from.lastID = "", false, r.id // an event without data may have an id all the same
	case data || !more: // another field as long as that is thrown away
		begun, err = r.field(ev, line, begun)
	}
	if err == nil && more {
		err = r.rest(ev, data)
	}
	return begun, err
}

// line reads a line, or as much of it as fits; more says that the rest is still to be read.
func (r *eventReader) line() (line []byte, more bool, err error) {
	line, err = r.part()
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return r.holdBack(line), true, nil
	case err != nil && len(line) == 0:
		return nil, false, err
	}
	return trimEnd(line), false, nil
}

// part reads a line, or what the reader's memory holds of it.
func (r *eventReader) part() ([]byte, error) {
	part, err := r.in.ReadSlice('\n')
	r.turn.took(len(part), &r.mem.pace)
	return part, err
}

// holdBack leaves the last byte of a part for the next one where it may be half of the line's end.
func (r *eventReader) holdBack(part []byte) []byte {
	if n := len(part) - 1; part[n] == '\r' && r.in.UnreadByte() == nil {
		return part[:n]
	}
	return part
}

// trimEnd takes LF or CRLF off a line.
func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

// field takes one field into the event. It returns whether the event has data.
func (r *eventReader) field(ev *event, line []byte, begun bool) (bool, error) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		if begun {
			r.spills.add(ev.data, []byte{'\n'})
		}
		return true, r.add(ev, value)
	case "event":
		ev.name = string(value)
	case "id":
		if !bytes.ContainsFunc(value, unicode.IsControl) { // it is to become a header
			r.id = string(value)
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			r.from.retry, r.from.asked = time.Duration(ms)*time.Millisecond, true
		}
	}
	return begun, nil
}

// skip counts what is no data, and says whether that was too much: comments without end cost the time of a whole call.
func (r *eventReader) skip(n int) (tooMuch bool) {
	r.beside += n
	return r.beside > r.limit
}

// isData says whether a line holds data, the only field whose value may be longer than one read.
func isData(line []byte) bool {
	name, _, _ := bytes.Cut(line, []byte(":"))
	return string(name) == "data"
}

// rest reads the rest of a line that did not fit; it is thrown away where it is not data.
func (r *eventReader) rest(ev *event, data bool) error {
	for {
		part, err := r.part()
		more := errors.Is(err, bufio.ErrBufferFull)
		if more {
			part = r.holdBack(part)
		} else {
			part = trimEnd(part)
		}
		if data {
			err = r.add(ev, part)
		} else if err = nil; r.skip(len(part)) {
			err = fmt.Errorf("reading event: %w", tooBig(r.limit))
		}
		if err != nil {
			return err
		}
		if !more {
			return nil // an end of the stream shows with the next line
		}
	}
}

// add appends to the data of an event.
func (r *eventReader) add(ev *event, part []byte) error {
	if ev.data.length()+len(part) > r.limit {
		return fmt.Errorf("reading event: %w", tooBig(r.limit))
	}
	r.spills.add(ev.data, part)
	return nil
}
