package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// What is wrong with an object whose members are asked for.
var (
	errNotObject = errors.New("not a JSON object")
	errAmbiguous = errors.New("ambiguous members")
)

// Pick finds the members of an object that has been checked (it is part of a scanned message, or Check took it): out[i]
// becomes the raw value of names[i], and stays as it was where there is none. It returns the first other member's name,
// still escaped, or nil, and refuses duplicate names and those that differ from a wanted one only in case: encoding/json
// would take either. It allocates nothing for up to 16 members, and never panics, whatever object is.
func Pick(object []byte, names []string, out [][]byte) (other []byte, err error) {
	p := picker{names: names, out: out}
	w := walker{data: object}
	for {
		name, value, ok := w.next()
		if !ok {
			return p.other, w.err
		}
		if !p.take(name, value) {
			return p.other, fmt.Errorf("reading member %s: %w", string(p.fault), errAmbiguous)
		}
	}
}

// Members calls visit for each member of an object that has been checked, in order: its name with its quotes as it
// stands, and its raw value. It stops at the first error, which it returns. Duplicates are not looked for.
func Members(object []byte, visit func(name, value []byte) error) error {
	w := walker{data: object}
	for {
		name, value, ok := w.next()
		if !ok {
			return w.err
		}
		if err := visit(name, value); err != nil {
			return err
		}
	}
}

// Elements calls visit for each element of an array that has been checked, in order, and stops at the first error.
func Elements(array []byte, visit func(value []byte) error) error {
	pos := skipSpace(array, 0)
	if pos >= len(array) || array[pos] != '[' {
		return errors.New("not a JSON array")
	}
	for pos = skipSpace(array, pos+1); pos < len(array) && array[pos] != ']'; {
		end := skipValue(array, pos)
		if err := visit(array[pos:end]); err != nil {
			return err
		}
		if pos = skipSpace(array, end); pos < len(array) && array[pos] == ',' {
			pos = skipSpace(array, pos+1)
		}
	}
	return nil
}

// Unquote decodes a JSON string that has been checked; false says that raw is not a string. A lone surrogate becomes
// U+FFFD, as with encoding/json.
func Unquote(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// picker sorts an object's members into those that are wanted and others, and refuses what is ambiguous.
type picker struct {
	names []string
	out   [][]byte
	other []byte // the first member that is not wanted, still escaped
	fault []byte // the member that take refused
	seen  names
}

// take sorts one member in; false says that it is ambiguous. Names are compared by what they mean, so "n\u0061me" is name.
func (p *picker) take(name, value []byte) bool {
	key := name[1 : len(name)-1]
	plain := unescape(name)
	i, ok := p.index(plain)
	if !ok || !p.seen.add(plain) {
		p.fault = name
		return false
	}
	if i >= 0 {
		p.out[i] = value
	} else if p.other == nil {
		p.other = key
	}
	return true
}

// index returns which wanted name it is, or -1; it is not ok where it differs from one only in case.
func (p *picker) index(name []byte) (i int, ok bool) {
	for i, want := range p.names {
		if string(name) == want {
			return i, true
		}
	}
	for _, want := range p.names {
		if len(name) == len(want) && equalFold(name, want) {
			return -1, false
		}
	}
	return -1, true
}

// equalFold compares ASCII letters without their case; the names are equally long.
func equalFold(name []byte, want string) bool {
	for i, c := range name {
		if c != want[i] && (c|0x20 != want[i]|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// unescape returns what a member's name, given with its quotes, means.
func unescape(name []byte) []byte {
	if bytes.IndexByte(name, '\\') < 0 {
		return name[1 : len(name)-1]
	}
	s, _ := Unquote(name)
	return []byte(s)
}

// names is a set of names that needs no memory of its own while it is small, and stays quick when an object has very many.
type names struct {
	few  [16][]byte
	n    int
	many map[string]struct{}
}

// add returns false where the name is in the set already.
func (s *names) add(name []byte) bool {
	if s.many != nil {
		return s.addMany(name)
	}
	for _, have := range s.few[:s.n] {
		if string(have) == string(name) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	s.many = make(map[string]struct{}, 2*len(s.few))
	for _, have := range s.few {
		s.many[string(have)] = struct{}{}
	}
	return s.addMany(name)
}

func (s *names) addMany(name []byte) bool {
	before := len(s.many)
	s.many[string(name)] = struct{}{}
	return len(s.many) > before
}

// walker goes through the members of an object without checking it again. On text that is not JSON it ends with an
// error or with nonsense, but never panics.
type walker struct {
	data []byte
	pos  int
	open bool
	err  error
}

// next returns the next member, or false at the end and at what is no object, which err then says.
func (w *walker) next() (name, value []byte, ok bool) {
	if !w.open && !w.start() {
		return nil, nil, false
	}
	if w.at() == '}' {
		return nil, nil, false
	}
	if w.at() != '"' {
		w.err = errNotObject
		return nil, nil, false
	}
	from := w.pos
	w.pos = skipString(w.data, from)
	name = w.data[from:w.pos]
	if w.skip(); w.at() != ':' || len(name) < 2 {
		w.err = errNotObject
		return nil, nil, false
	}
	w.pos++
	w.skip()
	from = w.pos
	w.pos = skipValue(w.data, from)
	value = w.data[from:w.pos]
	if w.skip(); w.at() == ',' {
		w.pos++
		w.skip()
	}
	return name, value, true
}

func (w *walker) start() bool {
	w.open = true
	if w.skip(); w.at() != '{' {
		w.err = errNotObject
		return false
	}
	w.pos++
	w.skip()
	return true
}

func (w *walker) skip() { w.pos = skipSpace(w.data, w.pos) }

func (w *walker) at() byte {
	if w.pos < len(w.data) {
		return w.data[w.pos]
	}
	return 0
}

func skipSpace(data []byte, pos int) int {
	for pos < len(data) && isSpace(data[pos]) {
		pos++
	}
	return pos
}

// skipValue returns the end of the value at pos, counting brackets only: the text has been checked, so which bracket it
// is does not matter. It always advances.
func skipValue(data []byte, pos int) int {
	depth := 0
	for pos < len(data) {
		switch c := data[pos]; c {
		case '"':
			pos = skipString(data, pos)
		case '{', '[':
			depth++
			pos++
		case '}', ']':
			depth--
			pos++
		case ',', ':', ' ', '\n', '\t', '\r':
			pos++
			continue // cannot end a value; outside brackets skipScalar stops before it
		default:
			pos = skipScalar(data, pos)
		}
		if depth <= 0 {
			return pos
		}
	}
	return pos
}

// skipScalar returns the end of a number or a word.
func skipScalar(data []byte, pos int) int {
	for pos < len(data) {
		switch data[pos] {
		case ',', ':', '}', ']', ' ', '\n', '\t', '\r', '"', '{', '[':
			return pos
		}
		pos++
	}
	return pos
}

// skipString returns the end of the string whose opening quote is at pos. Searching for quotes alone is several times as
// fast as reading escapes, and most strings have none.
func skipString(data []byte, pos int) int {
	for pos++; ; pos++ {
		n := bytes.IndexByte(data[pos:], '"')
		if n < 0 {
			return len(data)
		}
		pos += n
		if !escaped(data, pos) {
			return pos + 1
		}
	}
}

// escaped says whether an odd number of backslashes stands before pos.
func escaped(data []byte, pos int) bool {
	n := 0
	for n < pos && data[pos-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}
