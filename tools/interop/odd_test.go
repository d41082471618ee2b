package interop_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// oddResults are tool results of which typed clients lose something: each name is a tool of the odd server.
var oddResults = map[string]string{
	"image":      `{"content":[{"type":"image","data":"iVBORw0KGgo=","mimeType":"image/png","annotations":{"audience":["user"],"priority":0.50}}]}`,
	"embedded":   `{"content":[{"type":"resource","resource":{"uri":"test://a","mimeType":"text/plain","text":"x","vendorField":{"b":1,"a":2}}}]}`,
	"structured": `{"structuredContent":{"z":1,"a":[1,2,{"y":null}],"n":1e400},"content":[{"type":"text","text":"{\"z\":1}"}]}`,
	"meta":       `{"_meta":{"vendor/count":9007199254740993,"progressToken":18446744073709551615},"content":[]}`,
	"failure":    `{"content":[{"type":"text","text":"it went wrong <&> \u2028"}],"isError":true}`,
	"bigint":     `{"content":[{"type":"text","text":"n"}],"structuredContent":{"n":9007199254740993,"f":1.10,"e":1E+2}}`,
	"unknown":    `{"content":[{"type":"hologram","depth":3}],"isError":false,"futureField":{"k":[true]},"content2":null}`,
	"spaced":     `{ "content" : [ { "type" : "text" , "text" : "sp\/aced" } ] , "isError" : false }`,
}

// serveOdd is an MCP server that answers tools/call with those bytes exactly.
func serveOdd(in io.Reader, out io.Writer) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params struct {
				Name string `json:"name"`
			} `json:"params"`
		}
		if json.Unmarshal(lines.Bytes(), &m) != nil || m.ID == nil {
			continue
		}
		switch m.Method {
		case "initialize":
			reply(out, m.ID, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"odd","version":"1"}}`)
		case "tools/list":
			reply(out, m.ID, `{"tools":`+oddTools()+`}`)
		case "tools/call":
			reply(out, m.ID, oddResults[m.Params.Name])
		default:
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`+"\n", m.ID)
		}
	}
}

func reply(out io.Writer, id json.RawMessage, result string) {
	fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", id, result)
}

func oddTools() string {
	tools := []map[string]any{}
	for name := range oddResults {
		tools = append(tools, map[string]any{"name": name, "inputSchema": map[string]any{"type": "object"}})
	}
	b, _ := json.Marshal(tools)
	return string(b)
}
