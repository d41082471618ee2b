package gateway

import (
	"bytes"
	"context"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// relay carries what an upstream says during one call to the agent that made it.
type relay struct {
	to  mcp.Stream
	era mcp.Era
	// flight is the call; others read it meanwhile, so nothing of it is written here.
	flight *flight
	// own is the progress token that the upstream got, theirs the agent's, both raw; theirs is nil where it gave none.
	own, theirs []byte
	// logs says that the agent wants log messages.
	logs bool
	// refused is the method that the upstream asked for last, and was not offered.
	refused atomic.Pointer[string]
}

// Notify implements mcp.Stream. What the agent did not ask for is dropped: progress without a token, and in the modern
// era log messages without a level.
func (r *relay) Notify(method string, params []byte) {
	if r.to == nil {
		return
	}
	switch method {
	case "notifications/progress":
		params = r.restore(params)
		if params == nil {
			return
		}
	case "notifications/message":
		if !r.logs {
			return
		}
	case notifyUpdated:
		if !r.flight.agent.May(policy.Resources, r.flight.direct.Server, uriOf(params)).Allow {
			return
		}
	case notifyList(policy.Tools), notifyList(policy.Prompts), notifyList(policy.Resources):
		// Whether the agent sees the change can be told only where it was looked before: on its stream of changes.
		if kind, _ := kindOf(method); r.flight.agent.Narrows(kind, r.flight.direct.Server) {
			return
		}
	case noteTask:
		return // of subscriptions alone
	case noteTaskStatus:
		if r.era == mcp.Modern {
			return
		}
	}
	if r.era == mcp.Legacy && params != nil {
		if params = r.flight.told(method, params); params == nil {
			return
		}
	}
	r.to.Notify(method, params)
}

// notifyUpdated says that one resource has changed.
const notifyUpdated = "notifications/resources/updated"

// uriOf returns the resource that a notification is about; empty where that cannot be told.
func uriOf(params []byte) string {
	var v [1][]byte
	if params == nil {
		return ""
	}
	if _, err := mcp.Pick(params, []string{"uri"}, v[:]); err != nil {
		return ""
	}
	uri, _ := mcp.Unquote(v[0])
	return uri
}

// Refused implements mcp.Witness. Only what agents are asked counts.
func (r *relay) Refused(method string) {
	if capabilityOf(method) != "" {
		r.refused.Store(&method)
	}
}

// refusedMethod is what the upstream asked for and was not offered; empty where that is nothing.
func (r *relay) refusedMethod() string {
	if r == nil {
		return ""
	}
	if method := r.refused.Load(); method != nil {
		return *method
	}
	return ""
}

// restore puts the agent's token back; nil says that the progress is not of this call.
func (r *relay) restore(params []byte) []byte {
	if r.theirs == nil || params == nil {
		return nil
	}
	ours := false
	dst := append(make([]byte, 0, len(params)+len(r.theirs)), '{')
	err := mcp.Members(params, func(name, value []byte) error {
		if plain, _ := mcp.Unquote(name); plain == "progressToken" {
			ours = bytes.Equal(value, r.own) || bytes.Equal(value, r.theirs)
			value = r.theirs
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, name...), ':'), value...)
		return nil
	})
	if err != nil || !ours {
		return nil
	}
	return append(dst, '}')
}

// Ask implements mcp.Stream. The modern era has no requests of servers.
func (r *relay) Ask(ctx context.Context, method string, params []byte) (*mcp.Reply, error) {
	if r.era == mcp.Modern {
		return &mcp.Reply{Error: &mcp.Error{
			Code: mcp.CodeMethodNotFound, Message: "this client takes no requests: it speaks MCP " + mcp.ModernVersion,
		}}, nil
	}
	if params != nil {
		params = r.flight.renamed(params)
	}
	reply, err := r.to.Ask(ctx, method, params)
	if err == nil && reply.Error == nil {
		reply.Result = r.flight.unrelated(reply.Result)
	}
	return reply, err
}

// asksForLogs says whether a request of the modern era asks for log messages.
func asksForLogs(meta []byte) bool {
	var v [1][]byte
	if meta == nil {
		return false
	}
	_, err := mcp.Pick(meta, []string{mcp.MetaPrefix + "logLevel"}, v[:])
	return err == nil && v[0] != nil
}
