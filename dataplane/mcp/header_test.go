package mcp_test

import (
	"testing"

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
