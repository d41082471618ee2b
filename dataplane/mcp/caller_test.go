package mcp_test

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

func TestReplyGivesItsMemoryBackOnce(t *testing.T) {
	n := 0
	r := &mcp.Reply{Free: func() { n++ }}
	r.Close()
	r.Close()
	(*mcp.Reply)(nil).Close()
	(&mcp.Reply{}).Close()
	if n != 1 {
		t.Errorf("Free was called %d times, want once", n)
	}
}

func TestErasHaveNames(t *testing.T) {
	for era, want := range map[mcp.Era]string{mcp.Legacy: "legacy", mcp.Modern: "modern"} {
		if got := era.String(); got != want {
			t.Errorf("String() = %s, want %s", got, want)
		}
	}
}
