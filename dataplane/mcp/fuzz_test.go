package mcp_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	gomcp "github.com/mark3labs/mcp-go/mcp"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// reading is what jsontext, a reader of JSON that shares nothing with ours, makes of a text.
type reading struct {
	valid   bool // exactly one value, all of it UTF-8
	depth   int
	strict  bool // the same with jsontext's own rules: no name twice anywhere, no lone surrogates
	object  bool
	members []member // of an object, in order
}

// member is a name as it means and a value as it stands.
type member struct {
	name  string
	value []byte
}

// get returns the value of a member; nil where it is not there.
func (r *reading) get(name string) []byte {
	for _, m := range r.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// ambiguous says whether names of the object appear twice, or differ from one of these in the case of ASCII letters alone.
func (r *reading) ambiguous(known ...string) bool {
	seen := map[string]bool{}
	for _, m := range r.members {
		if seen[m.name] {
			return true
		}
		seen[m.name] = true
		for _, name := range known {
			if m.name != name && len(m.name) == len(name) && strings.EqualFold(m.name, name) {
				return true
			}
		}
	}
	return false
}

// read has jsontext read a text. Lone surrogates among the escapes are allowed, since they pass through the gateway as they
// stand, and names below the top level may appear twice, since nobody decides by them; both differ from jsontext's own rules.
func read(text []byte) (r reading) {
	lenient := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	r.depth, r.valid = walk(jsontext.NewDecoder(bytes.NewReader(text), lenient...))
	_, r.strict = walk(jsontext.NewDecoder(bytes.NewReader(text)))
	r.valid = r.valid && utf8.Valid(text)
	d := jsontext.NewDecoder(bytes.NewReader(text), lenient...)
	if !r.valid || d.PeekKind() != '{' {
		return r
	}
	r.object = true
	_, _ = d.ReadToken() // the text is valid: none of these can go wrong
	for d.PeekKind() != '}' {
		name, _ := d.ReadToken()
		plain := name.String()
		value, _ := d.ReadValue()
		r.members = append(r.members, member{plain, bytes.Clone(value)})
	}
	return r
}

// walk reads one value and the end of the text.
func walk(d *jsontext.Decoder) (depth int, valid bool) {
	for {
		if _, err := d.ReadToken(); err != nil {
			return depth, false
		}
		if depth = max(depth, d.StackDepth()); d.StackDepth() == 0 {
			_, err := d.ReadToken()
			return depth, errors.Is(err, io.EOF)
		}
	}
}

// envelope judges a text as JSON-RPC, from the specification's words; false says that it is no message for us. The version
// and the id's form are compared as they stand: no known program escapes "2.0", and 1.0 would be one id to some and two
// to others.
func envelope(r reading) (m mcp.Message, ok bool) {
	id, method, result, fault := r.get("id"), r.get("method"), r.get("result"), r.get("error")
	if !r.object || r.ambiguous("jsonrpc", "id", "method", "params", "result", "error") || string(r.get("jsonrpc")) != `"2.0"` {
		return m, false
	}
	m.ID = id
	switch {
	case string(id) == "null" && fault != nil:
		m.ID = nil
	case id != nil && id[0] != '"' && (bytes.ContainsAny(id, ".eE") || !strings.ContainsRune("-0123456789", rune(id[0]))):
		return m, false
	}
	if method != nil {
		return request(m, r)
	}
	m.Kind, m.Result, m.Error = mcp.Response, result, fault
	one := (result == nil) != (fault == nil)
	return m, one && (m.ID != nil || fault != nil) && (fault == nil || fault[0] == '{')
}

// request judges a message with a method.
func request(m mcp.Message, r reading) (mcp.Message, bool) {
	m.Kind, m.Params = mcp.Request, r.get("params")
	if m.ID == nil {
		m.Kind = mcp.Notification
	}
	name, err := jsontext.AppendUnquote(nil, r.get("method"))
	m.Method = string(name)
	// A lone surrogate is an error to jsontext and becomes U+FFFD all the same, as it does with us.
	good := err == nil || r.get("method")[0] == '"'
	return m, good && m.Method != "" && r.get("result") == nil && r.get("error") == nil && (m.Params == nil || m.Params[0] == '{')
}

func same(a, b mcp.Message) bool {
	return a.Kind == b.Kind && a.Method == b.Method && bytes.Equal(a.ID, b.ID) && bytes.Equal(a.Params, b.Params) &&
		bytes.Equal(a.Result, b.Result) && bytes.Equal(a.Error, b.Error)
}

// FuzzScanner holds Check, ScanMessage and Pick against jsontext: what is JSON to one is JSON to the other, what is a message to
// one is to the other, and with the very same members. The one difference is MaxDepth.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		call, `{"jsonrpc":"2.0","id":"x","result":{}}`, `{"jsonrpc":"2.0","method":"a","\u0069d":1}`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}`, `{"jsonrpc":"2.0","id":-0,"method":"\ud800","Id":1}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"n\u0061me":"x","name":"y","arguments":{"a":1,"a":2}}}`,
		`{"jsonrpc":"2.0","id":1e0,"method":"m"}`, `{"jsonrpc":"2.0","method":"m","params":[]}`, `[{"jsonrpc":"2.0","method":"m"}]`,
		`[1,2.5e-3,"\u0000\ud83d\ude00",null,{"":[]}]`, `{"a":"` + strings.Repeat("x", 20) + `\\"}`, `"\`, "[\"\xff\"]", `[01]`, " 7 ",
		`{"jsonrpc":"2.0","id":1,"method":"m","` + strings.Repeat("é", 9) + `":` + strings.Repeat("[", 126) + strings.Repeat("]", 126) + `}`,
		`{"jsonrpc":"2.0","id":1,"result":{"isError":true,"resultType":"x","is\u0045rror":1,"a":{"isError":true}}}`,
		`{"jsonrpc":"2.0","id":1,"result":[{"isError":true}]}`, `{"jsonrpc":"2.0","id":1,"result":{"IsError":true}}`,
		"\ufeff{}", "{}\x00", `{"\ud800":1,"\udfff":2}`, strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200),
		`{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"10":1,"11":1,"12":1,"13":1,"14":1,"15":1,"16":1,"17":1,"3":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ref := read(text)
		if err := mcp.Check(text); (err == nil) != (ref.valid && ref.depth <= mcp.MaxDepth) {
			t.Fatalf("Check(%q) = %v, want valid %v, depth %d", text, err, ref.valid, ref.depth)
		}
		if ref.strict && !ref.valid {
			t.Fatalf("jsontext takes %q by its strict rules alone", text)
		}
		want, ok := envelope(ref)
		ok = ok && ref.depth <= mcp.MaxDepth
		got, err := mcp.ScanMessage(text)
		if (err == nil) != ok {
			t.Fatalf("ScanMessage(%q) = %+v, %v, want a message: %v", text, got, err, ok)
		}
		if ok && !same(got, want) {
			t.Fatalf("ScanMessage(%q) = %+v, want %+v", text, got, want)
		}
		if !ok && got.ID != nil && !bytes.Equal(got.ID, ref.get("id")) {
			t.Fatalf("ScanMessage(%q) refuses with the id %q, want that of the message", text, got.ID)
		}
		if ok && got.Params != nil {
			pickAsJSONText(t, got.Params)
		}
		if ok && got.Facts.Known {
			knowAsJSONText(t, got)
		}
	})
}

// pickAsJSONText holds what Pick finds in an object that was checked against what jsontext finds.
func pickAsJSONText(t *testing.T, params []byte) {
	ref := read(params)
	names := []string{"name", "arguments", "_meta"}
	var v [3][]byte
	_, err := mcp.Pick(params, names, v[:])
	if (err != nil) != ref.ambiguous(names...) {
		t.Fatalf("Pick(%q) = %v, want ambiguous %v", params, err, err == nil)
	}
	for i, name := range names {
		if err == nil && !bytes.Equal(v[i], ref.get(name)) {
			t.Errorf("Pick(%q) has %s = %q, want %q", params, name, v[i], ref.get(name))
		}
	}
}

// knowAsJSONText holds the facts of a result against its members as jsontext finds them.
func knowAsJSONText(t *testing.T, m mcp.Message) {
	ref := read(m.Result)
	var types, errors []member
	for _, each := range ref.members {
		if m.Facts.Plain() && each.name != "content" && each.name != "isError" {
			t.Errorf("%q has a member %q, and is called plain", m.Result, each.name)
		}
		switch {
		case len(each.name) == len("resultType") && strings.EqualFold(each.name, "resultType"):
			types = append(types, each)
		case len(each.name) == len("isError") && strings.EqualFold(each.name, "isError"):
			errors = append(errors, each)
		}
	}
	single := func(all []member, name string) bool { return len(all) == 0 || len(all) == 1 && all[0].name == name }
	ambiguous := !single(types, "resultType") || !single(errors, "isError")
	typed := ambiguous || len(types) > 0
	failed := !ambiguous && len(errors) == 1 && string(errors[0].value) == "true"
	if m.Facts.Typed != typed || m.Facts.Failed != failed {
		t.Errorf("facts of %q = %+v, want typed %v, failed %v", m.Result, m.Facts, typed, failed)
	}
}

// FuzzHeader holds the codec of Mcp-Name against another: every value comes back through both, and what is read of any text
// at all is the same.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{"echo", "é", " x\t", "=?base64?x?=", "\x00\xff", "=?base64??=", "=?base64?YQ==?=", "=?BASE64?YQ==?=", "=?base64?YR==?=", "\t=?base64?YQ?= "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		wire := mcp.EncodeHeader(value)
		if got, err := mcp.DecodeHeader(wire); err != nil || got != value {
			t.Errorf("DecodeHeader(EncodeHeader(%q)) = %q, %v", value, got, err)
		}
		if i := strings.IndexFunc(wire, func(c rune) bool { return c < ' ' || c > '~' }); i >= 0 {
			t.Errorf("EncodeHeader(%q) = %q, which cannot stand in a header", value, wire)
		}
		if other, ok := gomcp.DecodeHeaderValue(wire); !ok || other != value {
			t.Errorf("another implementation reads EncodeHeader(%q) = %q as %q", value, wire, other)
		}
		got, err := mcp.DecodeHeader(value)
		// White space around a header's value is ours to drop: net/http has done so before the other one looks.
		other, ok := gomcp.DecodeHeaderValue(strings.Trim(value, " \t"))
		if (err == nil) != ok || ok && got != other {
			t.Errorf("DecodeHeader(%q) = %q, %v, another implementation reads %q, %v", value, got, err, other, ok)
		}
	})
}
