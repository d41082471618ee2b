package dataplane_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
)

// direct sends a message to a single server as an agent, and returns the answer's body.
func (p *proxy) direct(server, agent, message string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.Addr()+"/mcp/"+server, strings.NewReader(message))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Gatehouse-Agent", agent)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

func TestSingleServersAreServedRecordedAndCounted(t *testing.T) {
	control := startControlPlane(t)
	control.apply(child("everything"), policy("researcher", "everything"))
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr, Auth: auth.None})
	p.waitReady()
	for message, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}`: `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","serverInfo":{"name":"test","version":"1"},"capabilities":{"tools":{}}}}`,
		`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"echo","arguments":{"agent_id":"theirs"}}}`:                                        `{"jsonrpc":"2.0","id":"x","result":{"content":[],"params":{"name":"echo","arguments":{"agent_id":"theirs"}}}}`,
		`{"jsonrpc":"2.0","id":3,"method":"prompts/list"}`: `{"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"no such method"}}`,
	} {
		if got := p.direct("everything", "researcher", message); got != want {
			t.Errorf("answer = %s, want %s", got, want)
		}
	}
	if got := p.direct("other", "researcher", `{"jsonrpc":"2.0","id":4,"method":"tools/list"}`); !strings.Contains(got, "DENIED_BY_POLICY") {
		t.Errorf("answer = %s, want DENIED_BY_POLICY", got)
	}
	_, metrics := p.get("/metrics")
	for _, want := range []string{
		`gatehouse_calls_total{operation="tools/call",outcome="OK"} 1`,
		`gatehouse_calls_total{operation="tools/list",outcome="DENIED_BY_POLICY"} 1`,
		`gatehouse_calls_total{operation="prompts/list",outcome="UPSTREAM_ERROR"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	p.stop()
	p.checkAudit(4)
}

// checkAudit holds the audit log of direct requests against what an operator looks for.
func (p *proxy) checkAudit(want int) {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "audit.jsonl"))
	if err != nil {
		p.t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(text) {
		var e struct{ Method, Server, Tool, Agent, AgentAsked, Decision string }
		if err := json.Unmarshal(line, &e); err != nil {
			p.t.Fatal(err)
		}
		n++
		if e.Method == "" || e.Server == "" || e.Agent != "researcher" || e.AgentAsked != "researcher" {
			p.t.Errorf("record = %s", line)
		}
		if (e.Tool == "echo") != (e.Method == "tools/call") || (e.Decision == "deny") != (e.Server == "other") {
			p.t.Errorf("record = %s", line)
		}
	}
	if n != want {
		p.t.Errorf("audit has %d records, want %d", n, want)
	}
}
