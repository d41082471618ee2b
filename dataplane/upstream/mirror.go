package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// annotation is what marks a property of an input schema whose value travels in a header too (MCP 2026-07-28,
	// basic/transports/streamable-http §Custom headers).
	annotation = "x-mcp-header"
	// maxExact bounds the integers that every reader of JSON takes for the same number.
	maxExact = 1<<53 - 1
)

// mirror is one parameter of a tool that travels in a header too.
type mirror struct {
	// header is the header's whole name, in canonical form.
	header string
	// path are the properties that lead to the parameter, from the arguments on.
	path []string
}

// Mirrors says what is wrong with the way in which a tool's definition, checked JSON, mirrors parameters into headers: a
// modern client over HTTP MUST NOT use a tool that does so wrongly.
func Mirrors(definition []byte) error {
	_, err := readMirrors(definition)
	return err
}

// annotated says whether a text may hold an annotation: almost none does, and then nothing is read.
func annotated(text []byte) bool { return bytes.Contains(text, []byte(`"`+annotation+`"`)) }

// readMirrors finds the parameters of a definition that travel in headers.
func readMirrors(definition []byte) ([]mirror, error) {
	if !annotated(definition) {
		return nil, nil
	}
	var v [1][]byte
	if _, err := mcp.Pick(definition, []string{"inputSchema"}, v[:]); err != nil {
		return nil, fmt.Errorf("reading definition: %w", err)
	}
	r := mirrorReader{seen: make(map[string]bool)}
	if err := r.schema(v[0], nil, true); err != nil {
		return nil, fmt.Errorf("reading %s annotations: %w", annotation, err)
	}
	return r.found, nil
}

// mirrorReader walks a schema. Of its keywords it knows those under which other schemas stand; what else is there is data,
// in which the annotation's name means nothing.
type mirrorReader struct {
	found []mirror
	// seen are the names of headers, in canonical form.
	seen map[string]bool
}

// schema reads one schema; reachable says that nothing but properties led to it.
func (r *mirrorReader) schema(raw []byte, path []string, reachable bool) error {
	if len(raw) == 0 || raw[0] != '{' {
		return nil // true and false are schemas, too
	}
	var name, kind []byte
	err := mcp.Members(raw, func(key, value []byte) error {
		switch plain, _ := mcp.Unquote(key); plain {
		case annotation:
			if name != nil {
				return fmt.Errorf("property %q has two", strings.Join(path, "."))
			}
			name = value
		case "type":
			kind = value
		case "properties":
			return r.properties(value, path, reachable)
		case "$defs", "definitions", "patternProperties", "dependentSchemas", "dependencies":
			return r.properties(value, path, false)
		case "items", "prefixItems", "additionalItems", "unevaluatedItems", "contains", "additionalProperties",
			"unevaluatedProperties", "propertyNames", "contentSchema", "allOf", "anyOf", "oneOf", "not", "if", "then", "else":
			return r.hidden(value, path)
		}
		return nil
	})
	if err != nil || name == nil {
		return err
	}
	return r.add(name, kind, path, reachable)
}

// properties reads the schemas of an object of them.
func (r *mirrorReader) properties(raw []byte, path []string, reachable bool) error {
	if len(raw) == 0 || raw[0] != '{' {
		return nil
	}
	return mcp.Members(raw, func(key, value []byte) error {
		name, _ := mcp.Unquote(key)
		return r.schema(value, append(slices.Clip(path), name), reachable)
	})
}

// hidden reads a schema, or an array of them, that holds for a value only under some condition, or for a part of it that
// has no name.
func (r *mirrorReader) hidden(raw []byte, path []string) error {
	if len(raw) > 0 && raw[0] == '[' {
		return mcp.Elements(raw, func(value []byte) error { return r.schema(value, path, false) })
	}
	return r.schema(raw, path, false)
}

// add takes one annotation in, if it is one.
func (r *mirrorReader) add(name, kind []byte, path []string, reachable bool) error {
	at := strings.Join(path, ".")
	text, ok := mcp.Unquote(name)
	switch {
	case !reachable || len(path) == 0:
		return fmt.Errorf("%q is not reached through properties alone", at)
	case !ok || !isToken(text):
		return fmt.Errorf("property %q: %.64s is no name for a header", at, name)
	case !isPrimitive(kind):
		return fmt.Errorf("property %q is no string, integer or boolean", at)
	}
	header := textproto.CanonicalMIMEHeaderKey(mcp.HeaderParam + text)
	if r.seen[header] {
		return fmt.Errorf("property %q: another one has the header %s", at, header)
	}
	r.seen[header] = true
	r.found = append(r.found, mirror{header, path})
	return nil
}

// isToken says whether a text is a token of RFC 9110 §5.6.2.
func isToken(text string) bool {
	for _, c := range []byte(text) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return text != ""
}

// isPrimitive says whether a schema's type lets a value stand in a header; null is left out of headers, so it may be among
// several.
func isPrimitive(kind []byte) bool {
	is := func(raw []byte) bool {
		return string(raw) == `"string"` || string(raw) == `"integer"` || string(raw) == `"boolean"`
	}
	if len(kind) == 0 || kind[0] != '[' {
		return is(kind)
	}
	some, all := false, true
	err := mcp.Elements(kind, func(raw []byte) error {
		some = some || is(raw)
		all = all && (is(raw) || string(raw) == `"null"`)
		return nil
	})
	return err == nil && some && all
}

// mirrored returns the headers of a call with these params; nil where there are none.
func (t *Tool) mirrored(params []byte) map[string]string {
	var v [1][]byte
	if len(t.mirrors) == 0 || params == nil {
		return nil
	}
	if _, err := mcp.Pick(params, []string{"arguments"}, v[:]); err != nil {
		return nil
	}
	headers := make(map[string]string, len(t.mirrors))
	for i := range t.mirrors {
		m := &t.mirrors[i]
		raw, err := m.find(v[0])
		if err != nil || raw == nil {
			continue
		}
		if text, ok := headerText(raw); ok {
			headers[m.header] = mcp.EncodeHeader(text)
		}
	}
	return headers
}

// CheckHeaders says whether the headers of an agent's call, under their canonical names, agree with its arguments, raw;
// the error is worded for the agent. It costs nothing for a tool that mirrors no parameter.
func (t *Tool) CheckHeaders(header map[string][]string, arguments []byte) error {
	for i := range t.mirrors {
		if err := t.mirrors[i].check(header, arguments); err != nil {
			return fmt.Errorf("header %s: %w", t.mirrors[i].header, err)
		}
	}
	return nil
}

func (m *mirror) check(header map[string][]string, arguments []byte) error {
	values := header[m.header]
	raw, err := m.find(arguments)
	switch {
	case err != nil:
		return err
	case len(values) > 1:
		return errors.New("it stands twice")
	case raw == nil && len(values) == 0:
		return nil
	case raw == nil:
		return errors.New("its parameter has no value")
	case len(values) == 0:
		return errors.New("it is missing, and its parameter has a value")
	}
	have, err := mcp.DecodeHeader(values[0])
	if err != nil {
		return errors.New("its content is not base64")
	}
	want, ok := headerText(raw)
	if !ok || have != want && !sameInteger(have, raw) {
		return errors.New("it does not agree with its parameter")
	}
	return nil
}

// sameInteger says whether a header holds the number that a raw value is: 42.0 and 42 are one.
func sameInteger(text string, raw []byte) bool {
	if raw[0] == '"' || text == "" || mcp.Check([]byte(text)) != nil {
		return false
	}
	have, ok := integer(text)
	want, okay := integer(string(raw))
	return ok && okay && have == want
}

// find returns the raw value of the parameter; nil where it is absent or null. Of two members of one name nobody can tell
// which one counts.
func (m *mirror) find(arguments []byte) ([]byte, error) {
	value := arguments
	for _, name := range m.path {
		if len(value) == 0 || value[0] != '{' {
			return nil, nil
		}
		var found []byte
		err := mcp.Members(value, func(key, member []byte) error {
			if plain, _ := mcp.Unquote(key); plain != name {
				return nil
			}
			if found != nil {
				return errors.New("its parameter stands twice")
			}
			found = member
			return nil
		})
		if err != nil {
			return nil, err
		}
		value = found
	}
	if string(value) == "null" {
		return nil, nil
	}
	return value, nil
}

// headerText is what a raw value is in a header, before it is encoded; false says that it cannot stand there.
func headerText(raw []byte) (string, bool) {
	switch raw[0] {
	case '"':
		return mcp.Unquote(raw)
	case 't', 'f':
		return string(raw), true
	case '{', '[':
		return "", false
	}
	n, ok := integer(string(raw))
	return strconv.FormatInt(n, 10), ok
}

// integer reads a number of JSON that is a whole one, however it is written, and exact for every reader.
func integer(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != float64(int64(f)) {
			return 0, false
		}
		n = int64(f)
	}
	return n, -maxExact <= n && n <= maxExact
}
