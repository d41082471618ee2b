package gateway

import (
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

// stateTime is for how long the state of a question can be sent back: a person may be asked.
const stateTime = 24 * time.Hour

// maxState bounds the state of a question, raw, in bytes: what is sealed is larger, and has to fit into what opens.
const maxState = 512 << 10

// sealState binds the requestState of an upstream's question to whom it asked, and about what: the server knows the
// gateway's credential alone, so it cannot tell one agent's state from another's. The bytes inside stay the server's.
func (f *flight) sealState(reply *mcp.Reply) (*mcp.Reply, error) {
	from, to, err := mcp.Locate(reply.Result, "requestState")
	if err != nil || to-from > maxState && from > 0 {
		reply.Close()
		return nil, fmt.Errorf("%w: server %s sent a requestState that cannot be kept", mcp.ErrInvalidResponse, f.direct.Server)
	}
	if from == 0 {
		return reply, nil
	}
	return splice(reply, from, to, f.seal(seal.KindState, reply.Result[from:to], stateTime, f.asked()...)), nil
}

// openState puts the server's own bytes in the place of the state that an agent sends back.
func (f *flight) openState(params []byte) ([]byte, error) {
	from, to, err := mcp.Locate(params, "requestState")
	if err != nil {
		return nil, refuseRequest(mcp.CodeInvalidParams, "params: %v", err)
	}
	if from == 0 {
		return params, nil
	}
	state, err := f.open(seal.KindState, params[from:to], f.asked()...)
	if errors.Is(err, errNotTheirs) {
		return nil, refuseRequest(mcp.CodeInvalidParams, "params.requestState is not one that was given for this request")
	}
	if err != nil {
		return nil, err
	}
	return mcp.AppendSpliced(nil, params, from, to, state), nil
}

// asked says what a question is about, beside whose it is.
func (f *flight) asked() []string {
	return []string{"of the upstream", f.direct.Name, f.direct.Subject}
}

// splice is a reply with another value in place of Result[from:to].
func splice(reply *mcp.Reply, from, to int, value []byte) *mcp.Reply {
	defer reply.Close()
	return &mcp.Reply{Result: mcp.AppendSpliced(make([]byte, 0, len(reply.Result)+len(value)), reply.Result, from, to, value)}
}
