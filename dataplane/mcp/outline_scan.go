package mcp

import (
	"strings"
	"unicode/utf8"

	wide "github.com/segmentio/asm/utf8"
)

// state says what may come next in a message that comes in parts.
type state uint8

const (
	stateValue state = iota
	stateFirstElement
	stateFirstMember
	stateName
	stateColon
	stateAfter // a value
	stateEnd   // nothing but white space
	stateText
	stateEscape
	stateHex
	stateWord
	// The states of numbers.
	stateMinus
	stateZero
	stateInteger
	statePoint
	stateFraction
	stateExponent
	stateExponentSign
	stateExponentDigits
)

// characters says whether a part is UTF-8, where the one before may have ended in the middle of a character.
func (o *Outline) characters(part []byte) bool {
	for o.nchar > 0 && len(part) > 0 {
		o.char[o.nchar], part = part[0], part[1:]
		o.nchar++
		if utf8.FullRune(o.char[:o.nchar]) {
			if !utf8.Valid(o.char[:o.nchar]) {
				return false
			}
			o.nchar = 0
		}
	}
	if o.nchar > 0 {
		return true
	}
	whole := len(part)
	for i := max(0, len(part)-utf8.UTFMax+1); i < len(part); i++ {
		if utf8.RuneStart(part[i]) && !utf8.FullRune(part[i:]) {
			whole = i
			break
		}
	}
	o.nchar = copy(o.char[:], part[whole:])
	return wide.Valid(part[:whole])
}

// step reads something that begins at i, and returns where it ends.
func (o *Outline) step(i int) int {
	c := o.part[i]
	switch {
	case o.state == stateText:
		return o.text(i)
	case o.state >= stateMinus:
		return o.number(c, i)
	case o.state >= stateEscape:
		return o.inner(c, i)
	case isSpace(c):
		return i + 1
	case o.state == stateAfter:
		return o.after(c, i)
	}
	return o.token(c, i)
}

// token reads what stands where a value, a name or a colon may stand.
func (o *Outline) token(c byte, i int) int {
	switch {
	case o.state == stateColon && c == ':':
		o.state = stateValue
		return i + 1
	case o.state == stateFirstMember && c == '}', o.state == stateFirstElement && c == ']':
		return o.closed(i)
	case o.state == stateName || o.state == stateFirstMember:
		if c != '"' {
			return o.fail("no member name", i)
		}
		o.state, o.isName = stateText, true
		if o.gathering() != nil {
			o.begin(i)
		}
		return i + 1
	case o.state == stateValue || o.state == stateFirstElement:
		return o.value(c, i)
	}
	return o.fail("something out of place", i)
}

// value begins a value.
func (o *Outline) value(c byte, i int) int {
	if len(o.open) == 0 && c != '{' {
		o.err = refusal("the body is not one JSON-RPC message object (batches are not served)")
		return i
	}
	if g := o.gathering(); g != nil {
		g.first, g.start = c, o.offset+int64(i)
		if c != '{' && c != '[' {
			o.begin(i)
		}
	}
	switch {
	case c == '{' || c == '[':
		return o.opened(c, i)
	case c == '"':
		o.state, o.isName = stateText, false
	case c == '-':
		o.state = stateMinus
	case c == '0':
		o.state = stateZero
	case isDigit(c):
		o.state = stateInteger
	case c == 't':
		o.state, o.word = stateWord, "true"[1:]
	case c == 'f':
		o.state, o.word = stateWord, "false"[1:]
	case c == 'n':
		o.state, o.word = stateWord, "null"[1:]
	default:
		return o.fail("no value", i)
	}
	return i + 1
}

// opened begins an object or an array.
func (o *Outline) opened(c byte, i int) int {
	if len(o.open) >= MaxDepth {
		return o.fail("nested too deep", i)
	}
	o.state = stateFirstElement
	if c == '{' {
		o.state = stateFirstMember
		o.inside = o.inside || len(o.open) == 1 && string(unescape(o.message.name)) == "result"
	}
	o.open = append(o.open, c)
	return i + 1
}

// closed ends an object or an array with the bracket at i.
func (o *Outline) closed(i int) int {
	o.open = o.open[:len(o.open)-1]
	if len(o.open) == 1 {
		o.inside = false
	}
	o.finish(i + 1)
	return i + 1
}

// after reads what stands behind a value.
func (o *Outline) after(c byte, i int) int {
	switch in := o.open[len(o.open)-1]; {
	case c == ',' && in == '{':
		o.state = stateName
	case c == ',':
		o.state = stateValue
	case c == in+2: // the bracket that closes
		return o.closed(i)
	default:
		return o.fail("no comma or end", i)
	}
	return i + 1
}

// text reads on in a string.
func (o *Outline) text(i int) int {
	i, _ = plainEnd(o.part, i) // characters has seen to UTF-8
	if i == len(o.part) {
		return i
	}
	switch c := o.part[i]; {
	case c == '\\':
		o.state = stateEscape
	case c != '"':
		return o.fail("control character", i)
	case o.isName:
		o.named(i + 1)
	default:
		o.finish(i + 1)
	}
	return i + 1
}

// inner reads a byte of an escape sequence or of a word.
func (o *Outline) inner(c byte, i int) int {
	switch {
	case o.state == stateWord && c == o.word[0]:
		if o.word = o.word[1:]; o.word == "" {
			o.finish(i + 1)
		}
	case o.state == stateHex && isHex(c):
		if o.digits--; o.digits == 0 {
			o.state = stateText
		}
	case o.state == stateEscape && c == 'u':
		o.state, o.digits = stateHex, 4
	case o.state == stateEscape && strings.IndexByte(`"\/bfnrt`, c) >= 0:
		o.state = stateText
	default:
		return o.fail("unknown escape or word", i)
	}
	return i + 1
}

// number reads a byte of a number, or finds that the one before was its last.
func (o *Outline) number(c byte, i int) int {
	next := o.state
	switch o.state {
	case stateMinus:
		next = afterDigit(c, stateInteger)
		if c == '0' {
			next = stateZero
		}
	case stateZero, stateInteger, stateFraction:
		next = o.afterDigits(c)
	case statePoint:
		next = afterDigit(c, stateFraction)
	case stateExponent:
		next = afterDigit(c, stateExponentDigits)
		if c == '+' || c == '-' {
			next = stateExponentSign
		}
	case stateExponentSign:
		next = afterDigit(c, stateExponentDigits)
	case stateExponentDigits:
		next = afterDigit(c, stateExponentDigits)
		if next == stateEnd {
			next = stateAfter
		}
	}
	switch next {
	case stateEnd:
		return o.fail("no digit", i)
	case stateAfter:
		o.finish(i)
		return i
	}
	o.state = next
	return i + 1
}

// afterDigit is the state behind a digit, or stateEnd where it is none.
func afterDigit(c byte, then state) state {
	if isDigit(c) {
		return then
	}
	return stateEnd
}

// afterDigits is the state behind c, which follows a number that may end; stateAfter says that it has ended.
func (o *Outline) afterDigits(c byte) state {
	switch {
	case isDigit(c) && o.state != stateZero:
		return o.state
	case c == '.' && o.state != stateFraction:
		return statePoint
	case c|0x20 == 'e':
		return stateExponent
	}
	return stateAfter
}
