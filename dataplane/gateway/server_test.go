package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// serverEnv makes the test binary an MCP server on stdin and stdout; its value is a file with the array of tools.
const serverEnv = "GATEWAY_TEST_TOOLS"

// serve answers as the simplest MCP server of the legacy era would. A tool's result is the params it was called with; the
// tool named "exit" ends the process instead.
func serve(file string) {
	tools, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Params json.RawMessage `json:"params"`
		}
		if json.Unmarshal(lines.Bytes(), &m) != nil || m.ID == nil {
			continue
		}
		result := `"error":{"code":-32601,"message":"no such method"}`
		switch m.Method {
		case "initialize":
			result = `"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"test","version":"1"}}`
		case "tools/list":
			result = `"result":{"tools":` + string(tools) + `}`
		case "tools/call":
			if strings.Contains(string(m.Params), `"exit"`) {
				return
			}
			result = `"result":{"content":[],"params":` + string(m.Params) + `}`
		}
		fmt.Printf(`{"jsonrpc":"2.0","id":%s,%s}`+"\n", m.ID, result)
	}
}

// child defines a server that the test binary plays.
func child(t testing.TB, name string, tools ...string) *gatehousev1.Object {
	t.Helper()
	exe, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tools.json")
	if err := os.WriteFile(file, []byte("["+strings.Join(tools, ",")+"]"), 0o600); err != nil {
		t.Fatal(err)
	}
	return edit(name, func(s *gatehousev1.Server) {
		s.Transport = &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{
			Command: exe, Env: map[string]string{serverEnv: file, "GORACE": "atexit_sleep_ms=0"},
		}}
	})
}

// newPool makes a pool that ends with the test.
func newPool(t testing.TB) *upstream.Pool {
	t.Helper()
	pool := upstream.New(upstream.Config{StopGrace: 500 * time.Millisecond})
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Errorf("closing the pool: %v", err)
		}
	})
	return pool
}

// catalogues are those read so far, by their tools.
var catalogues sync.Map

// catalogue has a real server list these tools to a real pool, once for each list.
func catalogue(t testing.TB, tools ...string) *upstream.Catalogue {
	t.Helper()
	key := strings.Join(tools, ",")
	if c, ok := catalogues.Load(key); ok {
		return c.(*upstream.Catalogue)
	}
	pool := upstream.New(upstream.Config{})
	defer pool.Close()
	tab, err := table.Compile(nil, &gatehousev1.SnapshotContent{
		Config: &gatehousev1.Config{Objects: []*gatehousev1.Object{child(t, "s", tools...)}}, SealKey: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	pool.Prepare(tab)
	c, err := pool.Upstream(tab.Server("s")).Tools(t.Context())
	if err != nil {
		t.Fatalf("reading the catalogue of %.100s: %v", key, err)
	}
	catalogues.Store(key, c)
	return c
}
