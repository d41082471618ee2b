package gateway

import "github.com/gatehouse-mcp/gatehouse/dataplane/mcp"

// capabilityOf is the client capability that a request of a server's needs; empty for one that asks no agent anything.
func capabilityOf(method string) string {
	switch method {
	case "elicitation/create":
		return "elicitation"
	case "sampling/createMessage":
		return "sampling"
	case "roots/list":
		return "roots"
	}
	return ""
}

// profileOf returns what a legacy session is opened with for a modern agent: of what it declared, that which can be put to
// it as a question, always written the same way; nil where that is nothing. Roots come without listChanged, since a modern
// agent has no way to tell of changes.
func profileOf(c *mcp.Client) []byte {
	if c == nil || c.Capabilities == nil {
		return nil
	}
	var v [3][]byte
	if _, err := mcp.Pick(c.Capabilities, []string{"elicitation", "roots", "sampling"}, v[:]); err != nil {
		return nil
	}
	dst := []byte{'{'}
	dst = appendCapability(dst, "elicitation", v[0], "form", "url")
	if len(v[1]) > 0 && v[1][0] == '{' {
		dst = appendCapability(dst, "roots", []byte("{}"))
	}
	dst = appendCapability(dst, "sampling", v[2], "context", "tools")
	if len(dst) == 1 {
		return nil
	}
	return append(dst, '}')
}

// appendCapability appends a capability with those of its parts that are known, if it is declared at all.
func appendCapability(dst []byte, name string, raw []byte, parts ...string) []byte {
	if len(raw) == 0 || raw[0] != '{' {
		return dst
	}
	if len(dst) > 1 {
		dst = append(dst, ',')
	}
	dst = append(mcp.AppendString(dst, name), ':', '{')
	have := make([][]byte, len(parts))
	if _, err := mcp.Pick(raw, parts, have); err == nil {
		start := len(dst)
		for i, part := range parts {
			if have[i] == nil {
				continue
			}
			if len(dst) > start {
				dst = append(dst, ',')
			}
			dst = append(mcp.AppendString(dst, part), ':', '{', '}')
		}
	}
	return append(dst, '}')
}

// offers says whether a profile covers a request of a server's. An elicitation by URL needs an agent that knows those.
func offers(profile []byte, method string, params []byte) bool {
	name := capabilityOf(method)
	var v [1][]byte
	if name == "" {
		return false
	}
	if _, err := mcp.Pick(profile, []string{name}, v[:]); err != nil || v[0] == nil {
		return false
	}
	if name != "elicitation" || !isURLMode(params) {
		return true
	}
	var parts [1][]byte
	_, err := mcp.Pick(v[0], []string{"url"}, parts[:])
	return err == nil && parts[0] != nil
}

// isURLMode says whether an elicitation sends its user to a URL rather than show a form.
func isURLMode(params []byte) bool {
	var v [1][]byte
	if params == nil {
		return false
	}
	_, err := mcp.Pick(params, []string{"mode"}, v[:])
	return err == nil && string(v[0]) == `"url"`
}
