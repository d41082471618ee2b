package manifest

import "strconv"

// form is the type of a node, the same for YAML and JSON. Integers and other numbers are one form, since no field of an
// object is a number: they only occur in messages.
type form int

const (
	formNull form = iota
	formText
	formNumber
	formBool
	formList
	formMap
)

// node is one value of a document, whatever it was written in. A tree of nodes shares nothing and has no cycles: what a
// YAML alias stands for is copied, and counted each time.
type node struct {
	form    form
	text    string  // of text: the value; of a number or a boolean: as written
	line    int     // from 1
	column  int     // in characters, from 1
	items   []*node // of a list, in the order of the file
	entries []entry // of a map, in the order of the file, duplicates included
}

// entry is one key of a map. The place is that of the key.
type entry struct {
	key    string
	line   int
	column int
	value  *node
}

// describe names a node in messages: "the number 8080". Of a string only the beginning is shown; it may be a secret that
// landed in the wrong field, but then it stands in the operator's own file and goes to the operator's own terminal.
func (n *node) describe() string {
	switch n.form {
	case formText:
		return "the string " + strconv.Quote(shorten(n.text))
	case formNumber:
		return "the number " + shorten(n.text)
	case formBool:
		return "the boolean " + n.text
	case formList:
		return "a list"
	case formMap:
		return "a mapping"
	default:
		return "null"
	}
}

// shorten keeps messages on one line of a terminal.
func shorten(s string) string {
	const limit = 60
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}

// budget counts the nodes of one file.
type budget struct{ left int }

// take says whether there is room for one more node.
func (b *budget) take() bool {
	b.left--
	return b.left >= 0
}
