package mcp_test

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

func TestLocateFindsValuesInPlace(t *testing.T) {
	const object = ` { "a" : { "b":{"c" : "x"} , "d":1}, "e\u0066":[ {"a":2} ],"n":null} `
	for _, test := range []struct {
		path []string
		want string
	}{
		{nil, object},
		{[]string{"a", "b", "c"}, `"x"`},
		{[]string{"a", "d"}, `1`},
		{[]string{"ef"}, `[ {"a":2} ]`},
		{[]string{"n"}, `null`},
		{[]string{"n", "a"}, ``},
		{[]string{"a", "d", "x"}, ``},
		{[]string{"b"}, ``},
	} {
		from, to, err := mcp.Locate([]byte(object), test.path...)
		if got := object[from:to]; err != nil || got != test.want {
			t.Errorf("Locate(%q) = %q, %v, want %q", test.path, got, err, test.want)
		}
	}
	for _, ambiguous := range []string{`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`} {
		if from, to, err := mcp.Locate([]byte(ambiguous), "a"); err == nil {
			t.Errorf("Locate(%s) = %d, %d, want an error", ambiguous, from, to)
		}
	}
	from, to, _ := mcp.Locate([]byte(object), "a", "b", "c")
	if got, want := string(mcp.AppendSpliced(nil, []byte(object), from, to, []byte(`7`))), object[:from]+`7`+object[to:]; got != want {
		t.Errorf("AppendSpliced = %s, want %s", got, want)
	}
}

func FuzzLocate(f *testing.F) {
	f.Add(`{"a":{"b":1}}`)
	f.Add(`{"a":`)
	f.Fuzz(func(t *testing.T, text string) {
		from, to, err := mcp.Locate([]byte(text), "a", "b")
		if mcp.Check([]byte(text)) == nil && err == nil && from > 0 && mcp.Check([]byte(text[from:to])) != nil {
			t.Errorf("Locate(%q) = %q, which is no value", text, text[from:to])
		}
	})
}
