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

func TestJoinedMetaKeepsWhatPasses(t *testing.T) {
	own := []byte(`"io.modelcontextprotocol/protocolVersion":"2026-07-28"`)
	params := `{"_meta":{"progressToken":"ours","io.modelcontextprotocol/logLevel":"info","io.modelcontextprotocol/protocolVersion":"old"}}`
	want := `{"_meta":{` + string(own) + `,"progressToken":"ours","io.modelcontextprotocol/logLevel":"info"}}`
	if got, err := mcp.AppendJoinedMeta(nil, []byte(params), own); err != nil || string(got) != want {
		t.Errorf("AppendJoinedMeta(%s) = %s, %v, want %s", params, got, err, want)
	}
}

func TestPassedParamsHaveOurTokenAndLevel(t *testing.T) {
	own := mcp.PassedMeta{ProgressToken: []byte(`"ours"`)}
	level := mcp.PassedMeta{LogLevel: []byte(`"info"`)}
	for _, test := range []struct {
		params, want, token string
		own                 mcp.PassedMeta
	}{
		{`{ "a" : 1e400}`, `{"a":1e400}`, ``, own},
		{`{"_meta":{}}`, `{}`, ``, own},
		{`{"_meta":{"io.modelcontextprotocol/clientInfo":{}},"b":2}`, `{"b":2}`, ``, own},
		{`{"_meta":{"progress\u0054oken":7,"io.modelcontextprotocol/logLevel":"debug"}}`, `{"_meta":{"progressToken":"ours","io.modelcontextprotocol/logLevel":"debug"}}`, `7`, own},
		{`{}`, `{"_meta":{"io.modelcontextprotocol/logLevel":"info"}}`, ``, level},
		{`{"_meta":{"io.modelcontextprotocol/logLevel":"debug"}}`, `{"_meta":{"io.modelcontextprotocol/logLevel":"debug"}}`, ``, level},
	} {
		got, token, err := mcp.AppendPassedParams(nil, []byte(test.params), test.own)
		if err != nil || string(got) != test.want || string(token) != test.token {
			t.Errorf("AppendPassedParams(%s) = %s, %s, %v, want %s, %s", test.params, got, token, err, test.want, test.token)
		}
	}
	for _, params := range []string{`{"_meta":7}`, `{"_meta":{"progressToken":1,"progressToken":2}}`} {
		if got, _, err := mcp.AppendPassedParams([]byte("x"), []byte(params), own); err == nil || string(got) != "x" {
			t.Errorf("AppendPassedParams(%s) = %s, %v, want an error", params, got, err)
		}
	}
}
