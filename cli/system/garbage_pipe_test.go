package system_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// crimeEnv makes the test binary an MCP server on stdin and stdout that commits the crime that it names.
const crimeEnv = "SYSTEM_TEST_CRIME"

// pipeCrimes are those of a child process: code and words as for those over HTTP.
func pipeCrimes() map[string]crime {
	return map[string]crime{
		"exits":     {code: "SERVER_UNAVAILABLE", words: "exited"},
		"mute":      {code: "SERVER_UNAVAILABLE", words: "handshake"},
		"leaves":    {code: "SERVER_UNAVAILABLE", words: "exited"},
		"half":      {code: "SERVER_UNAVAILABLE", words: "exited"},
		"deaf":      {code: "TIMEOUT", words: "in time"},
		"stuck":     {code: "TIMEOUT", words: "in time"},
		"wrong-id":  {code: "TIMEOUT", words: "in time"},
		"bad-json":  {code: "UPSTREAM_ERROR", words: "cannot be read"},
		"long-line": {code: "UPSTREAM_ERROR", words: "too big"},
		"twice":     {words: "well"},
		"noise":     {words: "well"},
		"chatter":   {words: "well"},
		"asks":      {words: "well"},
		"stderr":    {words: "well"},
	}
}

// pipeServer is a manifest of a child process that commits a crime.
func pipeServer(t *testing.T, crime string) string {
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: pipe-%s}\nspec:\n  stdio: {command: %q, env: {%s: %s, GORACE: atexit_sleep_ms=0}}\n---\n",
		crime, self, crimeEnv, crime)
}

// offend is an MCP server that behaves until a tool is called.
func offend(crime string, in io.Reader, out io.Writer) {
	switch crime {
	case "exits":
		return
	case "mute":
		_, _ = io.Copy(io.Discard, in)
		return
	}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var m struct {
			ID     json.RawMessage
			Method string
		}
		if json.Unmarshal(line, &m) != nil || m.ID == nil || m.Method == "" {
			continue
		}
		id := string(m.ID)
		switch m.Method {
		case "initialize":
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"p","version":"1"}}}`+"\n", id)
		case "tools/list":
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}}`+"\n", id)
			if crime == "deaf" {
				select {} // until its input closes nobody notices, and then it is killed
			}
		case "tools/call":
			if commit(crime, out, id) {
				fmt.Fprintln(out, result(id))
			}
		default:
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`+"\n", id)
		}
	}
}

// commit does something bad with a call, and says whether the call is answered all the same.
func commit(crime string, out io.Writer, id string) (answer bool) {
	const remark = `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"`
	switch crime {
	case "leaves":
		os.Exit(7)
	case "half":
		fmt.Fprint(out, `{"jsonrpc":"2.0","res`)
		os.Exit(0)
	case "stuck":
		return false
	case "wrong-id":
		fmt.Fprintln(out, result("1"+id+"000"))
		return false
	case "bad-json":
		fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":{]}`+"\n", id)
		return false
	case "long-line":
		fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"result":{"content":"%s"}}`+"\n", id, strings.Repeat("x", 6<<20))
		return false
	case "twice":
		fmt.Fprintln(out, result(id))
	case "noise":
		for range 200 {
			fmt.Fprint(out, "[info] starting \x00\xff up\n\r\n{}\n[]\nnull\n{\"id\":\n"+strings.Repeat("{", 5000)+"\n")
		}
	case "chatter":
		for range 5000 {
			fmt.Fprintln(out, remark+`tick"}}`)
		}
		fmt.Fprintln(out, remark+strings.Repeat("x", 3<<20)+`"}}`)
	case "asks":
		for i := range 500 {
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":"q%d","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}`+"\n", i)
		}
	case "stderr":
		for range 200 {
			fmt.Fprintln(os.Stderr, strings.Repeat("e", 100_000))
		}
	}
	return true
}
