package front_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// metaFor is the _meta of a request of an era.
func metaFor(era mcp.Era) string {
	if era == mcp.Legacy {
		return `"_meta":{}`
	}
	return `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
}

// sendTo has a handler answer a body at a path, with the headers that an era wants.
func sendTo(h http.Handler, path string, era mcp.Era, method, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader([]byte(body)))
	r.Header.Set("Authorization", "Bearer "+laptopKey)
	r.Header.Set("Content-Type", "application/json")
	if era == mcp.Modern {
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", method)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestMessagesThatTwoReadersTakeDifferentlyAreRefused holds both endpoints, in both eras, to the codes of the specification.
// META stands for the _meta that the era wants.
func TestMessagesThatTwoReadersTakeDifferentlyAreRefused(t *testing.T) {
	conf := config(t, newTools())
	conf.MaxBody = 64 << 10
	h := front.New(conf)
	deep := strings.Repeat(`[`, mcp.MaxDepth) + strings.Repeat(`]`, mcp.MaxDepth)
	for name, test := range map[string]struct {
		body         string
		status, code int
	}{
		"cut":                     {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{META`, 400, -32700},
		"trailing":                {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{META}} {}`, 400, -32700},
		"bad UTF-8":               {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x/y\",\"params\":{\"a\":\"\xff\",META}}", 400, -32700},
		"overlong UTF-8":          {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x/y\",\"params\":{\"a\":\"\xc0\xaf\",META}}", 400, -32700},
		"control character":       {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x/y\",\"params\":{\"a\":\"\x01\",META}}", 400, -32700},
		"NaN":                     {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"a":NaN,META}}`, 400, -32700},
		"leading zero":            {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"a":01,META}}`, 400, -32700},
		"byte order mark":         {"\ufeff" + `{"jsonrpc":"2.0","id":1,"method":"x/y","params":{META}}`, 400, -32700},
		"too deep":                {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"a":` + deep + `,META}}`, 400, -32700},
		"too large":               {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"a":"` + strings.Repeat("x", 64<<10) + `",META}}`, 413, 413},
		"batch":                   {`[{"jsonrpc":"2.0","id":1,"method":"x/y","params":{META}}]`, 400, -32600},
		"empty batch":             {`[]`, 400, -32600},
		"string":                  {`"x"`, 400, -32600},
		"null id":                 {`{"jsonrpc":"2.0","id":null,"method":"x/y","params":{META}}`, 400, -32600},
		"fraction id":             {`{"jsonrpc":"2.0","id":1.0,"method":"x/y","params":{META}}`, 400, -32600},
		"exponent id":             {`{"jsonrpc":"2.0","id":1e3,"method":"x/y","params":{META}}`, 400, -32600},
		"true id":                 {`{"jsonrpc":"2.0","id":true,"method":"x/y","params":{META}}`, 400, -32600},
		"object id":               {`{"jsonrpc":"2.0","id":{},"method":"x/y","params":{META}}`, 400, -32600},
		"two ids":                 {`{"jsonrpc":"2.0","id":1,"id":2,"method":"x/y","params":{META}}`, 400, -32600},
		"two methods":             {`{"jsonrpc":"2.0","id":1,"method":"x/y","m\u0065thod":"z","params":{META}}`, 400, -32600},
		"two params":              {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{META},"params":{}}`, 400, -32600},
		"another case":            {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{META},"METHOD":"z"}`, 400, -32600},
		"no version":              {`{"id":1,"method":"x/y","params":{META}}`, 400, -32600},
		"version of a number":     {`{"jsonrpc":2.0,"id":1,"method":"x/y","params":{META}}`, 400, -32600},
		"method of a number":      {`{"jsonrpc":"2.0","id":1,"method":7,"params":{META}}`, 400, -32600},
		"empty method":            {`{"jsonrpc":"2.0","id":1,"method":"","params":{META}}`, 400, -32600},
		"null params":             {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":null}`, 400, -32600},
		"two names":               {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"name":"a","name":"b",META}}`, 400, -32602},
		"name of another case":    {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"Name":"a",META}}`, 400, -32602},
		"two _metas":              {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"_meta":{},META}}`, 400, -32602},
		"two versions":            {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/protocolVersion":"2025-11-25","io.modelcontextprotocol/clientCapabilities":{}}}}`, 400, -32602},
		"version of another case": {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"_meta":{"io.modelcontextprotocol/protocolversion":"2026-07-28"}}}`, 400, -32602},
	} {
		for _, path := range []string{"/mcp", "/mcp/everything"} {
			for _, era := range []mcp.Era{mcp.Legacy, mcp.Modern} {
				w := sendTo(h, path, era, "x/y", strings.Replace(test.body, "META", metaFor(era), 1))
				var answer struct {
					Error struct{ Code int }
				}
				if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != test.status || answer.Error.Code != test.code {
					t.Errorf("%s at %s, %v era: %d %s, want %d and %d", name, path, era, w.Code, w.Body, test.status, test.code)
				}
			}
		}
	}
}

// TestIdsKeepValueAndType holds both endpoints, in both eras, to what stands in the request.
func TestIdsKeepValueAndType(t *testing.T) {
	h := front.New(config(t, newTools()))
	for _, id := range []string{
		`1`, `"1"`, `0`, `-0`, `-1`, `9007199254740993`, `-9223372036854775809`, `1234567890123456789012345678901234567890`,
		`""`, `"1e3"`, `"\u0041\/"`, `" "`, `"` + strings.Repeat("x", 1000) + `"`,
	} {
		for _, path := range []string{"/mcp", "/mcp/everything"} {
			for _, era := range []mcp.Era{mcp.Legacy, mcp.Modern} {
				for _, method := range []string{"tools/list", "x/y"} { // one is answered with a result, the other on /mcp with an error
					body := `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":{` + metaFor(era) + `}}`
					w := sendTo(h, path, era, method, body)
					if want := `{"jsonrpc":"2.0","id":` + id + `,`; !strings.HasPrefix(w.Body.String(), want) {
						t.Errorf("%s at %s, %v era = %.200s, want %.80s…", method, path, era, w.Body, want)
					}
				}
			}
		}
	}
}
