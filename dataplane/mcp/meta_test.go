package mcp_test

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

func TestForwardedMetaLacksWhatHoldsForOneHop(t *testing.T) {
	for meta, want := range map[string]string{
		`{}`:                  ``,
		`{"progressToken":1}`: ``,
		`{"io.modelcontextprotocol/logLevel":"debug","io.modelcontextprotocol\u002fother":1,"progress\u0054oken":2}`: ``,
		`{"traceparent":"00-a", "progressToken":7 ,"x":{"n":1e400}}`:                                                 `{"traceparent":"00-a","x":{"n":1e400}}`,
	} {
		if got, err := mcp.AppendForwardMeta(nil, []byte(meta)); err != nil || string(got) != want {
			t.Errorf("AppendForwardMeta(%s) = %s, %v, want %s", meta, got, err, want)
		}
	}
	if got, err := mcp.AppendForwardMeta([]byte("x"), []byte(`[]`)); err == nil || string(got) != "x" {
		t.Errorf("AppendForwardMeta([]) = %s, %v, want an error", got, err)
	}
}

func TestOwnMetaJoinsWhatIsThere(t *testing.T) {
	own := []byte(`"io.modelcontextprotocol/protocolVersion":"2026-07-28"`)
	for params, want := range map[string]string{
		``:                             `{"_meta":{` + string(own) + `}}`,
		`{}`:                           `{"_meta":{` + string(own) + `}}`,
		`{"name":"x","arguments":{ }}`: `{"name":"x","arguments":{ },"_meta":{` + string(own) + `}}`,
		`{"_meta":{"traceparent":"t","io.modelcontextprotocol/protocolVersion":"old"},"name":"x"}`: `{"name":"x","_meta":{` + string(own) + `,"traceparent":"t"}}`,
	} {
		raw := []byte(params)
		if params == "" {
			raw = nil
		}
		if got, err := mcp.AppendWithMeta(nil, raw, own); err != nil || string(got) != want {
			t.Errorf("AppendWithMeta(%s) = %s, %v, want %s", params, got, err, want)
		}
	}
	for _, params := range []string{`[]`, `{"_meta":7}`} {
		if got, err := mcp.AppendWithMeta([]byte("x"), []byte(params), own); err == nil || string(got) != "x" {
			t.Errorf("AppendWithMeta(%s) = %s, %v, want an error", params, got, err)
		}
	}
}
