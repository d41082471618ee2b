package mcp

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// The headers of Streamable HTTP (MCP 2026-07-28, basic/transports/streamable-http), in canonical form.
const (
	HeaderVersion = "Mcp-Protocol-Version"
	HeaderMethod  = "Mcp-Method"
	HeaderName    = "Mcp-Name"
	HeaderSession = "Mcp-Session-Id"
	// HeaderParam begins the names of headers that mirror parameters of a tool.
	HeaderParam = "Mcp-Param-"
)

const (
	sentinelHead = "=?base64?"
	sentinelTail = "?="
)

// EncodeHeader returns the header form of a value: the value itself where it is visible ASCII with inner spaces only,
// else the base64 sentinel =?base64?…?= around it. A value that looks like the sentinel is wrapped as well.
func EncodeHeader(value string) string {
	if plainHeader(value) {
		return value
	}
	return sentinelHead + base64.StdEncoding.EncodeToString([]byte(value)) + sentinelTail
}

// DecodeHeader is the inverse of EncodeHeader; white space around a header's value does not count (RFC 9110 §5.5). It
// refuses a sentinel whose content is not base64.
func DecodeHeader(value string) (string, error) {
	value = strings.Trim(value, " \t")
	if !sentinel(value) {
		return value, nil
	}
	plain, err := base64.StdEncoding.DecodeString(value[len(sentinelHead) : len(value)-len(sentinelTail)])
	if err != nil {
		return "", fmt.Errorf("decoding header value: %w", err)
	}
	return string(plain), nil
}

// plainHeader says whether a value can stand in a header as it is and be read back as it was.
func plainHeader(value string) bool {
	if strings.Trim(value, " ") != value || sentinel(value) {
		return false
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}

// sentinel says whether a value is wrapped in base64. The form is matched with its case, as the specification writes it.
func sentinel(value string) bool {
	return len(value) >= len(sentinelHead)+len(sentinelTail) &&
		strings.HasPrefix(value, sentinelHead) && strings.HasSuffix(value, sentinelTail)
}
