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

// ownMeta says whether a member of _meta, named with its quotes, is one that each hop of the modern era says for itself.
func ownMeta(name []byte) bool {
	switch string(unescape(name)) {
	case MetaVersion, MetaCapabilities, MetaClientInfo:
		return true
	}
	return false
}

// AppendWithMeta appends params, a checked object or nil, with the given members in its _meta: those of our own, raw and
// without braces, come before those that are there, of which the version, the capabilities and the client's name are
// left out. Every other member stays as it is.
func AppendWithMeta(dst, params, own []byte) ([]byte, error) {
	return appendParams(dst, params, func(dst, meta []byte) ([]byte, error) {
		dst = append(append(dst, `"_meta":{`...), own...)
		dst, err := appendMembers(dst, meta, len(own) > 0, nil)
		return append(dst, '}'), err
	})
}

// AppendPassedParams appends params, a checked object, as they go on to an upstream that is served as itself: its _meta
// lacks what each hop says for itself, and token, raw, stands in for a progressToken that is there. It returns the token
// of the agent's, a part of params, or nil where there is none.
func AppendPassedParams(dst, params, token []byte) (out, replaced []byte, err error) {
	out, err = appendParams(dst, params, func(dst, meta []byte) ([]byte, error) {
		var v [1][]byte
		if _, err := Pick(meta, []string{"progressToken"}, v[:]); err != nil {
			return dst, err
		}
		replaced = v[0]
		before := len(dst)
		dst = append(dst, `"_meta":{`...)
		start := len(dst)
		dst, err := appendMembers(dst, meta, false, token)
		if len(dst) == start || err != nil { // nothing of it passes
			return dst[:before], err
		}
		return append(dst, '}'), nil
	})
	return out, replaced, err
}

// appendParams appends params with an _meta that another function writes, as a whole member; what it leaves out is absent.
func appendParams(dst, params []byte, write func(dst, meta []byte) ([]byte, error)) ([]byte, error) {
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
			return dst[:before], fmt.Errorf("reading params: %w", err)
		}
	}
	end := len(dst)
	dst, err := write(dst, meta)
	if err != nil {
		return dst[:before], fmt.Errorf("reading _meta: %w", err)
	}
	if len(dst) == end && dst[end-1] == ',' {
		dst = dst[:end-1]
	}
	return append(dst, '}'), nil
}

// appendMembers appends the members of an _meta object that a hop does not say for itself; more says that some stand
// there already. A token that is not nil takes the place of progressToken's value.
func appendMembers(dst, meta []byte, more bool, token []byte) ([]byte, error) {
	err := Members(meta, func(name, value []byte) error {
		if ownMeta(name) {
			return nil
		}
		if token != nil && string(unescape(name)) == "progressToken" {
			value = token
		}
		if more {
			dst = append(dst, ',')
		}
		more = true
		dst = append(append(append(dst, name...), ':'), value...)
		return nil
	})
	return dst, err
}
