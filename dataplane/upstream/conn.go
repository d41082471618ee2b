package upstream

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// conn is one connection to a server, over whatever transport.
type conn interface {
	// call sends one request and waits for its answer.
	call(ctx context.Context, c *mcp.Call) (*mcp.Reply, error)
	// notify sends a notification.
	notify(ctx context.Context, method string, params []byte) error
	// speak sets how requests are written from now on: what the handshake found out so far.
	speak(h *hello)
	// listen keeps the transport's own stream of notifications open until ctx ends; it returns at once where there is none.
	listen(ctx context.Context)
	// attend tells c's stream what the server says that belongs to no call, until end is called.
	attend(ctx context.Context, c *mcp.Call) (end func())
	// lost is closed once the connection is of no more use.
	lost() <-chan struct{}
	// close ends the connection, politely if it still works, and waits until nothing of it is left.
	close()
}

// hooks are what a connection tells its upstream. They MUST NOT block.
type hooks struct {
	// changed says that the server's tools are no longer what they were.
	changed func()
	// down says that the connection was lost, and why.
	down func(error)
}
