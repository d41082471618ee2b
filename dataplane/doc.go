// Package dataplane is one gateway of the data plane: it follows the control plane, and agents call upstreams through it.
// This package only wires the parts together; the path of a call runs through them like this:
//
//	POST /mcp → front        origin, host, key, size, era; bytes → gateway.Call, arguments kept raw
//	  → gateway.CallTool     pins the live table: one call sees one revision
//	      auth.Identify      key → principal
//	      policy             agent, server, tool → decision and its rule
//	      table.Server       only now: not found
//	      upstream.Call      HTTP or stdio, era known, timeout cancels
//	      record             one audit line, the metrics
//	  ← front                result bytes as they came, between a head and a tail
//
// and that of a snapshot like this:
//
//	control plane → follow   table.Build → upstream.Prepare → disk → table.Live.Swap → upstream.Release → ack
//
// At the end the same parts leave in the opposite order: no new calls, calls under way finish, upstreams close, the audit
// log is flushed.
//
// It refuses to listen anywhere but on loopback, and to believe callers without a key unless it is told to.
package dataplane
