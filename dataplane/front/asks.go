package front

import (
	"bytes"
	"strconv"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// asks are the requests of upstreams that agents have not answered yet. What it holds is bounded by the requests of
// agents under way. The zero value is ready.
type asks struct {
	mu   sync.Mutex // guards below
	last int64
	m    map[askKey]chan *mcp.Reply
}

// askKey names a request to an agent. Nobody can answer in another's session.
type askKey struct {
	session string
	id      int64
}

// begin makes an id, and a place for one answer.
func (a *asks) begin(session string) (id int64, answer <-chan *mcp.Reply) {
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
func (a *asks) end(session string, id int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.m, askKey{session, id})
}

// answer delivers a response of an agent's, copied. One that answers nothing, or a second time, is dropped.
func (a *asks) answer(session string, m *mcp.Message) {
	id, err := strconv.ParseInt(string(m.ID), 10, 64)
	if err != nil || session == "" {
		return
	}
	reply := &mcp.Reply{Result: bytes.Clone(m.Result)}
	if m.Error != nil {
		if reply.Error, err = mcp.ParseError(m.Error); err != nil {
			reply.Error = &mcp.Error{Code: mcp.CodeInternalError, Message: "the client answered with an error that cannot be read"}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if place := a.m[askKey{session, id}]; place != nil {
		select {
		case place <- reply:
		default:
		}
	}
}
