package front

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	gomcp "github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	serverName     = "gatehouse"
	metaServerInfo = mcp.MetaPrefix + "serverInfo"
	// cacheTTL is for how long, in milliseconds, an agent may keep what we say about ourselves; it changes with a new build only.
	cacheTTL = 300_000

	instructions = "Gatehouse gives you the tools of several MCP servers, as far as policy allows. Call list_servers to see the " +
		"servers, get_server_tools to see a server's tools and their arguments, and execute_tool to run one."
)

// control has mcp-go's server answer what is not on the raw path: the handshakes, whose shape it knows for each version,
// and the errors for methods of capabilities that are not advertised. The server knows no tools, sessions or streams of
// ours; each request reaches it alone, under an id of our own, so it can mix up nothing and round no id of an agent's.
// None of this is on the path of a call, so it may cost an encoding.
type control struct {
	server *server.MCPServer
	ids    atomic.Int64
}

func newControl(version string) *control {
	return &control{server: server.NewMCPServer(serverName, version,
		server.WithToolCapabilities(false),
		server.WithInstructions(instructions),
		server.WithCacheHints(cacheTTL, gomcp.CacheScopePrivate),
	)}
}

// answer returns what mcp-go's server says to a request. An error of the server is a reply; the error says that there is
// no answer to be had from it, which is a fault of ours.
func (c *control) answer(ctx context.Context, x *exchange) (*mcp.Reply, error) {
	if x.msg.Method == "subscriptions/listen" { // would be a stream, and nothing of ours changes
		return nil, &mcp.Error{Code: mcp.CodeMethodNotFound, Message: "subscriptions/listen is not served: nothing here changes"}
	}
	ctx = server.WithSupportedProtocolVersions(ctx, supportedVersions())
	// The params go through as they are: the server reads the protocol version and the capabilities from them.
	request := mcp.AppendRequest(nil, c.ids.Add(1), x.msg.Method, x.msg.Params)
	text, err := json.Marshal(c.server.HandleMessage(ctx, request))
	if err != nil {
		return nil, fmt.Errorf("encoding answer to %s: %w", x.msg.Method, err)
	}
	m, err := mcp.ScanMessage(text)
	if err != nil {
		return nil, fmt.Errorf("reading answer to %s: %v", x.msg.Method, err) //nolint:errorlint // %w would pass for a fault of the agent's message
	}
	if m.Error == nil {
		return &mcp.Reply{Result: m.Result}, nil
	}
	fault, err := mcp.ParseError(m.Error)
	if err != nil {
		return nil, fmt.Errorf("reading answer to %s: %w", x.msg.Method, err)
	}
	return &mcp.Reply{Error: fault}, nil
}
