package mcp

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"

	wide "github.com/segmentio/asm/utf8"
)

// MaxDepth is how deep arrays and objects may nest in any JSON text that the gateway takes from outside.
const MaxDepth = 128

// scanner checks JSON text strictly and in place, in one pass that goes down as deep as the text nests. Its methods begin
// at pos and leave it behind what they read; they return false at the first fault, which they leave in fault with pos at
// the place.
type scanner struct {
	data  []byte
	pos   int
	fault string // what is wrong there, for a person

	// What is found out of the member of that name of the outermost object, where it has one. By value: the scanner, and what
	// points to it, stay on the stack.
	facts Facts
	watch string // with its quotes; empty for no member
	inner bool   // it is being read
}

// Check says whether data is exactly one JSON value (RFC 8259) of valid UTF-8 and at most MaxDepth levels, with white
// space around it allowed. The error is an *Error with CodeParseError.
func Check(data []byte) error {
	s := scanner{data: data}
	if s.document(nil) {
		return nil
	}
	return s.parseError()
}

func (s *scanner) parseError() *Error {
	return &Error{Code: CodeParseError, Message: fmt.Sprintf("parsing JSON: %s at byte %d", s.fault, s.pos)}
}

func (s *scanner) fail(fault string) bool {
	s.fault = fault
	return false
}

// document reads one value and nothing after it. Where the value is an object, pick gets its members.
func (s *scanner) document(pick *picker) bool {
	if s.oneValue(pick) {
		return true
	}
	// Characters are checked where they stand, in strings. Of several faults this one is named, since where a text that is
	// not UTF-8 goes wrong otherwise says little.
	if !utf8.Valid(s.data) {
		s.pos = 0
		if pick != nil {
			pick.fault = nil
		}
		return s.fail("invalid UTF-8")
	}
	return false
}

func (s *scanner) oneValue(pick *picker) bool {
	s.space()
	if ok := s.root(pick); !ok {
		return false
	}
	s.space()
	if s.pos < len(s.data) {
		return s.fail("something after the value")
	}
	return true
}

// root is value, but for an object whose members are asked for.
func (s *scanner) root(pick *picker) bool {
	if pick != nil && s.peek() == '{' {
		return s.object(0, pick)
	}
	return s.value(0)
}

// value reads any value; depth counts the containers around it.
func (s *scanner) value(depth int) bool {
	switch c := s.peek(); {
	case c == '"':
		return s.text()
	case c == '{':
		return s.object(depth, nil)
	case c == '[':
		return s.array(depth)
	case c == '-' || isDigit(c):
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.fail("no value")
}

// object reads an object; pick, where there is one, gets its members.
func (s *scanner) object(depth int, pick *picker) bool {
	if depth >= MaxDepth {
		return s.fail("nested too deep")
	}
	s.pos++ // {
	if s.space(); s.peek() == '}' {
		s.pos++
		return true
	}
	for s.member(depth, pick) {
		s.space()
		if done, ok := s.next('}'); done || !ok {
			return ok
		}
	}
	return false
}

// member reads a name and its value, and shows them to pick.
func (s *scanner) member(depth int, pick *picker) bool {
	start := s.pos
	if s.peek() != '"' || !s.text() {
		return s.fail("no member name")
	}
	name := s.data[start:s.pos]
	if s.space(); s.peek() != ':' {
		return s.fail("no colon")
	}
	s.pos++
	s.space()
	start = s.pos
	if pick != nil && string(name) == s.watch {
		s.inner, s.facts.Known = true, true
	}
	if !s.value(depth + 1) {
		return false
	}
	if pick == nil {
		if depth == 1 && s.inner {
			s.facts.take(name, s.data[start:s.pos])
		}
		return true
	}
	s.inner = false
	return pick.take(name, s.data[start:s.pos]) || s.fail("ambiguous member")
}

func (s *scanner) array(depth int) bool {
	if depth >= MaxDepth {
		return s.fail("nested too deep")
	}
	s.pos++ // [
	if s.space(); s.peek() == ']' {
		s.pos++
		return true
	}
	for s.value(depth + 1) {
		s.space()
		if done, ok := s.next(']'); done || !ok {
			return ok
		}
	}
	return false
}

// next reads what stands after an element: a comma, or the end of the container.
func (s *scanner) next(end byte) (done, ok bool) {
	switch s.peek() {
	case end:
		s.pos++
		return true, true
	case ',':
		s.pos++
		s.space()
		return false, true
	}
	return false, s.fail("no comma or end")
}

// text reads a string, of which pos is at the opening quote. Lone surrogates among the escapes are allowed, as they are in
// RFC 8259: they pass on as they stand.
func (s *scanner) text() bool {
	s.pos++
	for {
		start := s.pos
		end, ascii := plainEnd(s.data, start)
		if !ascii && !wide.Valid(s.data[s.pos:end]) {
			return s.fail("invalid UTF-8")
		}
		s.pos = end
		switch s.peek() {
		case '"':
			s.pos++
			return true
		case '\\':
			if !s.escape() {
				return false
			}
			if end-start < shortRun && s.shortRuns() {
				return true
			}
		default:
			return s.fail("unfinished string or control character")
		}
	}
}

// shortRun is how little of plain characters before an escape makes it likely that the next one comes soon.
const shortRun = 16

// shortRuns reads on in a string of plain characters and of the escapes \" and \n, until its closing quote, which is true. It
// stops, which is false, at what it does not know, and where the escapes are rare, for which plainEnd is made. JSON within
// a string has an escape every few bytes, at no two places alike: a branch for each would be guessed wrong by the
// processor half of the time, so all of eight bytes is computed before the one question whether something ends here.
func (s *scanner) shortRuns() (closed bool) {
	data, pos := s.data, s.pos
	var behind uint64 // marks the first byte where the one before is a backslash
	for plain := 0; plain < 4 && pos+8 <= len(data); pos += 8 {
		w := binary.LittleEndian.Uint64(data[pos:])
		quote, slash := zeros(w^quotes), zeros(w^slants)
		escaped := slash<<8 | behind
		over := quote&^escaped | escaped&^(quote|zeros(w^breaks)) | ((w-spaces)|w)&highs
		if over != 0 {
			return s.stopAt(pos+bits.TrailingZeros64(over)/8, escaped&over&-over != 0)
		}
		behind = slash >> 56
		plain++
		if slash != 0 {
			plain = 0
		}
	}
	s.pos = pos - int(behind>>7)
	return false
}

// stopAt ends shortRuns at a byte, which may belong to an escape that began before it.
func (s *scanner) stopAt(at int, escaped bool) (closed bool) {
	switch {
	case escaped:
		s.pos = at - 1
		return false
	case s.data[at] == '"':
		s.pos = at + 1
		return true
	}
	s.pos = at
	return false
}

// isShortEscape says whether a backslash and c are an escape sequence (RFC 8259 §7).
func isShortEscape(c byte) bool {
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	}
	return false
}

// escape reads an escape sequence, of which pos is at the backslash.
func (s *scanner) escape() bool {
	s.pos++
	switch c := s.peek(); {
	case isShortEscape(c):
		s.pos++
		return true
	case c == 'u':
		s.pos++
		for range 4 {
			if !isHex(s.peek()) {
				return s.fail("escape without four hexadecimal digits")
			}
			s.pos++
		}
		return true
	}
	return s.fail("unknown escape")
}

// number reads a number of any size and precision; none is ever converted.
func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return false
		}
	}
	return s.exponent()
}

func (s *scanner) exponent() bool {
	if s.peek()|0x20 != 'e' {
		return true
	}
	s.pos++
	if c := s.peek(); c == '+' || c == '-' {
		s.pos++
	}
	return s.digits()
}

func (s *scanner) digits() bool {
	if !isDigit(s.peek()) {
		return s.fail("no digit")
	}
	for isDigit(s.peek()) {
		s.pos++
	}
	return true
}

func (s *scanner) literal(word string) bool {
	end := s.pos + len(word)
	if end > len(s.data) || string(s.data[s.pos:end]) != word {
		return s.fail("no value")
	}
	s.pos = end
	return true
}

func (s *scanner) space() {
	for s.pos < len(s.data) && s.data[s.pos] <= ' ' && isSpace(s.data[s.pos]) { // mostly there is none
		s.pos++
	}
}

// peek returns the byte at pos, or 0 at the end; a NUL in the text is a fault wherever peek is asked, too.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
