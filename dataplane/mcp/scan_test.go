package mcp_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

func TestCheckReadsJSONAsTheStandardSays(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `""`, `0`, `-0`, `-1.5e+10`, `1E400`, `true`, `false`, `null`, " {\"a\" :\t[1 , \"b\"]\r\n} ",
		`"\u00e9\ud800\"\\\/\b\f\n\r\t"`, `"é"`, "\"\x7f\"", `{"a":1,"a":2}`, `[[],{},[{}]]`,
		`"0123456é"`, `"01234567"`, `"012345\n7"`, strings.Repeat("[", mcp.MaxDepth) + strings.Repeat("]", mcp.MaxDepth),
	} {
		if err := mcp.Check([]byte(text)); err != nil {
			t.Errorf("Check(%s) = %v, want nil", text, err)
		}
	}
	for _, text := range []string{
		``, ` `, `{`, `}`, `[1,]`, `{"a":1,}`, `{"a"}`, `{a:1}`, `{"a" 1}`, `'a'`, `"a`, `"\x"`, `"\u12g4"`, `"\u12`, "\"\x01\"", "\"a\nb\"",
		`01`, `+1`, `1.`, `.5`, `1e`, `-`, `nul`, `True`, `NaN`, `1 2`, "\x00", "\ufeff{}", `[1 2]`, "\"\xc3\"", `{"a":}`, "[\f]",
		strings.Repeat("[", mcp.MaxDepth+1) + strings.Repeat("]", mcp.MaxDepth+1), strings.Repeat(`{"a":`, 1000),
	} {
		if err := mcp.Check([]byte(text)); err == nil {
			t.Errorf("Check(%q) = nil, want an error", text)
		}
	}
}

// FuzzPick gives Pick and its kin texts that nobody checked: they must neither panic nor, where the text is valid,
// disagree with encoding/json.
func FuzzPick(f *testing.F) {
	for _, seed := range []string{
		`{"name":"x","arguments":{"a":[1,"]"]},"_meta":{}}`, `{"a":{"b":"\\\""} , "name" : 1}`, `{"a`, `{"a":`, `{"a":1`, `{,`, `{"a":"`, `[1,{"b":2}]`, `{"a"}`, `{:1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var out [2][]byte
		_, err := mcp.Pick(text, []string{"name", "arguments"}, out[:])
		_, _ = mcp.AppendForwardMeta(nil, text)
		_, _ = mcp.AppendWithMeta(nil, text, []byte(`"x":1`))
		_ = mcp.Elements(text, func([]byte) error { return nil })
		if err != nil || mcp.Check(text) != nil {
			return
		}
		want := map[string]json.RawMessage{}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("Pick took %q, which encoding/json refuses: %v", text, err)
		}
		if !bytes.Equal(out[0], want["name"]) || !bytes.Equal(out[1], want["arguments"]) {
			t.Errorf("Pick(%q) = %q, want %q and %q", text, out, want["name"], want["arguments"])
		}
	})
}
