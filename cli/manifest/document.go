package manifest

import (
	"fmt"
	"strings"
)

// document is one document of a file on its way to objects: it collects the problems, and remembers where each field
// that was visited stands. It lives as long as the Set, for Locate.
type document struct {
	file     string
	root     *node
	places   map[string]place // :: path of a field → where it stands
	problems Problems
	warnings Problems
}

// place is a line and a column, both from 1.
type place struct{ line, column int }

// newDocument knows one place from the start, so that every problem has one: the beginning.
func newDocument(file string, root *node) *document {
	d := &document{file: file, root: root, places: make(map[string]place)}
	d.places[""] = start(root)
	return d
}

// start is where a value begins: a mapping in block style at its first key.
func start(n *node) place {
	if n.form == formMap && len(n.entries) > 0 && n.entries[0].line == n.line {
		return place{n.line, min(n.column, n.entries[0].column)}
	}
	return place{n.line, n.column}
}

// problem makes a problem of a field's place or, where the field is not there, of the nearest one around it: that a
// server lacks a command is shown at its stdio. A name may hold dots, so the steps that are cut off need not be whole
// fields; they lead upwards all the same.
func (d *document) problem(field, message string) Problem {
	p := Problem{File: d.file, Field: field, Message: message}
	for around := field; ; around = around[:max(strings.LastIndexAny(around, ".["), 0)] {
		at, ok := d.places[around]
		if ok || around == "" {
			p.Line, p.Column = at.line, at.column
			return p
		}
	}
}

// cursor is one value of a document, and the path that leads to it. All readers below go on after a problem and return
// what they can, so that one run finds everything.
type cursor struct {
	doc   *document
	node  *node
	field string // as in "spec.allow.tools.postgres[1]"; empty for the whole document
}

// top is the whole document.
func (d *document) top() cursor { return cursor{doc: d, node: d.root} }

// complainf adds a problem at the value.
func (c cursor) complainf(format string, args ...any) {
	c.doc.problems = append(c.doc.problems, c.doc.problem(c.field, fmt.Sprintf(format, args...)))
}

// want checks the type of the value. A bare 8080 or true where text belongs is the commonest slip, and has a remedy.
func (c cursor) want(f form, name string) bool {
	if c.node.form == f {
		return true
	}
	hint := ""
	if f == formText && (c.node.form == formNumber || c.node.form == formBool || len(c.node.entries) == 1) { // [a:b] is a mapping
		hint = "; put it in quotes"
	}
	c.complainf("must be %s, got %s%s", name, c.node.describe(), hint)
	return false
}

// under makes the cursor of a value below this one. Scalars are placed where they stand, so that a wrong value is what an
// editor jumps to; lists and mappings are placed at their key, since they may begin lines below it.
func (c cursor) under(step string, key place, n *node) cursor {
	below := cursor{doc: c.doc, node: n, field: strings.TrimPrefix(c.field+step, ".")}
	// Places are kept for every field that is visited: what will be disliked later is not known yet.
	at := place{n.line, n.column}
	if n.form == formList || n.form == formMap {
		at = key
	}
	c.doc.places[below.field] = at
	return below
}

// member is one key of a mapping.
type member struct {
	cursor // of the value

	name string
	key  place // of the key, where problems with its name are shown
}

// members lists the keys of a mapping whose names are the operator's choice, and refuses the second of a name.
func (c cursor) members() []member {
	if !c.want(formMap, "a mapping") {
		return nil
	}
	// YAML and JSON leave open what a second key of a name means, and readers differ: here it means a mistake.
	first := make(map[string]entry, len(c.node.entries))
	members := make([]member, 0, len(c.node.entries))
	for _, e := range c.node.entries {
		key := place{e.line, e.column}
		if earlier, ok := first[e.key]; ok {
			c.complainAt(key, "."+e.key, fmt.Sprintf("duplicate key %q, first at line %d", shorten(e.key), earlier.line))
			continue
		}
		first[e.key] = e
		members = append(members, member{cursor: c.under("."+e.key, key, e.value), name: e.key, key: key})
	}
	return members
}

// complainAt adds a problem at a place that is not that of a value: a key.
func (c cursor) complainAt(key place, step, message string) {
	c.doc.problems = append(c.doc.problems, c.keyProblem(key, step, message))
}

// warnAt adds a warning at a key.
func (c cursor) warnAt(key place, step, message string) {
	c.doc.warnings = append(c.doc.warnings, c.keyProblem(key, step, message))
}

// keyProblem is a problem of a key of this mapping; the step leads from the mapping to the key.
func (c cursor) keyProblem(key place, step, message string) Problem {
	field := strings.TrimPrefix(c.field+step, ".")
	return Problem{File: c.doc.file, Line: key.line, Column: key.column, Field: field, Message: message}
}

// fields maps the names of fields to what reads them. It is the schema: what is not in it is unknown.
type fields map[string]func(cursor)

// read reads a mapping whose names are fixed, each field by its function, and refuses all others.
func (c cursor) read(known fields) {
	c.readOr(known, func(m member) { c.complainAt(m.key, "."+m.name, unknown(m.name, known)) })
}

// readLoosely reads a mapping like read, and leaves other fields out with a warning.
func (c cursor) readLoosely(known fields) {
	c.readOr(known, func(m member) { c.warnAt(m.key, "."+m.name, "left out: "+unknown(m.name, known)) })
}

// readOr reads a mapping whose names are fixed, and hands each of the others on.
func (c cursor) readOr(known fields, otherwise func(member)) {
	for _, m := range c.members() {
		if read, ok := known[m.name]; ok {
			read(m.cursor)
		} else {
			otherwise(m)
		}
	}
}

// has says whether a mapping has a key; other values have none.
func (c cursor) has(name string) bool {
	for _, e := range c.node.entries {
		if e.key == name {
			return true
		}
	}
	return false
}

// list gives a cursor for each item. An item is placed where it stands, behind its dash.
func (c cursor) list() []cursor {
	if !c.want(formList, "a list") {
		return nil
	}
	items := make([]cursor, len(c.node.items))
	for i, n := range c.node.items {
		items[i] = c.under(fmt.Sprintf("[%d]", i), start(n), n)
	}
	return items
}

// text reads a string.
func (c cursor) text() string {
	if !c.want(formText, "a string") {
		return ""
	}
	return c.node.text
}

// boolean reads true or false.
func (c cursor) boolean() bool {
	return c.want(formBool, "true or false") && strings.EqualFold(c.node.text, "true")
}

// texts reads a list of strings. Items of another type leave a gap, so that the indexes of the others stay right.
func (c cursor) texts() []string {
	items := c.list()
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = item.text()
	}
	return texts
}

// textMap reads a mapping of strings, such as labels, env and headers.
func (c cursor) textMap() map[string]string {
	members := c.members()
	texts := make(map[string]string, len(members))
	for _, m := range members {
		texts[m.name] = m.text()
	}
	return texts
}
