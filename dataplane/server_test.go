package dataplane_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// serverEnv makes the test binary an MCP server on stdin and stdout.
const serverEnv = "DATAPLANE_TEST_SERVER"

// serve answers as a simple MCP server of the legacy era would. Its tool echo returns the params it got; its tool slow
// does so once there is the file that it is told; its tool stuck never does; its tool ask asks for a name, whatever was declared, one call at a time.
func serve() {
	var asking json.RawMessage // the call that waits for the answer
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
			Result json.RawMessage `json:"result"`
		}
		if json.Unmarshal(lines.Bytes(), &m) != nil || m.ID == nil {
			continue
		}
		result := `"error":{"code":-32601,"message":"no such method"}`
		switch m.Method {
		case "":
			if m.ID, asking = asking, nil; m.ID == nil {
				continue
			}
			result = fmt.Sprintf(`"result":{"content":[],"heard":%s}`, cmp.Or(string(m.Result), "null"))
		case "initialize":
			result = `"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"test","version":"1"}}`
		case "tools/list":
			result = `"result":{"tools":[{"name":"echo","inputSchema":{"type":"object"}},{"name":"slow","inputSchema":{"type":"object"}},` +
				`{"name":"stuck","inputSchema":{"type":"object"}}]}`
		case "tools/call":
			if strings.Contains(string(m.Params), `"slow"`) {
				waitForFile(m.Params)
			}
			if strings.Contains(string(m.Params), `"stuck"`) {
				continue
			}
			if strings.Contains(string(m.Params), `"ask"`) {
				asking = m.ID
				fmt.Println(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"who?"}}`)
				continue
			}
			result = `"result":{"content":[],"params":` + string(m.Params) + `}`
		}
		fmt.Printf(`{"jsonrpc":"2.0","id":%s,%s}`+"\n", m.ID, result)
	}
}

// waitForFile waits until there is the file that a call names, or this process has lost its parent.
func waitForFile(params json.RawMessage) {
	var p struct{ Arguments struct{ Until string } }
	if json.Unmarshal(params, &p) != nil {
		return
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for parent := os.Getppid(); os.Getppid() == parent; <-tick.C {
		if _, err := os.Stat(p.Arguments.Until); err == nil {
			return
		}
	}
}

// child defines a server that the test binary plays.
func child(name string) *gatehousev1.Object {
	exe, err := filepath.Abs(os.Args[0])
	if err != nil {
		panic(err)
	}
	stdio := &gatehousev1.Stdio{Command: exe, Env: map[string]string{serverEnv: "1", "GORACE": "atexit_sleep_ms=0"}}
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Server{Server: &gatehousev1.Server{
		Transport: &gatehousev1.Server_Stdio{Stdio: stdio},
	}}}
}

// policy allows an agent whole servers.
func policy(agent string, servers ...string) *gatehousev1.Object {
	return &gatehousev1.Object{Name: agent, Spec: &gatehousev1.Object_Policy{Policy: &gatehousev1.Policy{
		Allow: &gatehousev1.Access{Servers: servers},
	}}}
}
