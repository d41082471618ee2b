package upstream

import (
	"bytes"
	"log/slog"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// inbox sorts what arrives on a stream that all calls of a connection share.
type inbox struct {
	name string
	mem  *memory
	// most bounds what is taken into memory, in bytes.
	most  int
	log   *slog.Logger
	hooks hooks
	// waiters are the calls under way, talks those of them whose agents listen.
	waiters waiters
	talks   talks
	// offers are what we answer requests with that are for no agent.
	offers *offers
	// respond sends our answer to a request of the server; it MUST NOT block, and owns the buffer.
	respond func(*buffer)
}

// receive deals with one message, whose buffer it owns.
func (in *inbox) receive(buf *buffer) {
	// Some servers write empty lines between their messages.
	if buf.length() == 0 {
		buf.free()
		return
	}
	msg, err := buf.scan(in.most)
	if err != nil {
		in.garbled(buf, msg, err)
		return
	}
	switch msg.Kind {
	case mcp.Response:
		in.answer(msg, buf)
		return
	case mcp.Request:
		to := in.talks.pick(msg, in.waiters.lone)
		if mayAsk(to, msg) {
			to[0].take(remark{msg, buf})
			return
		}
		out := in.mem.take()
		var no bool
		if out.b, no = in.offers.append(out.b, msg); no {
			refused(to, msg.Method)
		}
		in.respond(out)
	case mcp.Notification:
		noticed(msg.Method, in.hooks)
		share(in.talks.pick(msg, in.waiters.lone), msg)
	}
	buf.free()
}

// mayAsk says whether a request of the server's goes to the agent.
func mayAsk(to []*talk, msg mcp.Message) bool {
	return len(to) == 1 && to[0].asks && msg.Method != "ping"
}

// answer hands a response to the call that waits for it, which then owns the buffer.
func (in *inbox) answer(msg mcp.Message, buf *buffer) {
	if id, ok := parseID(msg.ID); ok {
		if wait := in.waiters.take(id); wait != nil {
			wait <- answer{msg: msg, buf: buf}
			return
		}
	}
	in.log.Debug("response to no request dropped", "id", string(msg.ID)) // usual after a cancel
	buf.free()
}

// garbled deals with a text that is no message: where it answers a call, that call ends; else it is what servers print.
func (in *inbox) garbled(buf *buffer, msg mcp.Message, why error) {
	defer buf.free()
	in.log.Debug("received text is no message", "bytes", buf.length(), "reason", why)
	id, ok := parseID(msg.ID)
	switch {
	case ok:
	case buf.large != nil:
		id, ok = buf.large.guess()
	case buf.b[0] == '{': // banners and stray prints do not begin with a brace
		id, ok = guessID(buf.b)
	}
	if ok {
		in.fail(id, unread(in.name, "sent an answer that cannot be read", why))
	}
}

// fail ends one call, if it is under way.
func (in *inbox) fail(id int64, err error) {
	if wait := in.waiters.take(id); wait != nil {
		wait <- answer{err: err}
	}
}

// answer is what a waiting call gets: a message in its buffer, or an error.
type answer struct {
	msg mcp.Message
	buf *buffer
	err error
}

// reply makes the reply of an answer to a call; it gives the buffer back where the reply does not need it. Where the call
// does not take large results, at most so many bytes are taken into memory for it.
func (a answer) reply(server string, call *mcp.Call, most int) (*mcp.Reply, error) {
	if a.err != nil {
		return nil, a.err
	}
	msg := a.msg
	if l := a.buf.large; l != nil && call.Large {
		return &mcp.Reply{Spill: mcp.NewSpill(l.file, l.outline), Free: a.buf.free}, nil
	} else if l != nil {
		var err error
		if msg, err = a.buf.takeIn(most); err != nil {
			a.buf.free()
			return nil, unread(server, "sent an answer that cannot be read", err)
		}
	}
	if msg.Error == nil {
		return &mcp.Reply{Result: msg.Result, Facts: msg.Facts, Room: true, Free: a.buf.free}, nil
	}
	e, err := mcp.ParseError(msg.Error)
	a.buf.free()
	if err != nil {
		return nil, invalid(server, "sent an error that is none", err)
	}
	return &mcp.Reply{Error: e}, nil
}

// waiters are the calls under way on a connection where all answers arrive on one stream. Ids are never used twice.
type waiters struct {
	mu sync.Mutex // guards below
	// next is the id given last.
	next int64
	// byID :: id → where its answer goes
	byID map[int64]chan answer
	err  error // set once, when the connection was lost
	// agent and session are those of all agents' calls so far, unless mixed: more than one has called.
	agent, session string
	mixed          bool
	// quiet is until when a call that was given up may still be talked of.
	quiet time.Time
}

// afterGivingUp is how long a server may go on talking of a call that it was told to cancel.
const afterGivingUp = 10 * time.Second

// add registers a call and names it; c, with room for one answer, gets exactly one unless drop comes first.
func (w *waiters) add(c chan answer, call *mcp.Call) (id int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if w.byID == nil {
		w.byID = make(map[int64]chan answer)
	}
	if call.Agent != "" { // else it is the gateway's own, such as reading a catalogue
		if w.agent == "" {
			w.agent, w.session = call.Agent, call.Session
		}
		w.mixed = w.mixed || w.agent != call.Agent || w.session != call.Session
	}
	w.next++
	w.byID[w.next] = c
	return w.next, nil
}

// lone says whether there is exactly one call under way, none was given up a moment ago, and none was ever another agent's
// or of another session: a server may go on talking of a call that was cancelled, or that it has answered.
func (w *waiters) lone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.byID) == 1 && !w.mixed && time.Now().After(w.quiet)
}

// take removes a call; nil says that there is none of that id.
func (w *waiters) take(id int64) chan answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.byID[id]
	delete(w.byID, id)
	return c
}

// drop gives a call up; an answer that came meanwhile is thrown away. The caller may use c again afterwards.
func (w *waiters) drop(id int64, c chan answer) {
	w.mu.Lock()
	w.quiet = time.Now().Add(afterGivingUp)
	w.mu.Unlock()
	if w.take(id) != nil {
		return
	}
	// Not to wait here would leave an answer in a channel that the next call is going to use.
	if a := <-c; a.buf != nil { // whoever took it out has sent, or is about to
		a.buf.free()
	}
}

// fail ends all calls under way with err, and those to come with after.
func (w *waiters) fail(err, after error) {
	// The channels have room, so sending does not wait; the lock is let go first all the same.
	w.mu.Lock()
	all := w.byID
	w.byID, w.err = nil, after
	w.mu.Unlock()
	for _, c := range all {
		c <- answer{err: err}
	}
}

// parseID reads a request id of ours as it comes back.
func parseID(raw []byte) (int64, bool) {
	// 18 digits cannot overflow, and no connection lives long enough to need more.
	if len(raw) == 0 || len(raw) > 18 {
		return 0, false
	}
	id := int64(0)
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, false
		}
		id = id*10 + int64(c-'0')
	}
	return id, true
}

// guessID finds an id of ours near one end of a message that cannot be read as a whole. SDKs write the id first or last.
func guessID(text []byte) (int64, bool) {
	i := bytes.LastIndex(text, []byte(`"id":`))
	if i < 0 {
		return 0, false
	}
	digits := bytes.TrimLeft(text[i+len(`"id":`):], " ")
	n := 0
	for n < len(digits) && digits[n] >= '0' && digits[n] <= '9' {
		n++
	}
	return parseID(digits[:n])
}

// noticed acts on a server's notification, of whatever transport.
func noticed(method string, h hooks) {
	if method == "notifications/tools/list_changed" {
		h.changed()
	}
}
