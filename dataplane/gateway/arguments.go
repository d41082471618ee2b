package gateway

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// The names of the arguments of the gateway's own tools.
var (
	listServersArguments    = []string{"agent_id", "include_metadata"}
	getServerToolsArguments = []string{"agent_id", "server", "names", "pattern", "max_schema_tokens"}
	executeToolArguments    = []string{"agent_id", "server", "tool", "args", "timeout_ms"}
	gatewayStatusArguments  = []string{"agent_id"}
)

// pick finds the arguments of one of the gateway's own tools; those that are null count as left out. An argument that the
// tool does not have is refused: a misspelt one would otherwise be ignored.
func (f *flight) pick(names []string) (values [][]byte, err error) {
	values = f.picked[:len(names)] // in the flight, which is on the heap anyhow
	if f.call.Args == nil || string(f.call.Args) == "null" {
		return values, nil
	}
	other, err := mcp.Pick(f.call.Args, names, values)
	switch {
	case err != nil:
		return nil, refuseArgument("arguments: %v", err)
	case other != nil:
		return nil, refuseArgument("unknown argument %.64q; there are %s", other, strings.Join(names, ", "))
	}
	// Models often write null for what they mean to leave out.
	for i, value := range values {
		if string(value) == "null" {
			values[i] = nil
		}
	}
	return values, nil
}

// text reads a string that may be left out. It is not trimmed: white space is part of a name.
func text(name string, raw []byte) (string, error) {
	if raw == nil {
		return "", nil
	}
	s, ok := mcp.Unquote(raw)
	if !ok {
		return "", refuseArgument("%s must be a string", name)
	}
	return s, nil
}

// required reads a string that must be there; it may be empty.
func required(name string, raw []byte) (string, error) {
	if raw == nil {
		return "", refuseArgument("%s is missing", name)
	}
	return text(name, raw)
}

// flag reads a boolean that is false where it is left out.
func flag(name string, raw []byte) (bool, error) {
	switch string(raw) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, refuseArgument("%s must be true or false", name)
}

// whole reads a whole number, written in any way that JSON allows; one that is too large for an int64 becomes the
// largest.
func whole(name string, raw []byte) (int64, error) {
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, nil
	}
	// 5e3 and 5000.0 are whole numbers too, and some JSON writers make them of 5000.
	x, err := strconv.ParseFloat(string(raw), 64)
	if x >= math.MaxInt64 {
		return math.MaxInt64, nil
	}
	if err != nil || x != math.Trunc(x) || x < math.MinInt64 {
		return 0, refuseArgument("%s must be a whole number", name)
	}
	return int64(x), nil
}

// timeout reads timeout_ms; zero says that it was left out.
func timeout(raw []byte) (time.Duration, error) {
	if raw == nil {
		return 0, nil
	}
	ms, err := whole("timeout_ms", raw)
	if err != nil {
		return 0, err
	}
	if ms <= 0 {
		return 0, refuseArgument("timeout_ms must be greater than 0")
	}
	// More than a Duration holds is as good as for ever; the server's limit caps it.
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond, nil
}

// object reads an object that is empty where it is left out; its bytes stay as they are. A string that holds an object,
// as some models write it, is refused: guessing would change what the upstream gets.
func object(name string, raw []byte) ([]byte, error) {
	if raw == nil {
		return []byte("{}"), nil
	}
	if raw[0] != '{' {
		return nil, refuseArgument("%s must be an object", name)
	}
	return raw, nil
}

// list reads names: one string with commas between them, or an array of strings. White space around a name does not
// count, and neither do empty names. Nil says that there are none.
func list(name string, raw []byte) (map[string]bool, error) {
	if raw == nil {
		return nil, nil
	}
	var all map[string]bool
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" {
			if all == nil {
				all = map[string]bool{}
			}
			all[s] = true
		}
	}
	if s, ok := mcp.Unquote(raw); ok { // the form that every client can write
		for part := range strings.SplitSeq(s, ",") {
			add(part)
		}
		return all, nil
	}
	err := refuseArgument("%s must be a string or an array of strings", name)
	if !bytes.HasPrefix(raw, []byte("[")) {
		return nil, err
	}
	return all, mcp.Elements(raw, func(value []byte) error {
		s, ok := mcp.Unquote(value)
		if !ok {
			return err
		}
		add(s)
		return nil
	})
}
