package mcp

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// AppendRequest appends a JSON-RPC request under an id of the gateway's own; params is a raw object, nil for none. Like all
// builders here it copies raw parts as they are, so they MUST have been checked.
func AppendRequest(dst []byte, id int64, method string, params []byte) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	dst = strconv.AppendInt(dst, id, 10)
	return appendMethod(append(dst, ','), method, params)
}

// AppendRequestAs is AppendRequest with an id that is raw JSON, and appears as it stands.
func AppendRequestAs(dst, id []byte, method string, params []byte) []byte {
	dst = append(append(dst, `{"jsonrpc":"2.0","id":`...), id...)
	return appendMethod(append(dst, ','), method, params)
}

// AppendNotification appends a JSON-RPC notification, which nobody answers; params is a raw object, nil for none.
func AppendNotification(dst []byte, method string, params []byte) []byte {
	return appendMethod(append(dst, `{"jsonrpc":"2.0",`...), method, params)
}

func appendMethod(dst []byte, method string, params []byte) []byte {
	dst = AppendString(append(dst, `"method":`...), method)
	if params != nil {
		dst = append(append(dst, `,"params":`...), params...)
	}
	return append(dst, '}')
}

// AppendResponseHead appends all of a response that stands before its result, so that a big result can be written after
// it without being copied; ResponseTail ends the message. The id is given as raw JSON and appears as it stands.
func AppendResponseHead(dst, id []byte) []byte {
	dst = append(append(dst, `{"jsonrpc":"2.0","id":`...), id...)
	return append(dst, `,"result":`...)
}

// ResponseTail is what stands after the result of a response that AppendResponseHead began.
const ResponseTail = "}"

// AppendResponse appends a whole response with a raw id and a raw result, both as they stand. It is for small results.
func AppendResponse(dst, id, result []byte) []byte {
	return append(append(AppendResponseHead(dst, id), result...), ResponseTail...)
}

// AppendError appends an error response. A nil id becomes null, which says that the request's id could not be told.
func AppendError(dst, id []byte, e *Error) []byte {
	if id == nil {
		id = []byte("null")
	}
	dst = append(append(dst, `{"jsonrpc":"2.0","id":`...), id...)
	dst = strconv.AppendInt(append(dst, `,"error":{"code":`...), e.Code, 10)
	dst = AppendString(append(dst, `,"message":`...), e.Message)
	if e.Data != nil {
		dst = append(append(dst, `,"data":`...), e.Data...)
	}
	return append(dst, '}', '}')
}

// ParseError decodes a JSON-RPC error object, of which nothing is kept by reference; its data is copied as it stands. It
// refuses one whose code is not an integer.
func ParseError(raw []byte) (*Error, error) {
	e := new(Error)
	if err := json.Unmarshal(raw, e); err != nil {
		return nil, fmt.Errorf("decoding JSON-RPC error object: %w", err)
	}
	return e, nil
}

// AppendMember appends object, a checked JSON object, with one more member at its end: name must need no escapes, value
// is raw. It does not look whether there is one of that name; Pick does.
func AppendMember(dst, object []byte, name string, value []byte) []byte {
	dst = append(dst, object[:lastBrace(object)]...)
	if !emptyObject(object) {
		dst = append(dst, ',')
	}
	dst = append(append(dst, '"'), name...)
	dst = append(dst, '"', ':')
	return append(append(dst, value...), '}')
}

// ExtendMember is AppendMember in place, into the memory behind object as far as that goes; more than that is copied. Object
// itself MUST NOT be used afterwards.
func ExtendMember(object []byte, name string, value []byte) []byte {
	empty := emptyObject(object)
	dst := object[:lastBrace(object)]
	if !empty {
		dst = append(dst, ',')
	}
	dst = append(append(dst, '"'), name...)
	dst = append(dst, '"', ':')
	return append(append(dst, value...), '}')
}

// lastBrace returns where the closing brace of a checked object stands; white space may follow it.
func lastBrace(object []byte) int {
	i := len(object) - 1
	for i > 0 && object[i] != '}' {
		i--
	}
	return max(i, 0)
}

func emptyObject(object []byte) bool {
	i := skipSpace(object, 0) + 1
	i = skipSpace(object, i)
	return i >= len(object) || object[i] == '}'
}

// AppendString appends s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s { // an invalid byte reads as utf8.RuneError
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, '\\', 'n')
		case r < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
