package gateway

import (
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// subject is the one thing of a server that a request is about; the zero subject is the server as a whole.
type subject struct {
	kind  policy.Kind
	name  string
	known bool // that it is one thing
}

// subject says what a request is about. Its error refuses a request of which that cannot be told.
func (d *Direct) subject() (subject, error) {
	switch d.Name {
	case methodToolsCall:
		return subject{policy.Tools, d.Subject, true}, nil
	case methodResourceRead, methodSubscribe, methodUnsubscribe:
		return subject{policy.Resources, d.Subject, true}, nil
	case methodPromptGet:
		return subject{policy.Prompts, d.Subject, true}, nil
	case methodComplete:
		return reference(d.Params)
	}
	return subject{}, nil
}

// reference reads what a completion is for: what completes an argument tells of the prompt or of the template. It reads as
// strictly as the front reads names, since the server will read it once more.
func reference(params []byte) (subject, error) {
	var ref [1][]byte
	if params != nil {
		if _, err := mcp.Pick(params, []string{"ref"}, ref[:]); err != nil {
			return subject{}, refuseArgument("params: %v", err)
		}
	}
	var v [3][]byte
	if ref[0] != nil {
		if _, err := mcp.Pick(ref[0], []string{"type", "name", "uri"}, v[:]); err != nil {
			return subject{}, refuseArgument("params.ref: %v", err)
		}
	}
	switch kind, _ := mcp.Unquote(v[0]); kind {
	case "ref/prompt":
		name, _ := mcp.Unquote(v[1])
		return subject{policy.Prompts, name, true}, nil
	case "ref/resource":
		uri, _ := mcp.Unquote(v[2])
		return subject{policy.Resources, uri, true}, nil
	}
	return subject{}, refuseArgument(`params.ref.type must be "ref/prompt" or "ref/resource"`)
}

// permit asks policy: of the tool, the resource or the prompt that a request is about, of the server otherwise.
func (f *flight) permit(d *Direct) error {
	s, err := d.subject()
	if err != nil || !s.known {
		if decision := f.agent.Server(d.Server); !f.decide(decision) {
			return refuse(decision.Code, fmt.Sprintf("agent %q may not use server %.128q", f.agent.ID, d.Server))
		}
		return err
	}
	decision := f.agent.May(s.kind, d.Server, s.name)
	if f.decide(decision) {
		return nil
	}
	return refuse(decision.Code, fmt.Sprintf("agent %q may not use %s %.128q of server %.128q", f.agent.ID, s.kind.Noun(), s.name, d.Server))
}
