package gateway

import (
	"bytes"
	"context"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// notFound is what the legacy era said of a resource that is not there.
const notFound = -32002

// isModern says whether a code has a meaning in the modern era alone.
func isModern(code int64) bool {
	return code <= mcp.CodeHeaderMismatch && code >= mcp.CodeUnsupportedVersion
}

// toEra returns an upstream's error with a code that the agent's era knows; the words stay the server's.
func (f *flight) toEra(e *mcp.Error) *mcp.Error {
	code := e.Code
	modern := f.call.Era == mcp.Modern
	switch {
	case modern && code == notFound:
		code = mcp.CodeInvalidParams
	case modern && code == 0 && !slices.Contains(Methods(), f.call.Name): // of servers made with one SDK, before it knew better
		code = mcp.CodeMethodNotFound
	case modern && code == 0:
		code = mcp.CodeInternalError
	case modern && code == mcp.CodeMissingCapability && f.declaredAll(e.Data): // what was declared was not passed on
		code = mcp.CodeInternalError
	case !modern && isModern(code) && f.call.Name != methodToolsCall:
		code = mcp.CodeInternalError
	}
	if code == e.Code {
		return e
	}
	return &mcp.Error{Code: code, Message: e.Message, Data: e.Data}
}

// declaredAll says whether a modern agent declared all that the data of an error says is required.
func (f *flight) declaredAll(data []byte) bool {
	var v [1][]byte
	if data == nil || f.direct.Client == nil || f.direct.Client.Capabilities == nil {
		return false
	}
	if _, err := mcp.Pick(data, []string{"requiredCapabilities"}, v[:]); err != nil || len(v[0]) == 0 || v[0][0] != '{' {
		return false
	}
	all := true
	err := mcp.Members(v[0], func(name, _ []byte) error {
		plain, _ := mcp.Unquote(name)
		var have [1][]byte
		if _, err := mcp.Pick(f.direct.Client.Capabilities, []string{plain}, have[:]); err != nil || have[0] == nil {
			all = false
		}
		return nil
	})
	return err == nil && all
}

// older is the answer of a server to a legacy agent without what that era has no place for: only modern servers say such
// things, so others are not asked what they are.
func (f *flight) older(ctx context.Context, u Upstream, c *mcp.Call, reply *mcp.Reply) *mcp.Reply {
	change := f.olderChange(reply)
	if change == nil {
		return reply
	}
	if h, err := u.Hello(ctx, c); err != nil || h.Era == mcp.Legacy {
		return reply
	}
	return change(reply)
}

// olderChange returns what has to change about an answer for a legacy agent; nil for almost all.
func (f *flight) olderChange(reply *mcp.Reply) func(*mcp.Reply) *mcp.Reply {
	switch f.call.Name {
	case methodResourceRead:
		if reply.Error != nil && reply.Error.Code == mcp.CodeInvalidParams && f.isAbout(reply.Error.Data) {
			return resourceNotFound
		}
	case methodToolsCall:
		if reply.Facts.Plain() {
			return nil
		}
		if from, to, err := mcp.Locate(reply.Result, "structuredContent"); reply.Error == nil && err == nil && from > 0 && reply.Result[from] != '{' {
			return func(r *mcp.Reply) *mcp.Reply { return unstructured(r, r.Result[from:to]) }
		}
	case methodToolsList:
		if reply.Error == nil && bytes.Contains(reply.Result, []byte(`"outputSchema"`)) {
			return plainOutputs
		}
	}
	return nil
}

// isAbout says whether the data of an error names the resource that was asked for.
func (f *flight) isAbout(data []byte) bool {
	var v [1][]byte
	if len(data) == 0 || data[0] != '{' {
		return false
	}
	_, err := mcp.Pick(data, []string{"uri"}, v[:])
	uri, _ := mcp.Unquote(v[0])
	return err == nil && uri != "" && uri == f.direct.Subject
}

// resourceNotFound is the error with the code that the legacy era has for it.
func resourceNotFound(r *mcp.Reply) *mcp.Reply {
	return &mcp.Reply{Error: &mcp.Error{Code: notFound, Message: r.Error.Message, Data: r.Error.Data}}
}

// unstructured leaves structured content out that is no object, which the legacy era does not know. It becomes text where
// there is no other content.
func unstructured(r *mcp.Reply, content []byte) *mcp.Reply {
	defer r.Close()
	var v [1][]byte
	_, err := mcp.Pick(r.Result, []string{"content"}, v[:])
	result := withoutMembers(r.Result, "structuredContent")
	empty := true
	if v[0] != nil {
		err = mcp.Elements(v[0], func([]byte) error { empty = false; return nil })
	}
	if err == nil && empty {
		text := append(appendEscaped([]byte(`[{"type":"text","text":"`), content), `"}]`...)
		result = mcp.AppendMember(nil, withoutMembers(result, "content"), "content", text)
	}
	return &mcp.Reply{Result: result}
}

// plainOutputs leaves the output schemas out of a page of tools that promise no object.
func plainOutputs(r *mcp.Reply) *mcp.Reply {
	from, to, err := mcp.Locate(r.Result, "tools")
	if err != nil || from == 0 {
		return r
	}
	tools := []byte{'['}
	err = mcp.Elements(r.Result[from:to], func(tool []byte) error {
		if len(tools) > 1 {
			tools = append(tools, ',')
		}
		if promisesOther(tool) {
			tool = withoutMembers(tool, "outputSchema")
		}
		tools = append(tools, tool...)
		return nil
	})
	if err != nil {
		return r
	}
	return splice(r, from, to, append(tools, ']'))
}

// promisesOther says whether a tool has an output schema whose root is no object.
func promisesOther(tool []byte) bool {
	if len(tool) == 0 || tool[0] != '{' {
		return false
	}
	from, to, err := mcp.Locate(tool, "outputSchema")
	if err != nil || from == 0 {
		return false
	}
	schema := tool[from:to]
	if schema[0] != '{' {
		return true
	}
	from, to, err = mcp.Locate(schema, "type")
	return err != nil || from == 0 || string(schema[from:to]) != `"object"`
}
