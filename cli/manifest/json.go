package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// jsonReader makes nodes of JSON. The tokens are the standard library's; it adds places, and keeps duplicate keys for the
// document to complain about.
type jsonReader struct {
	in     input
	dec    *json.Decoder
	budget budget
	depth  int // bounds the nesting

	// Offsets only grow, so places are counted from the last one on.
	offset, line, column int
}

// newJSONReader reads at most so many values, nested at most so deep. Numbers stay as written.
func newJSONReader(in input, nodes, depth int) *jsonReader {
	r := &jsonReader{in: in, dec: json.NewDecoder(bytes.NewReader(in.data)), line: 1, column: 1}
	r.budget, r.depth = budget{nodes}, depth
	r.dec.UseNumber()
	return r
}

// parseJSON reads the JSON documents of a file, one after another.
func (in input) parseJSON() ([]*document, Problems) {
	if problem := in.checkJSON(); problem != nil {
		return nil, Problems{*problem}
	}
	r := newJSONReader(in, maxNodes, maxDepth)
	var docs []*document
	for {
		n, err := r.value(0)
		if errors.Is(err, io.EOF) && len(bytes.TrimSpace(in.data[r.dec.InputOffset():])) == 0 {
			return docs, nil
		}
		if err != nil {
			return docs, Problems{in.jsonProblem(err)}
		}
		docs = append(docs, newDocument(in.file, n))
	}
}

// checkJSON finds the first mistake of syntax. Values are read whole for it, since the decoder places mistakes exactly
// only then: its offset is the number of bytes read, the offending one included.
func (in input) checkJSON() *Problem {
	dec := json.NewDecoder(bytes.NewReader(in.data))
	for {
		var whole json.RawMessage
		err := dec.Decode(&whole)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			p := in.jsonProblem(err)
			return &p
		}
	}
}

// jsonProblem places an error of the decoder.
func (in input) jsonProblem(err error) Problem {
	if placed, ok := errors.AsType[Problem](err); ok {
		return placed
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return in.at(int(syntax.Offset)-1, "JSON: "+syntax.Error())
	}
	return in.at(len(in.data), "JSON: the document ends too early")
}

// value reads one value with all that is in it. Depth is bounded here and not by the decoder, which allows ten thousand
// levels.
func (r *jsonReader) value(depth int) (*node, error) {
	n, token, err := r.next()
	if err != nil {
		return nil, err
	}
	if depth > r.depth || !r.budget.take() {
		return nil, Problem{File: r.in.file, Line: n.line, Column: n.column,
			Message: fmt.Sprintf("more than %d values, or nested deeper than %d", maxNodes, r.depth)}
	}
	switch token := token.(type) {
	case json.Delim:
		return n, r.collection(n, token, depth)
	case string:
		n.form, n.text = formText, token
	case json.Number:
		n.form, n.text = formNumber, token.String()
	case bool:
		n.form, n.text = formBool, fmt.Sprint(token)
	}
	return n, nil
}

// next reads one token and makes a node of its place. The decoder says only where the token before ended; between the two
// are white space and separators.
func (r *jsonReader) next() (*node, json.Token, error) {
	before := int(r.dec.InputOffset())
	token, err := r.dec.Token()
	if err != nil {
		return nil, nil, err
	}
	// White space, commas and colons: the decoder has accepted them, they only have to be stepped over.
	skip := len(r.in.data[before:]) - len(bytes.TrimLeft(r.in.data[before:], " \t\r\n,:"))
	r.advance(before + skip)
	return &node{line: r.line, column: r.column}, token, nil
}

// advance moves the known place on to an offset. Counting on from the last place keeps a file of one long line linear.
func (r *jsonReader) advance(offset int) {
	for _, c := range string(r.in.data[r.offset:offset]) {
		r.column++
		if c == '\n' {
			r.line, r.column = r.line+1, 1
		}
	}
	r.offset = offset
}

// collection reads what is between two brackets, and the closing one. The syntax was checked before, so brackets match.
func (r *jsonReader) collection(n *node, open json.Delim, depth int) error {
	n.form = formMap
	if open == '[' {
		n.form = formList
	}
	for r.dec.More() {
		if err := r.member(n, depth); err != nil {
			return err
		}
	}
	_, err := r.dec.Token()
	return err
}

// member reads one item of a list, or one key and its value.
func (r *jsonReader) member(n *node, depth int) error {
	if n.form == formList {
		item, err := r.value(depth + 1)
		n.items = append(n.items, item)
		return err
	}
	at, token, err := r.next()
	if err != nil {
		return err
	}
	key, _ := token.(string) // the decoder accepts nothing else here
	value, err := r.value(depth + 1)
	n.entries = append(n.entries, entry{key: key, line: at.line, column: at.column, value: value})
	return err
}
