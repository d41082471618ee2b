package record

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// timeFormat is RFC 3339 with a fixed number of digits, so that lines sort by their text.
	timeFormat = "2006-01-02T15:04:05.000000Z07:00"
	// maxString bounds a string of the agent's in a line, in bytes.
	maxString = 256
	// maxMembers bounds the arguments whose names and types a line holds.
	maxMembers = 32
)

// encode appends e as one line. Every line has every field, in the order of the contract, so that lines can be read by
// eye and by tools that know no optional fields.
func (l *Log) encode(dst []byte, e *Entry) []byte {
	dst = e.Time.UTC().AppendFormat(append(dst, `{"time":"`...), timeFormat)
	dst = append(append(dst, `","id":"`...), l.prefix...)
	dst = strconv.AppendUint(dst, l.serial.Add(1), 10)
	dst = appendText(append(dst, `","proxy":`...), l.config.Proxy)
	dst = strconv.AppendInt(append(dst, `,"revision":`...), e.Revision, 10)
	dst = appendText(append(dst, `,"principal":`...), e.Principal)
	dst = appendText(append(dst, `,"agentAsked":`...), e.AgentAsked)
	dst = appendText(append(dst, `,"agent":`...), e.Agent)
	dst = appendText(append(dst, `,"method":`...), e.Method)
	dst = appendText(append(dst, `,"server":`...), e.Server)
	dst = appendText(append(dst, `,"tool":`...), e.Tool)
	dst = appendArgs(dst, e.Args)
	dst = appendText(append(dst, `,"decision":`...), decision(e.Allow))
	dst = appendText(append(dst, `,"rule":`...), e.Rule)
	dst = appendText(append(dst, `,"outcome":`...), string(e.Outcome))
	dst = strconv.AppendInt(append(dst, `,"bytesIn":`...), int64(e.BytesIn), 10)
	dst = strconv.AppendInt(append(dst, `,"bytesOut":`...), int64(e.BytesOut), 10)
	ms := float64(e.Took) / float64(time.Millisecond)
	dst = strconv.AppendFloat(append(dst, `,"ms":`...), ms, 'f', 3, 64)
	return append(dst, '}', '\n')
}

// decision is the word for it in a line.
func decision(allow bool) string {
	if allow {
		return "allow"
	}
	return "deny"
}

// appendText appends s as a JSON string, cut at a character's beginning where it is too long.
func appendText(dst []byte, s string) []byte {
	if len(s) > maxString {
		end := maxString
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + "…"
	}
	return mcp.AppendString(dst, s)
}

// appendArgs appends what is kept of arguments. No arguments have no digest.
func appendArgs(dst, args []byte) []byte {
	// The digest tells whether two calls had equal arguments. It is of the bytes as they stand, so 1 and 1.0 differ.
	dst = appendShape(append(dst, `,"argsShape":`...), args)
	dst = append(dst, `,"argsSha256":"`...)
	if len(args) > 0 {
		sum := sha256.Sum256(args)
		dst = hex.AppendEncode(dst, sum[:])
	}
	return append(dst, '"')
}

// appendShape appends an object that gives the JSON type of each argument. It does not look inside them: the names there
// may be values. Arguments past the bound are counted in a member named "…".
func appendShape(dst, args []byte) []byte {
	dst = append(dst, '{')
	n := 0 // of all, also of those that are only counted
	for name, value := range members(args) {
		if n++; n > maxMembers {
			continue
		}
		if n > 1 {
			dst = append(dst, ',')
		}
		dst = appendName(dst, name)
		dst = append(append(dst, ':', '"'), kind(value)...)
		dst = append(dst, '"')
	}
	if n > maxMembers {
		dst = strconv.AppendInt(append(dst, `,"…":`...), int64(n-maxMembers), 10)
	}
	return append(dst, '}')
}

// members iterates over the members of an object that has been checked; over anything else, not at all.
func members(object []byte) func(yield func(name, value []byte) bool) {
	return func(yield func(name, value []byte) bool) {
		_ = mcp.Members(object, func(name, value []byte) error { // an argument that is no object has no members
			yield(name, value)
			return nil
		})
	}
}

// appendName appends a member's name, given with its quotes.
func appendName(dst, name []byte) []byte {
	if len(name) <= maxString {
		return append(dst, name...)
	}
	s, _ := mcp.Unquote(name)
	return appendText(dst, s)
}

// kind names the JSON type of a raw value.
func kind(value []byte) string {
	if len(value) == 0 {
		return "null"
	}
	switch value[0] { // the value has been checked, so its first byte says all
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	return "number"
}
