package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// typedGateway is the gateway as a competent user of mcp-go would write it: an MCP server with the tool execute_tool, whose
// handler checks the key and the policy and calls the upstream with an MCP client. It has no audit, no metrics, one
// upstream, and types from end to end.
type typedGateway struct {
	upstream *client.Client
	// agents :: SHA-256 of a key → the agent that it belongs to
	agents map[[sha256.Size]byte]string
	// allowed :: agent → server → tools
	allowed map[string]map[string]map[string]bool
}

// keyOf is the context key of the caller's key.
type keyOf struct{}

// serveTyped serves such a gateway in front of one upstream.
func serveTyped(addr, to, key string) error {
	g := &typedGateway{
		agents:  map[[sha256.Size]byte]string{sha256.Sum256([]byte(key)): "agent"},
		allowed: map[string]map[string]map[string]bool{"agent": {"http": {"echo": true}}},
	}
	if err := g.connect(to); err != nil {
		return err
	}
	s := server.NewMCPServer("typed", "1", server.WithToolCapabilities(false))
	s.AddTool(mcp.NewTool("execute_tool", mcp.WithString("server", mcp.Required()), mcp.WithString("tool", mcp.Required()), mcp.WithObject("args")), g.execute)
	handler := server.NewStreamableHTTPServer(s, server.WithHTTPContextFunc(func(ctx context.Context, r *http.Request) context.Context {
		return context.WithValue(ctx, keyOf{}, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}))
	return http.ListenAndServe(addr, handler)
}

// connect opens the client that all calls share, with enough kept connections for them.
func (g *typedGateway) connect(to string) (err error) {
	kept := &http.Client{Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256}}
	if g.upstream, err = client.NewStreamableHttpClient(to, transport.WithHTTPBasicClient(kept)); err != nil {
		return fmt.Errorf("making a client of %s: %w", to, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := g.upstream.Start(ctx); err != nil {
		return fmt.Errorf("starting the client: %w", err)
	}
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
	hello.Params.ClientInfo = mcp.Implementation{Name: "typed", Version: "1"}
	if _, err := g.upstream.Initialize(ctx, hello); err != nil {
		return fmt.Errorf("greeting %s: %w", to, err)
	}
	return nil
}

// execute is the handler of execute_tool.
func (g *typedGateway) execute(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	key, _ := ctx.Value(keyOf{}).(string)
	agent, ok := g.agents[sha256.Sum256([]byte(key))]
	if !ok {
		return nil, errors.New("the key is not known")
	}
	name, tool := r.GetString("server", ""), r.GetString("tool", "")
	if !g.allowed[agent][name][tool] {
		return mcp.NewToolResultError(fmt.Sprintf("agent %q may not use tool %q of server %q", agent, tool, name)), nil
	}
	var call mcp.CallToolRequest
	call.Params.Name, call.Params.Arguments = tool, r.GetArguments()["args"]
	return g.upstream.CallTool(ctx, call)
}
