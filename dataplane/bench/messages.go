package main

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// payload is what the echo tool returns.
	payload       = "sixty-four bytes of text that go to the upstream and come back.."
	legacyVersion = "2025-11-25"
	modernVersion = "2026-07-28"
	initialize    = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + legacyVersion +
		`","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`
)

// toolsCall is the body of a call of a tool.
func toolsCall(name, args string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, name, args)
}

// executeTool is the body of an execute_tool of the echo tool of a server.
func executeTool(server, args string) string {
	return toolsCall("execute_tool", fmt.Sprintf(`{"server":%q,"tool":"echo","args":%s}`, server, args))
}

// message are arguments that have the payload echoed.
func message() string { return `{"message":` + strconv.Quote(payload) + `}` }

// amount are arguments that have a text returned.
type amount struct {
	Size int  `json:"size"` // bytes, escapes included
	Rows bool `json:"rows"` // it is JSON, as most tools answer, with a quote to escape every few bytes
}

// arguments are the amount's.
func (a amount) arguments() string { return fmt.Sprintf(`{"size":%d,"rows":%t}`, a.Size, a.Rows) }

// text is what an echo upstream returns, with its escapes.
func (a amount) text() string {
	if !a.Rows {
		return text(a.Size)
	}
	rows := []byte("<~[")
	for i := 0; len(rows) < a.Size; i++ {
		rows = fmt.Appendf(rows, `{\"id\":%d,\"name\":\"row %d\",\"open\":true,\"score\":%d.25},`, i, i, i)
	}
	return string(append(rows, "null]"...))
}

// String names it.
func (a amount) String() string {
	if a.Rows {
		return kib(a.Size) + " of JSON"
	}
	return kib(a.Size)
}

// size are arguments that have so many bytes of text returned.
func size(n int) string { return amount{Size: n}.arguments() }

// text is what an echo upstream returns for a size. It begins as nothing else does, so that it is found at once.
func text(n int) string {
	const line = "0123456789 the quick brown fox jumps over the lazy dog, "
	return ("<~" + strings.Repeat(line, n/len(line)+1))[:n]
}

// withMeta is a call as an agent of the modern era makes it.
func withMeta(body string) string {
	return strings.TrimSuffix(body, "}}") + `,"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modernVersion +
		`","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
}

// modernHeaders are what the modern era wants beside a call of a tool.
func modernHeaders(tool string) string {
	return "MCP-Protocol-Version: " + modernVersion + "\r\nMcp-Method: tools/call\r\nMcp-Name: " + tool + "\r\n"
}
