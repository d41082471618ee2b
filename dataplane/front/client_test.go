package front_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	gomcp "github.com/mark3labs/mcp-go/mcp"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// dial returns a real client that has initialized itself in the given era.
func dial(t *testing.T, url string, era mcp.Era, options ...transport.StreamableHTTPCOption) (*client.Client, *gomcp.InitializeResult) {
	t.Helper()
	options = append(options, transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + laptopKey}))
	tr, err := transport.NewStreamableHTTP(url+"/mcp", options...)
	if err != nil {
		t.Fatalf("NewStreamableHTTP: %v", err)
	}
	var choice []client.ClientOption
	if era == mcp.Legacy {
		choice = append(choice, client.WithLegacyProtocolOnly())
	}
	c := client.NewClient(tr, choice...)
	if err := c.Start(t.Context()); err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	request := gomcp.InitializeRequest{}
	request.Params.ClientInfo = gomcp.Implementation{Name: "agent", Version: "1"}
	got, err := c.Initialize(t.Context(), request)
	if err != nil {
		t.Fatalf("Initialize: %v", err)
	}
	return c, got
}

func TestRealClientSpeaksBothEras(t *testing.T) {
	for era, version := range map[mcp.Era]string{mcp.Legacy: "2025-11-25", mcp.Modern: "2026-07-28"} {
		t.Run(era.String(), func(t *testing.T) {
			c, hello := dial(t, serve(t, config(t, newTools())).URL, era)
			if hello.ServerInfo.Name != "gatehouse" || c.ProtocolVersion() != version {
				t.Errorf("Initialize = %s speaking %s, want gatehouse speaking %s", hello.ServerInfo.Name, c.ProtocolVersion(), version)
			}
			if hasSession := c.GetSessionId() != ""; hasSession != (era == mcp.Legacy) {
				t.Errorf("session id = %q", c.GetSessionId())
			}
			list, err := c.ListTools(t.Context(), gomcp.ListToolsRequest{})
			if err != nil || len(list.Tools) != 2 || list.Tools[0].Name != "echo" {
				t.Errorf("ListTools = %+v, %v, want echo and odd", list, err)
			}
			checkEcho(t, c, era)
			checkOdd(t, c)
		})
	}
}

func checkEcho(t *testing.T, c *client.Client, era mcp.Era) {
	t.Helper()
	request := gomcp.CallToolRequest{}
	request.Params.Name, request.Params.Arguments = "echo", map[string]any{"x": "ü<&>"}
	got, err := c.CallTool(t.Context(), request)
	if err != nil {
		t.Fatalf("CallTool(echo): %v", err)
	}
	args, _ := json.Marshal(got.StructuredContent)
	if text := got.Content[0].(gomcp.TextContent).Text; !strings.Contains(text, era.String()) || string(args) != `{"x":"ü\u003c\u0026\u003e"}` {
		t.Errorf("CallTool(echo) = %q, %s", text, args)
	}
}

// checkOdd takes the transport, since the client's own types lose what the result holds.
func checkOdd(t *testing.T, c *client.Client) {
	t.Helper()
	params := `{"name":"odd","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}`
	if c.ProtocolVersion() != mcp.ModernVersion {
		params = `{"name":"odd"}`
	}
	request := transport.JSONRPCRequest{JSONRPC: "2.0", ID: gomcp.NewRequestId(77), Method: "tools/call", Params: json.RawMessage(params)}
	request.Header = map[string][]string{"Mcp-Method": {"tools/call"}, "Mcp-Name": {"odd"}}
	got, err := c.GetTransport().SendRequest(t.Context(), request)
	if err != nil || string(got.Result) != oddResult {
		t.Errorf("SendRequest(odd) = %v, %v, want %s", got, err, oddResult)
	}
}

func TestRealClientKeepsAStreamOpen(t *testing.T) {
	c, _ := dial(t, serve(t, config(t, newTools())).URL, mcp.Legacy, transport.WithContinuousListening())
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
}
