package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// firstURLVersion is the first protocol version that sends users to URLs, and in which a form says that it is one.
	firstURLVersion = "2025-11-25"
	// maxSheds bounds how often a server may put a call off, and shedPause is how long is waited before the first time it is
	// made again.
	maxSheds  = 3
	shedPause = 200 * time.Millisecond
)

// putOff waits before a call is made again that the server did not want to take now; n counts from 1.
func (f *flight) putOff(ctx context.Context, n int) error {
	if n > maxSheds {
		return refuse(mcp.UpstreamError, fmt.Sprintf("server %q put the call off %d times; try later", f.direct.Server, n-1))
	}
	timer := time.NewTimer(shedPause << (n - 1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// toLegacy returns the params of a modern server's question as a legacy client of a version knows them, or the answer where
// the client cannot know such a question. The error is why the call cannot go on.
func (f *flight) toLegacy(client *mcp.Client, method string, params []byte) (_ []byte, answer *mcp.Reply, err error) {
	switch {
	case method == "elicitation/create" && isURLMode(params):
		return f.toLegacyURL(client, params)
	case method == "elicitation/create" && client.Version < firstURLVersion:
		params, ok := olderForm(withoutMembers(params, "mode"))
		if !ok {
			return nil, &mcp.Reply{Result: []byte(`{"action":"decline"}`)}, nil
		}
		return params, nil, nil
	case method == "sampling/createMessage" && !hasPart(client.Capabilities, "sampling", "tools"):
		return withoutMembers(params, "tools", "toolChoice"), nil, nil
	}
	return params, nil, nil
}

// toLegacyURL gives the id to a question that sends its user to a URL which the legacy era wants. A client that knows no
// such questions cannot answer it, so its user is told where to go.
func (f *flight) toLegacyURL(client *mcp.Client, params []byte) ([]byte, *mcp.Reply, error) {
	if client.Version >= firstURLVersion && hasPart(client.Capabilities, "elicitation", "url") {
		return mcp.AppendMember(nil, withoutMembers(params, "elicitationId"), "elicitationId", mcp.AppendString(nil, rand.Text())), nil, nil
	}
	var v [2][]byte
	if _, err := mcp.Pick(params, []string{"message", "url"}, v[:]); err != nil {
		return nil, nil, f.unreadable("asked", err)
	}
	message, _ := mcp.Unquote(v[0])
	url, _ := mcp.Unquote(v[1])
	return nil, nil, refuse(mcp.UpstreamError, fmt.Sprintf(
		"server %q asks its user to open a URL first, which this client cannot show: %q: %q; open it and call again", f.direct.Server, message, url))
}

// hasPart says whether a capability was declared with a part of it.
func hasPart(capabilities []byte, path ...string) bool {
	if capabilities == nil {
		return false
	}
	from, _, err := mcp.Locate(capabilities, path...)
	return err == nil && from > 0
}

// olderForm writes a form as clients knew it before 2025-11-25: choices are enum with enumNames, and there are no lists, for
// which it returns false. What else is new in a schema is left to the client, which may decline.
func olderForm(params []byte) ([]byte, bool) {
	from, to, err := mcp.Locate(params, "requestedSchema", "properties")
	if err != nil || from == 0 || params[from] != '{' {
		return params, true
	}
	dst, ok := []byte{'{'}, true
	err = mcp.Members(params[from:to], func(name, property []byte) error {
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, name...), ':')
		var fits bool
		property, fits = olderProperty(property)
		ok = ok && fits
		dst = append(dst, property...)
		return nil
	})
	if err != nil {
		return params, true
	}
	return mcp.AppendSpliced(nil, params, from, to, append(dst, '}')), ok
}

// olderProperty is olderForm for one field.
func olderProperty(property []byte) ([]byte, bool) {
	var v [2][]byte
	if property[0] != '{' {
		return property, true
	}
	if _, err := mcp.Pick(property, []string{"type", "oneOf"}, v[:]); err != nil || string(v[0]) == `"array"` {
		return property, err != nil
	}
	if v[1] == nil {
		return property, true
	}
	values, names := []byte{'['}, []byte{'['}
	err := mcp.Elements(v[1], func(choice []byte) error {
		var w [2][]byte
		if _, err := mcp.Pick(choice, []string{"const", "title"}, w[:]); err != nil || w[0] == nil {
			return fmt.Errorf("reading choice %.32q: %w", choice, mcp.ErrInvalidResponse)
		}
		if len(values) > 1 {
			values, names = append(values, ','), append(names, ',')
		}
		if w[1] == nil {
			w[1] = w[0]
		}
		values, names = append(values, w[0]...), append(names, w[1]...)
		return nil
	})
	if err != nil {
		return property, true
	}
	older := mcp.AppendMember(nil, withoutMembers(property, "oneOf"), "enum", append(values, ']'))
	return mcp.AppendMember(nil, older, "enumNames", append(names, ']')), true
}

// asksNothing says whether a question has no requests in it: the server wants the call to be made again later.
func asksNothing(requests []byte) bool {
	nothing := true
	if requests != nil {
		_ = mcp.Members(requests, func(_, _ []byte) error { nothing = false; return nil }) // no object has no requests either
	}
	return nothing
}
