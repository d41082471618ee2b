package gateway

import (
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
)

// What the modern era says about keeping a list, where the upstream says nothing: not at all, and not for others.
const (
	noTTL        = `0`
	privateScope = `"private"`
)

// filter makes one page of an upstream's tools the reply: those that the agent may use, each as it stands, and every other
// member of the page too. What is hidden leaves no trace but that the scope is private: others may see other tools.
func (f *flight) filter(page []byte) error {
	dst := append(*f.memory(), '{')
	found := false
	err := mcp.Members(page, func(name, value []byte) error {
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, name...), ':')
		switch plain, _ := mcp.Unquote(name); plain {
		case "tools":
			if found {
				return fmt.Errorf("tools stands twice")
			}
			found = true
			var err error
			dst, err = f.appendPermitted(dst, value)
			return err
		case "cacheScope":
			value = []byte(privateScope)
		}
		dst = append(dst, value...)
		return nil
	})
	dst = append(dst, '}')
	*f.buffer = dst
	if err != nil {
		return refuse(mcp.UpstreamError, fmt.Sprintf("server %q sent tools that cannot be read: %v", f.direct.Server, err))
	}
	f.entry.Outcome = record.OK
	f.reply.Result = dst
	f.modernize()
	f.cacheable()
	return nil
}

// appendPermitted appends the tools of an array that the agent may use. One without a clear name is no tool.
func (f *flight) appendPermitted(dst, tools []byte) ([]byte, error) {
	dst = append(dst, '[')
	start := len(dst)
	err := mcp.Elements(tools, func(tool []byte) error {
		var v [1][]byte
		if _, err := mcp.Pick(tool, []string{"name"}, v[:]); err != nil {
			return nil //nolint:nilerr // what has no clear name is left out
		}
		name, ok := mcp.Unquote(v[0])
		if !ok || !f.agent.Tool(f.direct.Server, name).Allow || !f.sendable(tool) {
			return nil
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, tool...)
		return nil
	})
	return append(dst, ']'), err
}

// modernize appends a resultType where the agent's era wants one and there is none.
func (f *flight) modernize() {
	if f.call.Era == mcp.Legacy {
		return
	}
	if hasType, _ := inspect(f.reply.Result, mcp.Modern); !hasType {
		f.add("resultType", complete)
	}
}

// cacheable appends what a list or a resource has to say in the modern era about being kept, where it says nothing.
func (f *flight) cacheable() {
	if f.call.Era == mcp.Legacy || !isCacheable(f.call.Name) {
		return
	}
	var v [3][]byte
	if _, err := mcp.Pick(f.reply.Result, []string{"ttlMs", "cacheScope", "resultType"}, v[:]); err != nil {
		return // ambiguous: the agent gets it as it stands
	}
	if string(v[2]) != complete {
		return // a question, which nobody may keep
	}
	if v[0] == nil {
		f.add("ttlMs", noTTL)
	}
	if v[1] == nil {
		f.add("cacheScope", privateScope)
	}
}

// add appends a member to the reply, in memory of its own: this is for results of which there is one now and then.
func (f *flight) add(name, value string) {
	f.reply.Result = mcp.AppendMember(make([]byte, 0, len(f.reply.Result)+len(name)+len(value)+8), f.reply.Result, name, []byte(value))
}

// isCacheable says whether results of a method say how long they may be kept.
func isCacheable(method string) bool {
	switch method {
	case methodDiscover, methodToolsList, "resources/list", "resources/templates/list", "resources/read", "prompts/list":
		return true
	}
	return false
}
