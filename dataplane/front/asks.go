package front

import (
	"bytes"
	"encoding/binary"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

// asks are the requests of upstreams that agents have not answered yet. What it holds is bounded by the requests of
// agents under way. The zero value is ready.
type asks struct {
	mu   sync.Mutex // guards below
	last uint64
	m    map[askKey]chan *mcp.Reply
}

// askKey names a request to an agent. Nobody can answer in another's session.
type askKey struct {
	session string
	number  uint64
}

// begin makes a number, and a place for one answer.
func (a *asks) begin(session string) (number uint64, answer <-chan *mcp.Reply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.m == nil {
		a.m = make(map[askKey]chan *mcp.Reply)
	}
	a.last++
	place := make(chan *mcp.Reply, 1)
	a.m[askKey{session, a.last}] = place
	return a.last, place
}

// end forgets a request, answered or not.
func (a *asks) end(session string, number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.m, askKey{session, number})
}

// answer delivers a response of an agent's, copied. One that answers nothing, or a second time, is dropped.
func (a *asks) answer(session string, number uint64, m *mcp.Message) {
	reply := &mcp.Reply{Result: bytes.Clone(m.Result)}
	if m.Error != nil {
		var err error
		if reply.Error, err = mcp.ParseError(m.Error); err != nil {
			reply.Error = &mcp.Error{Code: mcp.CodeInternalError, Message: "the client answered with an error that cannot be read"}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if place := a.m[askKey{session, number}]; place != nil {
		select {
		case place <- reply:
		default:
		}
	}
}

// sealAsk makes the id of a request to an agent, a JSON string. It names this proxy, so that an answer that arrives at
// another finds its way, and works for the agent of the session alone.
func (h *Handler) sealAsk(principal, session string, number uint64) []byte {
	k := h.sessions.sealer()
	if k == nil {
		return nil
	}
	text := k.SealValue(seal.Value{
		Kind: seal.KindRequest, Bound: seal.Bind(principal, session), Address: h.conf.Address,
		Payload: binary.AppendUvarint(nil, number),
	})
	return mcp.AppendString(nil, text)
}

// openAsk reads the id of an answer; false says that nobody asked this agent under that id.
func (h *Handler) openAsk(x *exchange) (number uint64, address string, ok bool) {
	text, ok := mcp.Unquote(x.msg.ID)
	k := h.sessions.sealer()
	if !ok || k == nil || x.call.Session == "" {
		return 0, "", false
	}
	v, err := k.OpenValue(text, seal.KindRequest, seal.Bind(x.call.Principal.Name, x.call.Session), time.Now())
	if err != nil {
		return 0, "", false
	}
	number, n := binary.Uvarint(v.Payload)
	return number, v.Address, n > 0
}
