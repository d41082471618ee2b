package mcp_test

import (
	"testing"

	gomcp "github.com/mark3labs/mcp-go/mcp"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

func TestHeaderValuesAreWrappedWhereUnsafe(t *testing.T) {
	for value, want := range map[string]string{
		"echo":            "echo",
		"two words":       "two words",
		"":                "",
		" led":            "=?base64?IGxlZA==?=",
		"naïve":           "=?base64?bmHDr3Zl?=",
		"a\nb":            "=?base64?YQpi?=",
		"=?base64?eA==?=": "=?base64?PT9iYXNlNjQ/ZUE9PT89?=",
	} {
		if got := mcp.EncodeHeader(value); got != want {
			t.Errorf("EncodeHeader(%q) = %q, want %q", value, got, want)
		}
	}
	if got, err := mcp.DecodeHeader("=?base64?%?="); err == nil {
		t.Errorf("DecodeHeader(bad base64) = %q, want an error", got)
	}
	if got, err := mcp.DecodeHeader(" \techo "); err != nil || got != "echo" {
		t.Errorf("DecodeHeader( echo ) = %q, %v, want echo", got, err)
	}
}

func FuzzHeaderValuesComeBack(f *testing.F) {
	for _, seed := range []string{"echo", "é", " x\t", "=?base64?x?=", "\x00\xff", "=?base64??="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		wire := mcp.EncodeHeader(value)
		if got, err := mcp.DecodeHeader(wire); err != nil || got != value {
			t.Errorf("DecodeHeader(EncodeHeader(%q)) = %q, %v", value, got, err)
		}
		if other, ok := gomcp.DecodeHeaderValue(wire); !ok || other != value {
			t.Errorf("another implementation reads EncodeHeader(%q) = %q as %q", value, wire, other)
		}
	})
}
