// Package mcp is the wire of MCP without any I/O: it scans JSON-RPC messages in place, builds them from raw parts, and
// knows both eras, the headers and the codes. Bytes that the gateway only passes on are never decoded here, so number
// text, key order and unknown members of a tool's result survive.
//
// It refuses what two readers could understand differently: duplicate keys, keys that differ from a known one only in
// case, invalid UTF-8, batches, trailing data, null ids, and nesting deeper than MaxDepth. It does not check what is
// inside arguments and results beyond their being valid JSON: that is for the two ends.
package mcp
