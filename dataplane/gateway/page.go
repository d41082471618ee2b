package gateway

import (
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
)

// What the modern era says about keeping a list, where the upstream says nothing: not at all, and not for others.
const (
	noTTL        = `0`
	privateScope = `"private"`
)

// page says what the results of a list look like.
type page struct {
	member string // that holds the entries
	name   string // what names an entry to policy; empty where policy has nothing to say of it
	kind   policy.Kind
}

// pageOf returns the page of a method that lists something a page at a time; false where the method is none.
func pageOf(method string) (page, bool) {
	switch method {
	case methodToolsList:
		return page{"tools", "name", policy.Tools}, true
	case methodResourceList:
		return page{"resources", "uri", policy.Resources}, true
	case methodTemplatesList:
		return page{"resourceTemplates", "uriTemplate", policy.Resources}, true
	case methodPromptsList:
		return page{"prompts", "name", policy.Prompts}, true
	case methodTaskList:
		return page{member: "tasks"}, true
	}
	return page{}, false
}

// filter makes one page of an upstream's list the reply: those entries that the agent may use, each as it stands, and every
// other member of the page too, the cursor sealed. What is hidden leaves no trace but that the scope is private, since
// others may see other entries; a page of which nothing is left still says where the next one is.
func (f *flight) filter(p page, result []byte) error {
	key, made := f.shelfKey(f.direct.Server, f.call.Name), shelved{page: result}
	large := len(result) >= minPage
	if large && f.fetch(key, made) {
		return nil
	}
	sealed, err := f.render(p, result)
	if err != nil {
		return refuse(mcp.UpstreamError, fmt.Sprintf("server %q sent a list that cannot be read: %v", f.direct.Server, err))
	}
	f.entry.Outcome = record.OK
	f.modernize()
	f.cacheable()
	if large && !sealed { // a cursor expires
		f.keep(key, made)
	}
	return nil
}

// render renders a page for the agent, and says whether a cursor is sealed in it.
func (f *flight) render(p page, result []byte) (sealed bool, err error) {
	dst := append(*f.memory(), '{')
	found := false
	err = mcp.Members(result, func(name, value []byte) error {
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, name...), ':')
		switch plain, _ := mcp.Unquote(name); plain {
		case p.member:
			if found {
				return fmt.Errorf("%s stands twice", p.member)
			}
			found = true
			var err error
			dst, err = f.appendPermitted(dst, p, value)
			return err
		case "nextCursor":
			dst, sealed = f.appendCursor(dst, value), true
			return nil
		case "cacheScope":
			value = []byte(privateScope)
		}
		dst = append(dst, value...)
		return nil
	})
	dst = append(dst, '}')
	*f.buffer, f.reply.Result = dst, dst
	return sealed, err
}

// appendPermitted appends the entries of an array that the agent may use. One without a clear name is none.
func (f *flight) appendPermitted(dst []byte, p page, entries []byte) ([]byte, error) {
	if p.name == "" {
		return append(dst, entries...), nil
	}
	dst = append(dst, '[')
	start := len(dst)
	err := mcp.Elements(entries, func(entry []byte) error {
		name, ok := p.nameOf(entry)
		if !ok || !f.agent.May(p.kind, f.direct.Server, name).Allow || p.member == "tools" && !f.sendable(entry) {
			return nil
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, entry...)
		return nil
	})
	return append(dst, ']'), err
}

// nameOf returns what names an entry to policy; false where that could be read in two ways, or not at all.
func (p page) nameOf(entry []byte) (string, bool) {
	var v [1][]byte
	if _, err := mcp.Pick(entry, []string{p.name}, v[:]); err != nil {
		return "", false
	}
	return mcp.Unquote(v[0])
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
	if f.reply.Spill != nil {
		f.cacheableSpill(f.reply.Spill)
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
	case methodDiscover, methodToolsList, methodResourceList, methodTemplatesList, methodResourceRead, methodPromptsList:
		return true
	}
	return false
}
