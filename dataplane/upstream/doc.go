// Package upstream speaks MCP to servers: it opens, keeps, restarts and drains the connections to them, over stdio,
// Streamable HTTP and the older HTTP+SSE, in both eras.
//
// A Pool holds an Upstream for each distinct definition that a table in service names. An Upstream hands each call to the
// session that the server's mode gives to the caller; a session owns at most one connection, which it dials when it is
// first needed and again when it was lost:
//
//	Pool ── Upstream ── session ── conn (stdio, http, sse)
//	            └── catalogue
//
// A call's params and a reply's result are bytes that pass through: they are never decoded, and a result is read once.
// The package refuses answers whose id is not the request's, messages over the size limit, redirects to another origin,
// and definitions with a reference that it cannot resolve; each of these harms the one server and nothing else. It never
// starts a shell, never passes its own environment on, and leaves no process behind.
package upstream
