package upstream

import (
	"encoding/json"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// offers are what the gateway itself answers a server's requests with, on sessions that are its own; nil refuses all but
// ping. They never change.
type offers struct {
	// capabilities are what the sessions are opened with, a raw object.
	capabilities []byte
	// byMethod :: method → raw result
	byMethod map[string][]byte
}

// newOffers reads what a definition says; nil unless it says that the gateway answers.
func newOffers(q *gatehousev1.Questions) *offers {
	if q.GetTier() != gatehousev1.QuestionTier_QUESTION_TIER_ANSWER {
		return nil
	}
	action := q.GetElicitation()
	if action == "" {
		action = "decline"
	}
	refusal := append(mcp.AppendString([]byte(`{"action":`), action), '}')
	a := &offers{capabilities: []byte(`{"elicitation":{}}`), byMethod: map[string][]byte{"elicitation/create": refusal}}
	if len(q.GetRoots()) > 0 {
		a.capabilities = []byte(`{"elicitation":{},"roots":{}}`)
		a.byMethod["roots/list"] = listRoots(q.GetRoots())
	}
	return a
}

// listRoots is the result of roots/list.
func listRoots(roots []*gatehousev1.Root) []byte {
	type root struct {
		URI  string `json:"uri"`
		Name string `json:"name,omitempty"`
	}
	var list struct {
		Roots []root `json:"roots"`
	}
	for _, r := range roots {
		list.Roots = append(list.Roots, root{r.GetUri(), r.GetName()})
	}
	b, err := json.Marshal(list)
	if err != nil {
		return []byte(`{"roots":[]}`) // strings always marshal
	}
	return b
}

// append answers a server's request, and says whether it was refused. Whatever else was declared, ping is answered.
func (o *offers) append(dst []byte, msg mcp.Message) (_ []byte, refused bool) {
	if msg.Method == "ping" {
		return mcp.AppendResponse(dst, msg.ID, []byte("{}")), false
	}
	if o != nil {
		if result := o.byMethod[msg.Method]; result != nil {
			return mcp.AppendResponse(dst, msg.ID, result), false
		}
	}
	return mcp.AppendError(dst, msg.ID, &mcp.Error{
		Code: mcp.CodeMethodNotFound, Message: "the gateway does not offer " + msg.Method,
	}), true
}

// refused tells the call that a request is for, if that is certain, that the server was refused.
func refused(to []*talk, method string) {
	if len(to) != 1 {
		return
	}
	if w, ok := to[0].stream.(mcp.Witness); ok {
		w.Refused(method)
	}
}
