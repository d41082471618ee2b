package gateway

import (
	"bytes"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// traits are inspect's for a reply, which mostly knows them from the scan that it went through.
func traits(r *mcp.Reply, era mcp.Era) (hasType, isError bool) {
	if r.Facts.Known {
		return r.Facts.Typed, r.Facts.Failed
	}
	return inspect(r.Result, era)
}

// inspect finds out the two things that the gateway wants to know of a result. For a legacy agent the first is not asked
// for; then most results are only searched for the word isError, which is far quicker than reading their members.
func inspect(result []byte, era mcp.Era) (hasType, isError bool) {
	if era == mcp.Legacy && !bytes.Contains(result, []byte(`"isError"`)) {
		return false, false
	}
	var v [2][]byte
	if _, err := mcp.Pick(result, []string{"resultType", "isError"}, v[:]); err != nil {
		return true, false // ambiguous: the agent gets it as it stands
	}
	return v[0] != nil, string(v[1]) == "true"
}
