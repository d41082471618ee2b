package system_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// answer is what an agent got for one call.
type answer struct {
	err      error  // no answer at all, or none that MCP knows
	code     string // the gateway's error code; empty where the call went through
	revision int64  // in the error
	text     string // of the first content item
}

// agents share one client that keeps its connections.
var agents = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// execute calls execute_tool as an agent would, over HTTP.
func (p *proxy) execute(agent, server, tool string, args any) answer {
	return p.tool("execute_tool", map[string]any{"agent_id": agent, "server": server, "tool": tool, "args": args})
}

// tool calls one of the gateway's own tools.
func (p *proxy) tool(name string, args any) answer {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": name, "arguments": args}})
	if err != nil {
		return answer{err: err}
	}
	resp, err := agents.Post("http://"+p.addr+"/mcp", "application/json", bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{err: err}
	}
	return parseAnswer(b)
}

func parseAnswer(b []byte) answer {
	var m struct {
		Result *struct {
			IsError           bool                    `json:"isError"`
			Content           []struct{ Text string } `json:"content"`
			StructuredContent struct {
				Error struct {
					Code     string `json:"code"`
					Revision int64  `json:"revision"`
				} `json:"error"`
			} `json:"structuredContent"`
		} `json:"result"`
	}
	if err := json.Unmarshal(b, &m); err != nil || m.Result == nil {
		return answer{err: fmt.Errorf("no result in %q (%w)", b, err)}
	}
	a := answer{code: m.Result.StructuredContent.Error.Code, revision: m.Result.StructuredContent.Error.Revision}
	if len(m.Result.Content) > 0 {
		a.text = m.Result.Content[0].Text
	}
	if m.Result.IsError && a.code == "" {
		a.code = "TOOL_ERROR"
	}
	return a
}

// record is one line of an audit file.
type record struct {
	Revision int64  `json:"revision"`
	Agent    string `json:"agent"`
	Server   string `json:"server"`
	Tool     string `json:"tool"`
	Decision string `json:"decision"`
	Outcome  string `json:"outcome"`
}

// audit reads a proxy's audit file.
func (p *proxy) audit(t *testing.T) []record {
	t.Helper()
	f, err := os.Open(filepath.Join(p.state, "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var records []record
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v in %q", p.id, err, lines.Text())
		}
		records = append(records, r)
	}
	return records
}
