// Package upstream speaks MCP to servers: it opens, keeps, restarts and drains the connections to them.
package upstream

import (
	"context"
	"encoding/json"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// Tool is one tool as its upstream describes it.
type Tool struct {
	// Name is the tool's name.
	Name string
	// Raw is the definition as the upstream sent it, without insignificant white space.
	Raw json.RawMessage
	// Tokens estimates what Raw costs a model: a quarter of its bytes, rounded up.
	Tokens int
}

// Catalogue is the tools of one upstream, in its order. It MUST NOT be changed.
type Catalogue struct {
	Tools  []Tool
	byName map[string]*Tool
}

// Tool returns the tool of that name, or nil.
func (c *Catalogue) Tool(name string) *Tool { return c.byName[name] }

// Status is how an upstream is doing.
type Status struct {
	// State is idle, ready, unavailable or disabled.
	State string
	// Error says why it is unavailable, without secrets.
	Error string
	// Tools are the names in the catalogue, sorted; nil while it has not been read.
	Tools []string
}

// Pool holds the upstreams of all tables that still have calls.
type Pool struct{}

// Upstream is one server, with its connections.
type Upstream struct{}

// Prepare makes the upstreams of next ready to be used; those that a live table shares with it are kept as they are.
func (p *Pool) Prepare(next *table.Table) { panic("not built") }

// Release gives up the upstreams of prev once its last call is done; those that no other table uses are closed then.
func (p *Pool) Release(prev *table.Table) { panic("not built") }

// Upstream returns the upstream of a server of a table that was prepared. It takes no lock.
func (p *Pool) Upstream(s *table.Server) *Upstream { panic("not built") }

// EndSession closes the upstream sessions that belonged to an agent's MCP session.
func (p *Pool) EndSession(session string) { panic("not built") }

// Close closes everything and waits for it.
func (p *Pool) Close() error { panic("not built") }

// Call performs a call on the session that the server's mode gives to the caller, opening it if need be.
func (u *Upstream) Call(ctx context.Context, c *mcp.Call) (*mcp.Reply, error) { panic("not built") }

// Tools returns the catalogue, read at most once for all that ask at the same time and kept until it changes.
func (u *Upstream) Tools(ctx context.Context) (*Catalogue, error) { panic("not built") }

// Status says how the upstream is doing.
func (u *Upstream) Status() Status { panic("not built") }
