package gateway

import (
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// Call is one tools/call of a tool of the gateway's own, as the front took it off the wire. Its slices are the agent's
// bytes; they MUST NOT be changed until CallTool returns, and the gateway keeps none of them afterwards.
type Call struct {
	// Principal is who calls, as the front found it.
	Principal *table.Principal
	// Authorization is the header that proves the principal. It is looked up again in the table that the call pins,
	// since a revision may have revoked the key meanwhile. Empty means that the principal needs no proof: a pipe, or
	// --auth none.
	Authorization string
	// Session is the agent's MCP session; empty where there is none.
	Session string
	// Era is the agent's: it decides whether a result needs a resultType.
	Era mcp.Era
	// Name is the tool's name, unescaped.
	Name string
	// Args is the raw arguments object; nil where the agent sent none.
	Args []byte
	// Meta is the raw _meta object of the params; nil where the agent sent none.
	Meta []byte
	// Remote is the agent's address, for the log.
	Remote string
	// BytesIn is the length of the request's body, for the audit record.
	BytesIn int
}
