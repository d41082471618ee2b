package mcp

import (
	"bytes"
	"fmt"
)

// The members of _meta that the modern era reads (MCP 2026-07-28, basic/index).
const (
	// MetaPrefix begins the names that the specification keeps for itself; they hold for one hop and never cross it.
	MetaPrefix = "io.modelcontextprotocol/"
	// MetaVersion is the protocol version of the request; required.
	MetaVersion = MetaPrefix + "protocolVersion"
	// MetaCapabilities are the client's capabilities for this request; required, an empty object says none.
	MetaCapabilities = MetaPrefix + "clientCapabilities"
	// MetaClientInfo is how the client names itself; optional.
	MetaClientInfo = MetaPrefix + "clientInfo"
)

// AppendForwardMeta appends the members of an agent's checked _meta object that may go on to an upstream, as an object:
// all but progressToken, which is ours to give, and those of MetaPrefix, which hold for one hop. It appends nothing where
// none are left.
func AppendForwardMeta(dst, meta []byte) ([]byte, error) {
	before := len(dst)
	err := Members(meta, func(name, value []byte) error {
		if !crosses(name) {
			return nil
		}
		sep := byte(',')
		if len(dst) == before {
			sep = '{'
		}
		dst = append(append(append(dst, sep), name...), ':')
		dst = append(dst, value...)
		return nil
	})
	if err != nil {
		return dst[:before], fmt.Errorf("reading _meta: %w", err)
	}
	if len(dst) == before {
		return dst, nil
	}
	return append(dst, '}'), nil
}

// crosses says whether a member of _meta, named with its quotes, may cross to the next hop. Reserved names that we do not
// know are among those that may not: what they mean is between two neighbours.
func crosses(name []byte) bool {
	plain := unescape(name)
	return string(plain) != "progressToken" && !bytes.HasPrefix(plain, []byte(MetaPrefix))
}

// AppendWithMeta appends params, a checked object or nil, with the given members in its _meta: those of our own, raw and
// without braces, come before what AppendForwardMeta keeps of an _meta that is there. Every other member stays as it is.
func AppendWithMeta(dst, params, own []byte) ([]byte, error) {
	before := len(dst)
	dst = append(dst, '{')
	meta := []byte("{}")
	if params != nil {
		err := Members(params, func(name, value []byte) error {
			if string(unescape(name)) == "_meta" {
				meta = value
				return nil
			}
			dst = append(append(append(dst, name...), ':'), value...)
			dst = append(dst, ',')
			return nil
		})
		if err != nil {
			return dst[:before], fmt.Errorf("adding _meta to params: %w", err)
		}
	}
	dst = append(append(dst, `"_meta":{`...), own...)
	end := len(dst)
	dst, err := AppendForwardMeta(dst, meta)
	if err != nil {
		return dst[:before], err
	}
	if len(dst) == end {
		return append(dst, '}', '}'), nil
	}
	dst[end] = ',' // in place of the brace that began the kept members
	return append(dst, '}'), nil
}
