// Package gateway is the path of a call: whose it is, what policy says, where it goes, and what is recorded of it.
package gateway

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// Gateway performs the calls of agents.
type Gateway struct{}

// ToolsList returns the tools/list result's "tools" array: the definitions of the gateway's own tools, rendered once.
func (g *Gateway) ToolsList() []byte { panic("not built") }

// CallTool performs a call of one of the gateway's own tools. The reply's Result is the CallToolResult, for refused
// calls too. The error is an *mcp.Error where the request itself is wrong (an unknown tool, arguments that are no
// object), auth.ErrNoKey, ErrWrongKey, ErrExpired or ErrNotReady where the key has been revoked since the front looked
// or there is no table, and the context's error where the agent went away.
func (g *Gateway) CallTool(ctx context.Context, c *Call) (*mcp.Reply, error) { panic("not built") }

// Unauthenticated records a request that was refused with HTTP 401, and why; c needs Remote and BytesIn alone.
func (g *Gateway) Unauthenticated(c *Call, reason error) { panic("not built") }
