package gateway

import (
	"bytes"
	"context"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// headersAgree refuses a call whose headers say other than its arguments, for the tools that mirror some: whoever routed
// it by the headers routed another call. Headers that no tool asked for pass unseen. A catalogue that is behind what the
// agent knows is read once more before its headers are called wrong.
func (f *flight) headersAgree(ctx context.Context, u Upstream) error {
	d := f.direct
	if d.Name != methodToolsCall || d.Era != mcp.Modern || d.Header == nil {
		return nil
	}
	c, err := u.Tools(ctx)
	if err != nil {
		return err
	}
	t := c.Tool(d.Subject)
	if t == nil || t.CheckHeaders(d.Header, d.Args) == nil {
		return nil
	}
	if c, err = u.Refresh(ctx); err != nil {
		return err
	}
	if t = c.Tool(d.Subject); t == nil {
		return nil
	}
	if err := t.CheckHeaders(d.Header, d.Args); err != nil {
		return refuseRequest(mcp.CodeHeaderMismatch, "%v", err)
	}
	return nil
}

// strangeHeaders are the Mcp-Param headers of a modern call. Those that no tool asked for MUST be passed on (MCP 2026-07-28,
// basic/transports/streamable-http §Custom headers); the others agree with the body, from which they are made anew.
func strangeHeaders(d *Direct) (passed map[string][]string) {
	if d.Name != methodToolsCall || d.Era != mcp.Modern {
		return nil
	}
	for name, values := range d.Header {
		if strings.HasPrefix(name, mcp.HeaderParam) {
			if passed == nil {
				passed = make(map[string][]string)
			}
			passed[name] = values
		}
	}
	return passed
}

// noteTools finds out, for a page of tools that may hold such, which of them the agent could not call: those that mirror
// parameters wrongly, where the server wants them in headers, and those that have to be called as a task of the legacy era,
// which an agent of the modern era cannot.
func (f *flight) noteTools(ctx context.Context, u Upstream, c *mcp.Call, page *mcp.Reply) {
	if c.Method != methodToolsList {
		return
	}
	mirrors := bytes.Contains(page.Result, []byte(`"x-mcp-header"`))
	tasks := f.call.Era == mcp.Modern && bytes.Contains(page.Result, []byte(`"taskSupport"`))
	if !mirrors && !tasks {
		return
	}
	if h, err := u.Hello(ctx, c); err == nil {
		f.direct.mirrors, f.direct.taskless = h.Mirrors, tasks && h.Era == mcp.Legacy
	}
}

// sendable says whether the agent could call a tool of a page.
func (f *flight) sendable(tool []byte) bool {
	if f.direct.mirrors && upstream.Mirrors(tool) != nil {
		return false
	}
	from, to, err := mcp.Locate(tool, "execution", "taskSupport")
	return !f.direct.taskless || err == nil && string(tool[from:to]) != `"required"`
}
