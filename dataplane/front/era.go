package front

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// headerEra decides the era of an HTTP request, and checks what the modern era wants of its headers: they let others on
// the way decide without reading the body, so they must say what the body says (streamable-http §Server Validation).
// Every error is answered with HTTP 400.
func (x *exchange) headerEra(header http.Header) *mcp.Error {
	version, err := single(header, mcp.HeaderVersion)
	if err != nil {
		return err
	}
	// A version in the body alone, or another one there: whoever routed by the header routed another request.
	if x.params.version != "" && x.params.version != version {
		return mismatch(mcp.HeaderVersion, "params._meta")
	}
	if x.era, err = versionEra(version); err != nil || x.era == mcp.Legacy {
		return err
	}
	if err := x.checkMeta(); err != nil {
		return err
	}
	return x.checkHeaders(header)
}

// bodyEra decides the era of a message on stdio, where there are no headers: each message says it itself.
func (x *exchange) bodyEra() (err *mcp.Error) {
	if x.era, err = versionEra(x.params.version); err != nil || x.era == mcp.Legacy {
		return err
	}
	return x.checkMeta()
}

// versionEra returns the era that a protocol version belongs to. No version at all is legacy: before 2025-06-18 nothing
// named one after initialize, and a plain curl needs none.
func versionEra(version string) (mcp.Era, *mcp.Error) {
	switch {
	case version == mcp.ModernVersion:
		return mcp.Modern, nil
	case version == "" || slices.Contains(mcp.LegacyVersions, version):
		return mcp.Legacy, nil
	}
	return mcp.Legacy, unsupported(version)
}

// unsupported is the answer to a version that is not served; it names those of both eras that are.
func unsupported(version string) *mcp.Error {
	data := []byte(`{"supported":[`)
	for i, v := range supportedVersions() {
		if i > 0 {
			data = append(data, ',')
		}
		data = mcp.AppendString(data, v)
	}
	data = mcp.AppendString(append(data, `],"requested":`...), version)
	data = append(data, '}')
	return &mcp.Error{Code: mcp.CodeUnsupportedVersion, Message: "this protocol version is not served", Data: data}
}

func supportedVersions() []string { return append([]string{mcp.ModernVersion}, mcp.LegacyVersions...) }

// checkMeta says what is missing in the _meta of a modern request (basic/index §_meta). Nothing that an earlier request
// said counts. clientInfo is the client's to give or not.
func (x *exchange) checkMeta() *mcp.Error {
	if x.params.version == "" {
		return invalidParams("params._meta lacks " + mcp.MetaVersion)
	}
	if !isObject(x.params.capabilities) {
		return invalidParams("params._meta lacks " + mcp.MetaCapabilities + ", an object")
	}
	return nil
}

// checkHeaders compares Mcp-Method and Mcp-Name with the body; values are compared with their case. Mcp-Param headers are
// not looked at here: no tool of the gateway's own asks for any, and the gateway holds those of a server's tools against
// the arguments.
func (x *exchange) checkHeaders(header http.Header) *mcp.Error {
	method, err := single(header, mcp.HeaderMethod)
	if err != nil {
		return err
	}
	if method != x.msg.Method {
		return mismatch(mcp.HeaderMethod, "method")
	}
	switch x.msg.Method {
	case "tools/call", "prompts/get":
		return checkName(header, x.params.name, "params.name")
	case "resources/read":
		return checkName(header, x.params.uri, "params.uri")
	case "tasks/get", "tasks/update", "tasks/cancel":
		if x.direct != nil { // elsewhere there are no such methods
			return x.checkTask(header)
		}
	}
	return nil
}

// checkTask compares Mcp-Name with the id of a task (extension io.modelcontextprotocol/tasks, §Routing Headers).
func (x *exchange) checkTask(header http.Header) *mcp.Error {
	var v [1][]byte
	if x.msg.Params != nil {
		if _, err := mcp.Pick(x.msg.Params, []string{"taskId"}, v[:]); err != nil {
			return invalidParams("params: " + err.Error())
		}
	}
	return checkName(header, v[0], "params.taskId")
}

// checkName compares Mcp-Name, which may be wrapped in base64, with a raw member of the body. Where the body has no such
// string, a header that names one is wrong too; what else is wrong then is the method's to say.
func checkName(header http.Header, raw []byte, member string) *mcp.Error {
	value, fault := single(header, mcp.HeaderName)
	if fault != nil {
		return fault
	}
	have, err := mcp.DecodeHeader(value)
	want, ok := mcp.Unquote(raw)
	if err != nil || ok && have != want || !ok && value != "" {
		return mismatch(mcp.HeaderName, member)
	}
	return nil
}

// single returns a header's value without the white space around it. A header that is there twice means two things.
func single(header http.Header, name string) (string, *mcp.Error) {
	values := header[name]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return strings.Trim(values[0], " \t"), nil
	}
	return "", &mcp.Error{Code: mcp.CodeHeaderMismatch, Message: "header " + name + " stands twice"}
}

func mismatch(header, member string) *mcp.Error {
	return &mcp.Error{Code: mcp.CodeHeaderMismatch, Message: "header " + header + " does not agree with " + member + " of the body"}
}
