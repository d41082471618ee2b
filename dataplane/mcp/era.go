package mcp

// Era is one of the two generations of MCP, which differ in handshake, sessions and headers.
type Era uint8

const (
	// Legacy is MCP 2025-11-25 and older: initialize, sessions, server requests.
	Legacy Era = iota
	// Modern is MCP 2026-07-28: no handshake, no sessions, everything in each request.
	Modern
)

// String returns "legacy" or "modern".
func (e Era) String() string {
	if e == Modern {
		return "modern"
	}
	return "legacy"
}

// ModernVersion is the protocol version of the modern era.
const ModernVersion = "2026-07-28"

// LegacyVersions are the protocol versions of the legacy era that the gateway speaks, newest first.
var LegacyVersions = []string{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}
