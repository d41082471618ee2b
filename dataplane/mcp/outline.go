package mcp

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// maxKeptText bounds the names and the small values, in bytes, that an Outline keeps of a message.
const maxKeptText = 64 << 10

// Extent is where something stands in a message, in bytes from its beginning. The zero value is nowhere.
type Extent struct{ Start, End int64 }

// Size is the extent's length in bytes.
func (e Extent) Size() int64 { return e.End - e.Start }

// Outline reads one JSON-RPC message that comes in parts and is too large to be held in memory. It takes and refuses what
// ScanMessage takes and refuses, but for names and ids beyond 64 KiB, and keeps where the parts of the message stand
// instead of the parts. Where the result is an object, it keeps some of its members as well.
type Outline struct {
	state  state
	open   []byte // the containers that are not closed, as their brackets
	part   []byte // that is being read
	offset int64  // of the part
	err    error

	char   [utf8.UTFMax]byte // an unfinished character
	nchar  int
	word   string // of a literal, what is still to come
	digits int    // of an escape, how many are still to come
	isName bool   // the string that is being read is a member's name

	keeping bool   // what is being read is kept
	kept    []byte // of it, from parts before
	mark    int    // in this part, where it begins
	cut     bool   // it is more than may be kept

	message members
	result  members
	inside  bool // of the result's object
}

// members gather those of one object.
type members struct {
	picker  picker
	extents []Extent
	name    []byte // of the member that is being read, with its quotes; nil where it is too long to be kept
	first   byte   // of its value
	start   int64  // of its value
	size    int    // of all names so far
	any     bool   // there is a member
}

// NewOutline returns an outline that keeps these members of the result's object.
func NewOutline(names ...string) *Outline {
	all := []string{"jsonrpc", "id", "method", "params", "result", "error"} // in the order of memberVersion and so on
	return &Outline{message: newMembers(all), result: newMembers(names)}
}

func newMembers(names []string) members {
	return members{picker: picker{names: names, out: make([][]byte, len(names))}, extents: make([]Extent, len(names))}
}

// Write reads the next part, of which nothing is kept by reference. The error, an *Error, stays.
func (o *Outline) Write(part []byte) (int, error) {
	o.part, o.mark = part, 0
	if o.err == nil && !o.characters(part) {
		o.fail("invalid UTF-8", 0)
	}
	for i := 0; i < len(part) && o.err == nil; {
		i = o.step(i)
	}
	if o.err != nil {
		return 0, o.err
	}
	if o.keeping {
		o.keep(len(part))
	}
	o.offset += int64(len(part))
	o.part = nil
	return len(part), nil
}

// Close ends the message and returns what kind it is, with its id and method, but without params, result and error. The
// error is as for ScanMessage.
func (o *Outline) Close() (Message, error) {
	var m Message
	if o.err == nil && (o.state != stateEnd || o.nchar > 0) {
		o.fail("unfinished text", 0)
	}
	if o.err != nil {
		return m, o.err
	}
	err := m.fill((*[memberCount][]byte)(o.message.picker.out))
	m.Params, m.Result, m.Error = nil, nil, nil
	return m, err
}

// Params is where the params of a request or a notification stand.
func (o *Outline) Params() Extent { return o.message.extents[memberParams] }

// Result is where the result of a response stands.
func (o *Outline) Result() Extent { return o.message.extents[memberResult] }

// Fault is where the error of a response stands.
func (o *Outline) Fault() Extent { return o.message.extents[memberError] }

// Members returns the members of the result's object that were to be kept, raw, in the order of their names; of arrays,
// objects and what is very long, the beginning. The error says that they are ambiguous, as for Pick, but others that stand
// twice do not count.
func (o *Outline) Members() ([][]byte, error) {
	if fault := o.result.picker.fault; fault != nil {
		return nil, fmt.Errorf("reading member %s: %w", fault, errAmbiguous)
	}
	return o.result.picker.out, nil
}

// IsObject says whether the result is an object.
func (o *Outline) IsObject() bool {
	result := o.message.picker.out[memberResult]
	return len(result) > 0 && result[0] == '{'
}

// isEmpty says whether the result's object has no members.
func (o *Outline) isEmpty() bool { return !o.result.any }

// gathering returns the object whose members are being read, if it is one of those whose members matter.
func (o *Outline) gathering() *members {
	switch {
	case len(o.open) == 1:
		return &o.message
	case len(o.open) == 2 && o.inside:
		return &o.result
	}
	return nil
}

// begin begins to keep what stands from i on.
func (o *Outline) begin(i int) {
	o.keeping, o.cut = true, false
	o.mark, o.kept = i, o.kept[:0]
}

// keep keeps what stands before end, as far as there is room for it.
func (o *Outline) keep(end int) {
	more := o.part[o.mark:end]
	if room := maxKeptText - len(o.kept); len(more) > room {
		more, o.cut = more[:room], true
	}
	o.kept = append(o.kept, more...)
	o.mark = end
}

// taken ends the keeping at end, and returns a copy of what was kept; whole says that it is not cut.
func (o *Outline) taken(end int) (text []byte, whole bool) {
	o.keep(end)
	o.keeping = false
	return bytes.Clone(o.kept), !o.cut
}

// named ends a member's name at end.
func (o *Outline) named(end int) {
	o.state = stateColon
	g := o.gathering()
	if g == nil {
		return
	}
	g.any = true
	name, whole := o.taken(end)
	if g.name = name; !whole {
		g.name = nil
	}
	if g == &o.message {
		if g.size += len(name); g.size > maxKeptText || !whole {
			o.fail("too many or too long names", end)
		}
	}
}

// finish ends a value at end, and its member with it.
func (o *Outline) finish(end int) {
	o.state = stateAfter
	if len(o.open) == 0 {
		o.state = stateEnd
	}
	g := o.gathering()
	if g == nil {
		return
	}
	value, whole := []byte{g.first}, true
	if o.keeping {
		value, whole = o.taken(end)
	}
	if g == &o.result {
		g.note(value)
		return
	}
	i, _ := g.picker.index(unescape(g.name))
	switch {
	case !g.picker.take(g.name, value):
		o.err = refusal("ambiguous member %s", string(g.name))
	case !whole && i >= 0 && i <= memberMethod:
		o.fail("an id or a method that is too long", end)
	case i >= 0:
		g.extents[i] = Extent{g.start, o.offset + int64(end)}
	}
}

// note keeps a member of the result if it is wanted, and notes where that is ambiguous.
func (g *members) note(value []byte) {
	if g.name == nil {
		return // longer than anything that is wanted
	}
	i, ok := g.picker.index(unescape(g.name))
	switch {
	case !ok || i >= 0 && g.picker.out[i] != nil:
		g.picker.fault = g.name
	case i >= 0:
		g.picker.out[i] = value
	}
}

// fail keeps what is wrong, i bytes into the part.
func (o *Outline) fail(fault string, i int) int {
	o.err = &Error{Code: CodeParseError, Message: fmt.Sprintf("parsing JSON: %s at byte %d", fault, o.offset+int64(i))}
	return i
}
