package mcp_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

func TestFactsOfAResultAreFoundOnTheWay(t *testing.T) {
	for result, want := range map[string]mcp.Facts{
		`{}`: {Known: true},
		`{"content":[{"isError":true,"resultType":"x"}]}`: {Known: true},
		`{"a":{"isError":true},"b":[{"resultType":1}]}`:   {Known: true, More: true},
		`{"isError":false}`:                                       {Known: true},
		`{"isError" : true , "content":[]}`:                       {Known: true, Failed: true},
		`{"resultType":"task","isError":true}`:                    {Known: true, Typed: true, Failed: true, More: true},
		`{"is\u0045rror":true,"\u0072esultType":"complete"}`:      {Known: true, Typed: true, Failed: true, More: true},
		`{"isError":true,"isError":false}`:                        {Known: true, Typed: true},
		`{"isError":false,"isError":true}`:                        {Known: true, Typed: true},
		`{"resultType":"a","resultType":"b","isError":true}`:      {Known: true, Typed: true, More: true},
		`{"IsError":true}`:                                        {Known: true, Typed: true, More: true},
		`{"RESULTTYPE":true,"isError":true}`:                      {Known: true, Typed: true, More: true},
		`{"result":{"isError":true}}`:                             {Known: true, More: true},
		`{"isErrors":true,"content_ty":1,"xxxxxxx":1,"isErro":1}`: {Known: true, More: true},
		`[{"isError":true}]`:                                      {Known: true},
		`{"content":[],"content":[]}`:                             {Known: true},
		`{"\u0063ontent":[]}`:                                     {Known: true, More: true},
		`{"content":[],"structuredContent":{}}`:                   {Known: true, More: true},
	} {
		text := `{"jsonrpc":"2.0","extra":{"isError":true,"resultType":"x"},"id":1,"result":` + result + `,"_meta":{"isError":true}}`
		m, err := mcp.ScanMessage([]byte(text))
		if got := m.Facts; err != nil || got.Known != want.Known || got.Typed != want.Typed || got.Failed != want.Failed || got.More != want.More {
			t.Errorf("facts of %s = %+v, %v, want %+v", result, got, err, want)
		}
	}
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"isError":true}}`, `{"jsonrpc":"2.0","id":1,"\u0072esult":{"isError":true}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}`,
	} {
		if m, err := mcp.ScanMessage([]byte(text)); err != nil || m.Facts.Known {
			t.Errorf("facts of %s = %+v, %v, want none", text, m.Facts, err)
		}
	}
}

func TestExtendMemberStaysInPlace(t *testing.T) {
	for _, object := range []string{`{}`, " { \n} ", `{"a":{"b":"}"}}`, "{\"a\" : 1e400 \n}\r\n", `{"a":"` + strings.Repeat("x", 1000) + `"}`} {
		want := mcp.AppendMember(nil, []byte(object), "resultType", []byte(`"complete"`))
		memory := append(make([]byte, 0, len(object)+64), object...)
		got := mcp.ExtendMember(memory, "resultType", []byte(`"complete"`))
		if string(got) != string(want) || &got[0] != &memory[0] {
			t.Errorf("ExtendMember(%q) = %q, want %q in place", object, got, want)
		}
		if got := mcp.ExtendMember([]byte(object), "resultType", []byte(`"complete"`)); string(got) != string(want) {
			t.Errorf("ExtendMember(%q) without room = %q, want %q", object, got, want)
		}
	}
}
