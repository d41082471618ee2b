package front

import (
	"context"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// serve answers one request whose era is decided: the same for HTTP and stdio. Its errors are CallTool's.
func (h *Handler) serve(ctx context.Context, x *exchange) (*mcp.Reply, error) {
	switch x.msg.Method {
	case "tools/call":
		return h.callTool(ctx, x)
	case "tools/list":
		return h.listTools(x)
	}
	return h.control.answer(ctx, x)
}

// callTool is the raw path: arguments go to the gateway, and its result to the agent, as the bytes that they are.
func (h *Handler) callTool(ctx context.Context, x *exchange) (*mcp.Reply, error) {
	name, ok := mcp.Unquote(x.params.name)
	if !ok {
		return nil, invalidParams("params.name must be a string")
	}
	x.call.Era, x.call.Name = x.era, name
	x.call.Args, x.call.Meta = x.params.arguments, x.params.meta
	return h.conf.Gateway.CallTool(ctx, &x.call)
}

// listTools answers tools/list, which has one page, so every cursor is one that was never given.
func (h *Handler) listTools(x *exchange) (*mcp.Reply, error) {
	if c := string(x.params.cursor); c != "" && c != `""` && c != "null" {
		return nil, invalidParams("params.cursor is not one that this server gave")
	}
	return &h.lists[x.era], nil
}

// renderLists makes the tools/list results of both eras. Neither varies by caller: policy decides inside the tools.
func renderLists(tools []byte, version string) [2]mcp.Reply {
	legacy := append([]byte(`{"tools":`), tools...)
	modern := append([]byte(nil), legacy...)
	legacy = append(legacy, '}')
	modern = fmt.Appendf(modern, `,"resultType":"complete","ttlMs":%d,"cacheScope":"private","_meta":{%q:{"name":%q,"version":%s}}}`,
		cacheTTL, metaServerInfo, serverName, mcp.AppendString(nil, version))
	return [2]mcp.Reply{mcp.Legacy: {Result: legacy}, mcp.Modern: {Result: modern}}
}
