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

// noteMirrors finds out, for a page of tools of which one mirrors parameters, whether the server wants them in headers:
// then a tool that mirrors them wrongly cannot be called, and is not shown.
func (f *flight) noteMirrors(ctx context.Context, u Upstream, c *mcp.Call, page *mcp.Reply) {
	if c.Method != methodToolsList || !bytes.Contains(page.Result, []byte(`"x-mcp-header"`)) {
		return
	}
	h, err := u.Hello(ctx, c)
	f.mirrors = err == nil && h.Mirrors
}

// sendable says whether a tool of a page can be called.
func (f *flight) sendable(tool []byte) bool { return !f.mirrors || upstream.Mirrors(tool) == nil }
