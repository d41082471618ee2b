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
	// metaLogLevel asks for log messages of at least that level during the request; optional.
	metaLogLevel = MetaPrefix + "logLevel"
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
// without braces, come before what AppendForwardMeta keeps of an _meta that is there. Every other member stays as it is.
func AppendWithMeta(dst, params, own []byte) ([]byte, error) {
	return appendParams(dst, params, func(dst, meta []byte) ([]byte, error) {
		dst = append(append(dst, `"_meta":{`...), own...)
		return appendMembers(dst, meta, own, func(name []byte) bool { return !crosses(name) })
	})
}

// AppendJoinedMeta is AppendWithMeta for params that AppendPassedParams made: of an _meta that is there, only what our own
// part says instead is left out.
func AppendJoinedMeta(dst, params, own []byte) ([]byte, error) {
	return appendParams(dst, params, func(dst, meta []byte) ([]byte, error) {
		dst = append(append(dst, `"_meta":{`...), own...)
		return appendMembers(dst, meta, own, ownMeta)
	})
}

// PassedMeta is what the gateway puts into the _meta of a request to an upstream that is served as itself, raw.
type PassedMeta struct {
	// ProgressToken stands in for a token of the agent's; where the agent gave none, it is not used.
	ProgressToken []byte
	// LogLevel is what the agent said once for its session; nil is nothing. What the request says itself counts more.
	LogLevel []byte
}

// AppendPassedParams appends params, a checked object, as they go on to an upstream that is served as itself: its _meta
// lacks what each hop says for itself, and has ours. It returns the progress token of the agent's, a part of params, or
// nil where there is none.
func AppendPassedParams(dst, params []byte, own PassedMeta) (out, token []byte, err error) {
	out, err = appendParams(dst, params, func(dst, meta []byte) ([]byte, error) {
		var v [2][]byte
		if _, err := Pick(meta, []string{"progressToken", metaLogLevel}, v[:]); err != nil {
			return dst, err
		}
		token = v[0]
		before := len(dst)
		dst = append(dst, `"_meta":{`...)
		start := len(dst)
		if own.LogLevel != nil && v[1] == nil {
			dst = append(append(dst, `"`+metaLogLevel+`":`...), own.LogLevel...)
		}
		if token != nil {
			dst = append(separate(dst, start), `"progressToken":`...)
			dst = append(dst, own.ProgressToken...)
		}
		dst, err := appendMembers(dst, meta, dst[start:], func(name []byte) bool {
			return ownMeta(name) || string(unescape(name)) == "progressToken"
		})
		if len(dst) == start+1 || err != nil { // nothing of it passes but the brace
			return dst[:before], err
		}
		return dst, nil
	})
	return out, token, err
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

// appendMembers appends the members of an _meta object that are not left out, and the brace that ends it; before is what
// stands in it already.
func appendMembers(dst, meta, before []byte, leaveOut func(name []byte) bool) ([]byte, error) {
	start := len(dst) - len(before)
	err := Members(meta, func(name, value []byte) error {
		if !leaveOut(name) {
			dst = append(append(append(separate(dst, start), name...), ':'), value...)
		}
		return nil
	})
	return append(dst, '}'), err
}

// separate appends a comma, unless an object's first member is yet to come; start is where that would stand.
func separate(dst []byte, start int) []byte {
	if len(dst) > start {
		dst = append(dst, ',')
	}
	return dst
}
