package mcp_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

func TestMessagesAreBuiltFromRawParts(t *testing.T) {
	fault := &mcp.Error{Code: -32602, Message: "no \"x\"\n\x01é", Data: json.RawMessage(`{"a":1.0}`)}
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"request":      {mcp.AppendRequest(nil, 7, "tools/call", []byte(`{"n":1e400}`)), `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"n":1e400}}`},
		"no params":    {mcp.AppendRequest([]byte("x"), -1, "ping", nil), `x{"jsonrpc":"2.0","id":-1,"method":"ping"}`},
		"notification": {mcp.AppendNotification(nil, "notifications/x", []byte(`{}`)), `{"jsonrpc":"2.0","method":"notifications/x","params":{}}`},
		"response":     {mcp.AppendResponse(nil, []byte(`"a"`), []byte(`{ }`)), `{"jsonrpc":"2.0","id":"a","result":{ }}`},
		"error":        {mcp.AppendError(nil, []byte("9007199254740993"), fault), `{"jsonrpc":"2.0","id":9007199254740993,"error":{"code":-32602,"message":"no \"x\"\n\u0001é","data":{"a":1.0}}}`},
		"no id":        {mcp.AppendError(nil, nil, &mcp.Error{Code: 404}), `{"jsonrpc":"2.0","id":null,"error":{"code":404,"message":""}}`},
	} {
		if string(tt.got) != tt.want {
			t.Errorf("%s = %s, want %s", name, tt.got, tt.want)
		}
	}
}

func TestAppendMemberKeepsTheObject(t *testing.T) {
	for object, want := range map[string]string{
		`{}`:                     `{"resultType":"complete"}`,
		" { \n} ":                ` { ` + "\n" + `"resultType":"complete"}`,
		`{"a":{"b":"}"}}`:        `{"a":{"b":"}"},"resultType":"complete"}`,
		"{\"a\" : 1e400 \n}\r\n": "{\"a\" : 1e400 \n,\"resultType\":\"complete\"}",
	} {
		if got := mcp.AppendMember(nil, []byte(object), "resultType", []byte(`"complete"`)); string(got) != want {
			t.Errorf("AppendMember(%q) = %q, want %q", object, got, want)
		}
	}
}

func TestParseErrorKeepsData(t *testing.T) {
	got, err := mcp.ParseError([]byte(`{"code":-32042,"message":"m","data":{"n":9007199254740993, "z":1}}`))
	if err != nil || got.Code != -32042 || got.Error() != "m" || string(got.Data) != `{"n":9007199254740993, "z":1}` {
		t.Errorf("ParseError = %+v, %v", got, err)
	}
	for _, bad := range []string{`{"code":"x"}`, `[]`, `{"code":1.5}`} {
		if got, err := mcp.ParseError([]byte(bad)); err == nil {
			t.Errorf("ParseError(%s) = %+v, want an error", bad, got)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("plain \"quoted\" \\ \n\t\x00\u2028 é \U0001f600")
	f.Add("\xff\xc3")
	f.Fuzz(func(t *testing.T, s string) {
		text := mcp.AppendString(nil, s)
		var back string
		if err := json.Unmarshal(text, &back); err != nil || mcp.Check(text) != nil {
			t.Fatalf("AppendString(%q) = %s, %v", s, text, err)
		}
		if utf8.ValidString(s) && back != s {
			t.Errorf("AppendString(%q) reads as %q", s, back)
		}
	})
}
