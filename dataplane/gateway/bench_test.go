package gateway_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// loaded is a gateway with audit log and metrics, many servers, and many tools on one of them.
func loaded(b *testing.B) *world {
	log, err := record.Open(record.Config{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Proxy: "p1"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	objects := []*gatehousev1.Object{policy("researcher", []string{"*"},
		map[string][]string{"everything": {"echo", "tool_*"}}, map[string][]string{"everything": {"drop_*"}})}
	for i := range 100 {
		objects = append(objects, server(fmt.Sprintf("server-%d", i)))
	}
	metrics := record.NewMetrics(prometheus.NewRegistry(), gateway.Operations())
	w := build(b, gateway.Config{Records: log, Metrics: metrics}, append(objects, server("everything"))...)
	tools := []string{tool("echo")}
	for i := range 999 {
		tools = append(tools, fat(fmt.Sprintf("tool_%d", i), 100))
	}
	result := []byte(`{"content":[{"type":"text","text":"hello from the other side"}]}`)
	w.servers["everything"] = &memory{tools: catalogue(b, tools...)}
	w.servers["everything"].answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
		return &mcp.Reply{Result: result}, nil
	}
	return w
}

func benchmark(b *testing.B, name, args string, era mcp.Era) {
	w := loaded(b)
	w.servers["everything"].quiet = true
	call := gateway.Call{Principal: everyone(), Name: name, Args: []byte(args), Era: era, BytesIn: len(args)}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c := call
			reply, err := w.CallTool(b.Context(), &c)
			if err != nil {
				b.Fatal(err)
			}
			reply.Close()
		}
	})
}

func BenchmarkExecuteTool(b *testing.B) {
	benchmark(b, gateway.ExecuteTool, execute(`,"args":{"message":"hello"},"timeout_ms":5000`), mcp.Legacy)
}

func BenchmarkExecuteToolModern(b *testing.B) {
	benchmark(b, gateway.ExecuteTool, execute(`,"args":{"message":"hello"}`), mcp.Modern)
}

func BenchmarkExecuteToolDenied(b *testing.B) {
	benchmark(b, gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"drop_all"}`, mcp.Legacy)
}

func BenchmarkListServers(b *testing.B) {
	benchmark(b, gateway.ListServers, `{"agent_id":"researcher"}`, mcp.Legacy)
}

func BenchmarkGetServerTools(b *testing.B) {
	benchmark(b, gateway.GetServerTools, `{"agent_id":"researcher","server":"everything"}`, mcp.Legacy)
}

func BenchmarkGetServerToolsByPattern(b *testing.B) {
	benchmark(b, gateway.GetServerTools, `{"agent_id":"researcher","server":"everything","pattern":"*_99?"}`, mcp.Legacy)
}

// BenchmarkDirectToolsList is a page of tools of a server as itself: the server is asked each time.
func BenchmarkDirectToolsList(b *testing.B) {
	w := loaded(b)
	m := w.servers["everything"]
	m.quiet = true
	page := []byte(`{"tools":[` + tool("echo"))
	for i := range 999 {
		page = append(append(page, ','), fat(fmt.Sprintf("tool_%d", i), 100)...)
	}
	page = append(page, `]}`...)
	m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) { return &mcp.Reply{Result: page}, nil }
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d := gateway.Direct{Server: "everything", Agent: "researcher"}
			d.Principal, d.Name = everyone(), "tools/list"
			reply, err := w.Direct(b.Context(), &d)
			if err != nil || reply.Error != nil {
				b.Fatal(err, reply)
			}
			reply.Close()
		}
	})
}
