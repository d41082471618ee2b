package gateway

import (
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
)

// isObject says whether a reply without an error holds an object.
func isObject(r *mcp.Reply) bool {
	if r.Spill != nil {
		return r.Spill.IsObject()
	}
	return len(r.Result) > 0 && r.Result[0] == '{'
}

// holdsNames says whether a large result is a question or a task. Those have parts that are sealed for their agent or put to
// it, for which they must be in memory.
func holdsNames(s *mcp.Spill) bool {
	kind, err := s.Member("resultType")
	return err != nil || string(kind) == inputRequired || string(kind) == `"task"`
}

// passSpill is pass for a result that is too large for memory. What is appended costs no copy here.
func (f *flight) passSpill(s *mcp.Spill) {
	f.reply.Spill = s
	isError, err := s.Member("isError")
	if err != nil {
		return // ambiguous: the agent gets it as it stands
	}
	if string(isError) == "true" {
		f.entry.Outcome = record.ToolError
	}
	if kind, _ := s.Member("resultType"); f.call.Era == mcp.Modern && kind == nil {
		s.Append("resultType", []byte(complete))
	}
}

// cacheableSpill is cacheable for a result that is too large for memory.
func (f *flight) cacheableSpill(s *mcp.Spill) {
	kind, err := s.Member("resultType")
	if err != nil || kind != nil && string(kind) != complete {
		return
	}
	if ttl, _ := s.Member("ttlMs"); ttl == nil {
		s.Append("ttlMs", []byte(noTTL))
	}
	if scope, _ := s.Member("cacheScope"); scope == nil {
		s.Append("cacheScope", []byte(privateScope))
	}
}
