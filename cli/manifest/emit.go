package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
)

// maxEncodedDepth bounds what is written, which may be the answer of an upstream: each level costs its indentation.
const maxEncodedDepth = 1000

// EncodeYAML writes any value as YAML, just as encoding/json would write it as JSON: the same names, order and omissions.
// Every string reads back as it was, whatever is in it. Values nested deeper than 1000 levels are an error.
func EncodeYAML(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding YAML: %w", err)
	}
	root, err := newJSONReader(input{data: buf.Bytes()}, math.MaxInt, maxEncodedDepth).value(0)
	if err != nil {
		return nil, fmt.Errorf("encoding YAML: %w", err)
	}
	var e emitter
	if isBlock(root) {
		e.block(root, 0)
	} else {
		e.scalar(root)
		e.WriteByte('\n')
	}
	return e.Bytes(), nil
}

// emitter writes nodes in block style, two spaces a level. It is our own because the encoders at hand do not keep every
// string: keys of several lines and tabs come back as something else.
type emitter struct{ bytes.Buffer }

// isBlock says whether a value takes lines of its own. Empty lists and mappings do not: [] and {}.
func isBlock(n *node) bool { return len(n.items) > 0 || len(n.entries) > 0 }

// block writes a list or a mapping that is not empty. The cursor is at the beginning of a line or, for the first entry of
// an item of a list, behind the dash.
func (e *emitter) block(n *node, indent int) {
	for i, item := range n.items {
		e.indent(i, indent)
		e.WriteByte('-')
		e.value(item, indent, " ")
	}
	for i, entry := range n.entries {
		e.indent(i, indent)
		e.text(entry.key)
		e.WriteByte(':')
		e.value(entry.value, indent, "\n"+strings.Repeat(" ", indent+2))
	}
}

// indent begins a line, except the first, which the caller began.
func (e *emitter) indent(i, indent int) {
	if i > 0 {
		e.WriteString(strings.Repeat(" ", indent))
	}
}

// value writes what follows a dash or a colon, up to the end of the line; gap stands before a block.
func (e *emitter) value(n *node, indent int, gap string) {
	if isBlock(n) {
		e.WriteString(gap)
		e.block(n, indent+2)
		return
	}
	e.WriteByte(' ')
	e.scalar(n)
	e.WriteByte('\n')
}

// scalar writes what fits on the line. Numbers and booleans are as the JSON has them, which is YAML too.
func (e *emitter) scalar(n *node) {
	switch n.form {
	case formText:
		e.text(n.text)
	case formList:
		e.WriteString("[]")
	case formMap:
		e.WriteString("{}")
	case formNull:
		e.WriteString("null")
	default:
		e.WriteString(n.text)
	}
}

// text writes a string without quotes only where no YAML reader, of whatever version, could take it for something else.
func (e *emitter) text(s string) {
	if isPlain(s) {
		e.WriteString(s)
		return
	}
	e.WriteByte('"')
	for _, r := range s {
		e.quoted(r)
	}
	e.WriteByte('"')
}

// quoted writes one character of a string in double quotes. What cannot be seen is escaped, so that a manifest shows all
// that it holds.
func (e *emitter) quoted(r rune) {
	switch {
	case r == '"' || r == '\\':
		e.WriteByte('\\')
		e.WriteRune(r)
	case r == '\n':
		e.WriteString(`\n`)
	case r == '\t':
		e.WriteString(`\t`)
	case unicode.IsPrint(r):
		e.WriteRune(r)
	case r > 0xffff:
		fmt.Fprintf(e, `\U%08x`, r)
	default:
		fmt.Fprintf(e, `\u%04x`, r)
	}
}

// isPlain says whether a string needs no quotes: it begins with a letter or with what begins paths and references, is no
// word with a meaning, and holds nothing that ends a plain text.
func isPlain(s string) bool {
	for i, r := range s {
		switch {
		case i == 0 && !unicode.IsLetter(r) && !strings.ContainsRune("_/$", r):
			return false
		case strings.ContainsRune("#<", r) || !unicode.IsPrint(r): // the parser takes "a<<:" for a merge key
			return false
		}
	}
	// Older readers take these for booleans and null; today's would not need quotes around most of them.
	words := []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
	return s != "" && !slices.Contains(words, strings.ToLower(s)) &&
		!strings.Contains(s, ": ") && !strings.HasSuffix(s, ":") && !strings.HasSuffix(s, " ")
}
