package mcp_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

func TestScanMessageTakesWhatTheSpecificationAllows(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       mcp.Message
	}{
		{"request", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("1"), Method: "tools/call", Params: []byte(`{"name":"x"}`)}},
		{"string id", `{"jsonrpc":"2.0","id":"a\u0062","method":"ping"}`,
			mcp.Message{Kind: mcp.Request, ID: []byte(`"a\u0062"`), Method: "ping"}},
		{"id above 2^53", ` {"id":9007199254740993 , "method" : "x/y","jsonrpc":"2.0"} ` + "\n",
			mcp.Message{Kind: mcp.Request, ID: []byte("9007199254740993"), Method: "x/y"}},
		{"negative id", `{"jsonrpc":"2.0","id":-7,"method":"ping"}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("-7"), Method: "ping"}},
		{"escaped key", `{"jsonrpc":"2.0","id":1,"me\u0074hod":"t\u006fols/list"}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("1"), Method: "tools/list"}},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`,
			mcp.Message{Kind: mcp.Notification, Method: "notifications/initialized"}},
		{"result", `{"jsonrpc":"2.0","id":1,"result":{"n":1e400}}`,
			mcp.Message{Kind: mcp.Response, ID: []byte("1"), Result: []byte(`{"n":1e400}`)}},
		{"error without id", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}`,
			mcp.Message{Kind: mcp.Response, Error: []byte(`{"code":-32700,"message":"m"}`)}},
		{"other members", `{"jsonrpc":"2.0","id":1,"method":"ping","x":[1,{"y":null}]}`,
			mcp.Message{Kind: mcp.Request, ID: []byte("1"), Method: "ping"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := mcp.ScanMessage([]byte(tt.text))
			if err != nil || !equal(got, tt.want) {
				t.Errorf("ScanMessage(%s) = %+v, %v, want %+v", tt.text, got, err, tt.want)
			}
		})
	}
}

func TestScanMessageReadsEveryMethod(t *testing.T) {
	for _, method := range []string{"tools/call", "tools/list", "ping", "initialize", "server/discover", "notifications/cancelled", "é \U0001f600"} {
		text := mcp.AppendRequest(nil, 1, method, nil)
		if m, err := mcp.ScanMessage(text); err != nil || m.Method != method {
			t.Errorf("ScanMessage(%s) = method %q, %v, want %q", text, m.Method, err, method)
		}
	}
}

// A text that ends early is refused wherever it ends, so that half a message never passes for one.
func TestScanMessageRefusesEveryPrefix(t *testing.T) {
	for n := range len(call) {
		if m, err := mcp.ScanMessage([]byte(call[:n])); err == nil {
			t.Errorf("ScanMessage(%q) = %+v, want an error", call[:n], m)
		}
	}
}

// One byte of white space between any two tokens changes nothing.
func TestScanMessageSkipsWhiteSpace(t *testing.T) {
	want, err := mcp.ScanMessage([]byte(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}`))
	if err != nil {
		t.Fatalf("ScanMessage: %v", err)
	}
	spaced := strings.NewReplacer(`{`, " {\n", `}`, "\t} ", `:`, " :\r\n", `,`, "\n, ").Replace(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}`)
	got, err := mcp.ScanMessage([]byte(spaced))
	want.Params = got.Params // white space inside params stays
	if err != nil || !equal(got, want) || strings.TrimSpace(string(got.Params)) != string(got.Params) {
		t.Errorf("ScanMessage(%q) = %+v, %v, want %+v", spaced, got, err, want)
	}
}

func equal(a, b mcp.Message) bool {
	return a.Kind == b.Kind && a.Method == b.Method && string(a.ID) == string(b.ID) && string(a.Params) == string(b.Params) &&
		string(a.Result) == string(b.Result) && string(a.Error) == string(b.Error)
}

func TestScanMessageRefusesWhatIsAmbiguousOrWrong(t *testing.T) {
	deep := strings.Repeat("[", mcp.MaxDepth) + strings.Repeat("]", mcp.MaxDepth)
	for _, tt := range []struct {
		name, text string
		code       int64
		id         string
	}{
		{"empty", ``, mcp.CodeParseError, ""},
		{"cut", `{"jsonrpc":"2.0","id":1`, mcp.CodeParseError, ""},
		{"trailing data", `{"jsonrpc":"2.0","id":1,"method":"ping"}{}`, mcp.CodeParseError, ""},
		{"invalid UTF-8", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"x\":\"\xff\"}", mcp.CodeParseError, ""},
		{"too deep", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":` + deep + `}}`, mcp.CodeParseError, ""},
		{"batch", `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, mcp.CodeInvalidRequest, ""},
		{"scalar", `7`, mcp.CodeInvalidRequest, ""},
		{"duplicate", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`, mcp.CodeInvalidRequest, ""},
		{"duplicate by escape", `{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"x"}`, mcp.CodeInvalidRequest, ""},
		{"case variant", `{"jsonrpc":"2.0","id":1,"Method":"ping","method":"ping"}`, mcp.CodeInvalidRequest, ""},
		{"case variant of id", `{"jsonrpc":"2.0","ID":1,"method":"ping"}`, mcp.CodeInvalidRequest, ""},
		{"null id", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, mcp.CodeInvalidRequest, ""},
		{"fraction id", `{"jsonrpc":"2.0","id":1.0,"method":"ping"}`, mcp.CodeInvalidRequest, ""},
		{"exponent id", `{"jsonrpc":"2.0","id":1e2,"method":"ping"}`, mcp.CodeInvalidRequest, ""},
		{"object id", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, mcp.CodeInvalidRequest, ""},
		{"no version", `{"id":1,"method":"ping"}`, mcp.CodeInvalidRequest, "1"},
		{"old version", `{"jsonrpc":"1.0","id":1,"method":"ping"}`, mcp.CodeInvalidRequest, "1"},
		{"method no string", `{"jsonrpc":"2.0","id":1,"method":1}`, mcp.CodeInvalidRequest, "1"},
		{"method empty", `{"jsonrpc":"2.0","id":1,"method":""}`, mcp.CodeInvalidRequest, "1"},
		{"params an array", `{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`, mcp.CodeInvalidRequest, "1"},
		{"params null", `{"jsonrpc":"2.0","id":1,"method":"ping","params":null}`, mcp.CodeInvalidRequest, "1"},
		{"request and response", `{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, mcp.CodeInvalidRequest, "1"},
		{"result and error", `{"jsonrpc":"2.0","id":1,"error":{},"result":{}}`, mcp.CodeInvalidRequest, "1"},
		{"nothing", `{"jsonrpc":"2.0","id":"z"}`, mcp.CodeInvalidRequest, `"z"`},
		{"result without id", `{"jsonrpc":"2.0","result":{}}`, mcp.CodeInvalidRequest, ""},
		{"error no object", `{"jsonrpc":"2.0","id":1,"error":"no"}`, mcp.CodeInvalidRequest, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := mcp.ScanMessage([]byte(tt.text))
			var e *mcp.Error
			if !errors.As(err, &e) || e.Code != tt.code || string(m.ID) != tt.id {
				t.Errorf("ScanMessage(%s) = id %s, %v, want id %s, code %d", tt.text, m.ID, err, tt.id, tt.code)
			}
		})
	}
}

func TestScanMessageAllocatesNothingForACall(t *testing.T) {
	text := []byte(call)
	if n := testing.AllocsPerRun(100, func() { _, _ = mcp.ScanMessage(text) }); n != 0 {
		t.Errorf("ScanMessage(call) makes %v allocations, want 0", n)
	}
}

const call = `{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{"name":"execute_tool","arguments":` +
	`{"server":"everything","tool":"echo","args":{"message":"a text of a usual length, with \"escapes\" and ünïcode"}}}}`

func BenchmarkScanMessage(b *testing.B) {
	big := `{"jsonrpc":"2.0","id":12,"result":{"content":[{"type":"text","text":"` + strings.Repeat("0123456789abcde ", 4<<10) + `"}]}}`
	for _, bb := range []struct{ name, text string }{{"call", call}, {"64KB", big}} {
		b.Run(bb.name, func(b *testing.B) {
			text := []byte(bb.text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := mcp.ScanMessage(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
