package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlReader makes nodes of the syntax tree of one YAML document. The parser is goccy/go-yaml's, chosen for its places
// and for reading "no" as a string; where it errs, this reader refuses the document instead.
type yamlReader struct {
	file    string              // as given
	before  int                 // lines of the file above the document
	budget  *budget             // of the whole file, since documents are cheap to add
	anchors map[string]ast.Node // :: name → the value it was last given; they end with the document
	open    []string            // anchors whose value is being read
}

// parseYAML reads the YAML documents of a file. A mistake in one does not keep the others from being looked at.
func (in input) parseYAML() ([]*document, Problems) {
	var docs []*document
	var problems Problems
	left := &budget{maxNodes}
	// Each document has a reader of its own: a mistake in one must not hide those of the others.
	for _, c := range split(in.data) {
		r := &yamlReader{file: in.file, before: c.before, budget: left, anchors: make(map[string]ast.Node)}
		n, err := r.document(c.text)
		switch {
		case err != nil:
			problems = append(problems, r.problem(err))
		case n != nil:
			docs = append(docs, newDocument(in.file, n))
		}
	}
	return docs, problems
}

// chunk is the text of one document and the number of lines above it.
type chunk struct {
	text   string
	before int
}

// split cuts a file at its document markers. By the rules of YAML, "---" or "..." at the beginning of a line is always
// one, also within a block or a quoted text. The parser sees one document at a time, because it drops what follows an
// empty one.
func split(data []byte) []chunk {
	var chunks []chunk
	var text bytes.Buffer
	before, line := 0, 0
	for raw := range bytes.Lines(data) {
		if isMarker(raw) {
			chunks = append(chunks, chunk{text.String(), before})
			text.Reset()
			before = line
			raw = append([]byte("   "), raw[3:]...) // what follows on the line keeps its column
		}
		text.Write(raw)
		line++
	}
	return append(chunks, chunk{text.String(), before})
}

// isMarker says whether a line begins or ends a document.
func isMarker(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("---")) && !bytes.HasPrefix(line, []byte("...")) {
		return false
	}
	return len(line) == 3 || strings.IndexByte(" \t\r\n", line[3]) >= 0
}

// document reads one document; nil where it is empty, as behind the last marker of a file or where all of it is comment.
// A panic of the parser is a problem of the file: a gateway that watches it must outlive any edit.
func (r *yamlReader) document(text string) (n *node, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = nil, fmt.Errorf("parsing the document: %v", p)
		}
	}()
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	tokens := lexer.Tokenize(text)
	if err := r.checkTokens(tokens); err != nil {
		return nil, err
	}
	// Duplicate keys are allowed here and refused by the document, which knows the field's path.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, err
	}
	// There is one document, since markers are cut out; the first with content is it.
	for _, doc := range file.Docs {
		if doc.Body != nil {
			return r.value(doc.Body, 0)
		}
	}
	return nil, nil
}

// checkTokens refuses, before the parser recurses into it, what is nested too deep or would take it too long, and what the
// lexer is known to misread. Nesting by indentation needs no check here: it costs the square of its depth in spaces.
func (r *yamlReader) checkTokens(tokens token.Tokens) error {
	flow, keys := 0, 0   // open brackets, and keys outside of them
	line, onLine := 0, 0 // the line, and what opens a level on it without a bracket
	for _, t := range tokens {
		if t.Position.Line != line {
			line, onLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.DocumentHeaderType, token.DocumentEndType:
			return r.errorAt(t, "YAML: put a text that begins with "+t.Value+" in quotes") // real markers are cut out
		case token.StringType:
			if strings.HasPrefix(t.Value, `"`) || strings.HasPrefix(t.Value, "'") { // misread, after an empty block text
				return r.errorAt(t, "YAML: a quoted text is not understood here; is there an empty | or > above it?")
			}
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			onLine++ // "- - - x" nests without brackets
		case token.MappingValueType:
			if flow <= 0 {
				keys++
			}
		}
		if flow > maxDepth || onLine > maxDepth && flow <= 0 || keys > maxKeys {
			return r.errorAt(t, fmt.Sprintf("more than %d keys in one document, or nested deeper than %d", maxKeys, maxDepth))
		}
	}
	return nil
}

// problem places an error of the parser.
func (r *yamlReader) problem(err error) Problem {
	if placed, ok := errors.AsType[Problem](err); ok {
		return placed
	}
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		return r.errorAt(syntax.GetToken(), "YAML: "+syntax.GetMessage())
	}
	return Problem{File: r.file, Line: r.before + 1, Column: 1, Message: "YAML: " + firstLine(err.Error())}
}

// firstLine leaves out the excerpt that the parser puts below its messages.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// errorAt makes a problem of a token's place.
func (r *yamlReader) errorAt(t *token.Token, message string) Problem {
	return Problem{File: r.file, Line: r.before + t.Position.Line, Column: t.Position.Column, Message: message}
}

// value makes a node of a value with all that is in it. What is a number or a boolean is the parser's decision, by the
// core schema of YAML 1.2; texts in quotes and blocks are strings whatever they look like.
func (r *yamlReader) value(v ast.Node, depth int) (*node, error) {
	t := v.GetToken()
	if depth > maxDepth || !r.budget.take() {
		return nil, r.errorAt(t, fmt.Sprintf("more than %d values, or nested deeper than %d", maxNodes, maxDepth))
	}
	n := &node{line: r.before + t.Position.Line, column: t.Position.Column, text: t.Value}
	switch v := v.(type) {
	case *ast.NullNode:
		n.form = formNull
	case *ast.BoolNode:
		n.form = formBool
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		n.form = formNumber
	case *ast.StringNode:
		n.form, n.text = formText, v.Value
	case *ast.LiteralNode:
		n.form, n.text = formText, v.Value.Value
	case *ast.SequenceNode:
		n.form = formList
		return n, r.list(n, v, depth)
	case *ast.MappingNode:
		n.form = formMap
		return n, r.mapping(n, v.Values, depth)
	case *ast.MappingValueNode:
		n.form = formMap
		return n, r.mapping(n, []*ast.MappingValueNode{v}, depth)
	default:
		return r.indirect(v, depth)
	}
	return n, nil
}

// indirect makes a node of what stands for another value: an anchor, an alias, a tag. An alias copies its value anew each
// time, against the budget, so that nine levels of nine aliases end early. Problems in the copy have the anchor's place.
func (r *yamlReader) indirect(v ast.Node, depth int) (*node, error) {
	switch v := v.(type) {
	case *ast.AnchorNode:
		name := v.Name.GetToken().Value
		r.anchors[name] = v.Value
		return r.named(name, v.Value, depth)
	case *ast.AliasNode:
		name := v.Value.GetToken().Value
		target, ok := r.anchors[name]
		if !ok || slices.Contains(r.open, name) {
			return nil, r.errorAt(v.GetToken(), "YAML: no anchor &"+name+" above this alias")
		}
		return r.named(name, target, depth)
	case *ast.TagNode:
		return r.tagged(v, depth)
	case *ast.MappingKeyNode:
		return r.value(v.Value, depth+1)
	case *ast.MergeKeyNode:
		return nil, r.errorAt(v.GetToken(), "YAML: merge keys are not supported; write the fields out")
	default:
		return nil, r.errorAt(v.GetToken(), "YAML: "+strings.ToLower(v.Type().String())+" has no meaning here")
	}
}

// named reads the value of an anchor, within which an alias of the same name would never end.
func (r *yamlReader) named(name string, v ast.Node, depth int) (*node, error) {
	r.open = append(r.open, name)
	defer func() { r.open = r.open[:len(r.open)-1] }()
	return r.value(v, depth+1)
}

// tagged reads a value whose type is written in front of it; only !!str says something that is needed here. Null stays
// null: "!!str" with nothing behind it is more likely a slip than an empty string.
func (r *yamlReader) tagged(v *ast.TagNode, depth int) (*node, error) {
	if tag := v.GetToken().Value; tag != "!!str" || v.Value == nil {
		return nil, r.errorAt(v.GetToken(), "YAML: the tag "+tag+" has no meaning here")
	}
	n, err := r.value(v.Value, depth+1)
	if err == nil && (n.form == formNumber || n.form == formBool) {
		n.form = formText
	}
	return n, err
}

// list reads the items of a sequence.
func (r *yamlReader) list(n *node, v *ast.SequenceNode, depth int) error {
	for _, value := range v.Values {
		item, err := r.value(value, depth+1)
		if err == nil && !v.IsFlowStyle {
			err = r.checkIndent(value, item, n.line, n.column)
		}
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	return nil
}

// checkIndent refuses a value that stands on a line of its own and not further right than the key or dash it belongs to,
// except for a list below its key: the parser gives an anchor without a value whatever comes next.
func (r *yamlReader) checkIndent(v ast.Node, n *node, line, column int) error {
	at := start(n)
	if _, isAlias := v.(*ast.AliasNode); isAlias || n.form == formNull || at.line <= line || at.column > column {
		return nil
	}
	if n.form == formList && at.column == column && n.text == "-" {
		return nil
	}
	return Problem{File: r.file, Line: at.line, Column: at.column, Message: "YAML: this must be indented further than what it belongs to"}
}

// mapping reads the keys and values of a mapping. A number as a key is its text, as everywhere in this world: the tools of
// a server named 12. Duplicates stay in, for the document to complain about with their path.
func (r *yamlReader) mapping(n *node, values []*ast.MappingValueNode, depth int) error {
	for _, pair := range values {
		key, err := r.value(pair.Key, depth+1)
		if err != nil {
			return err
		}
		if key.form == formNull || key.form == formList || key.form == formMap {
			return r.errorAt(pair.Key.GetToken(), "YAML: a key must be a string")
		}
		value, err := r.value(pair.Value, depth+1)
		if err == nil && n.text == ":" {
			err = r.checkIndent(pair.Value, value, key.line, pair.Key.GetToken().Position.Column)
		}
		if err != nil {
			return err
		}
		if len(n.entries) == 0 && n.line == r.before+pair.GetToken().Position.Line && n.text == ":" {
			n.column = key.column // the tree says where the first colon is
		}
		n.entries = append(n.entries, entry{key: key.text, line: key.line, column: key.column, value: value})
	}
	return nil
}
