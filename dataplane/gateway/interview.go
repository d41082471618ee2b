package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// gatherTime is how long a server may stay silent before what it has asked so far is put to the agent: questions that it
// asks at the same time go together.
const gatherTime = 100 * time.Millisecond

// inquiry is one question of a legacy server that waits for its answer.
type inquiry struct {
	// key names it to the agent.
	key    string
	method string
	params []byte // an object of its own memory
	digest [sha256.Size]byte
	answer chan *mcp.Reply // room for one
}

// interview is one call at a legacy server, whose questions are kept until somebody has their answers. It is the call's
// stream. The agent that hears what else the server says may change from request to request.
type interview struct {
	profile   []byte
	questions *table.Questions
	// recall answers from what is known already; nil, or false, has the agent asked.
	recall func(digest [sha256.Size]byte) (*mcp.Reply, bool)
	cancel context.CancelFunc
	news   chan struct{} // room for one: something was asked
	over   chan struct{} // closed when the call has ended
	reply  *mcp.Reply    // readable then
	err    error

	telling sync.Mutex // guards below; held while the agent is told something
	hears   *relay     // nil while nobody listens
	own     []byte     // the progress token that the server has
	refused string     // what the server was refused while nobody listened

	mu    sync.Mutex // guards below
	open  []*inquiry // in the order asked
	asked int
}

// newInterview returns an interview of a server that may ask what is in a profile.
func newInterview(x *crossing, cancel context.CancelFunc) *interview {
	i := &interview{profile: x.profile, questions: x.questions, cancel: cancel, news: make(chan struct{}, 1), over: make(chan struct{})}
	if x.relay != nil {
		i.own = x.relay.own
	}
	return i
}

// run performs the call.
func (i *interview) run(ctx context.Context, u Upstream, c *mcp.Call) {
	c.Stream = i
	i.reply, i.err = u.Call(ctx, c)
	close(i.over)
}

// attach has an agent hear what the server says, nil nobody. When it returns, the one before hears nothing any more.
func (i *interview) attach(r *relay) {
	i.telling.Lock()
	defer i.telling.Unlock()
	i.hears = r
	if r != nil {
		r.own = i.own
		r.Refused(i.refused) // which nothing comes of where it is empty
	}
}

// Notify implements mcp.Stream. What is said while nobody listens is lost.
func (i *interview) Notify(method string, params []byte) {
	i.telling.Lock()
	defer i.telling.Unlock()
	if i.hears != nil {
		i.hears.Notify(method, params)
	}
}

// Refused implements mcp.Witness.
func (i *interview) Refused(method string) {
	i.telling.Lock()
	defer i.telling.Unlock()
	if i.hears == nil {
		i.refused = method
		return
	}
	i.hears.Refused(method)
}

// Ask implements mcp.Stream. It waits until somebody has the answer; a call that ends first is cancelled in the user's name.
func (i *interview) Ask(ctx context.Context, method string, params []byte) (*mcp.Reply, error) {
	if !offers(i.profile, method, params) {
		i.Refused(method)
		return &mcp.Reply{Error: &mcp.Error{Code: mcp.CodeMethodNotFound, Message: "the client does not offer " + method}}, nil
	}
	q := &inquiry{method: method, params: asQuestion(params), answer: make(chan *mcp.Reply, 1)}
	q.digest = sha256.Sum256(append([]byte(method+"\x00"), q.params...))
	if i.recall != nil {
		if reply, ok := i.recall(q.digest); ok {
			return reply, nil
		}
	}
	i.add(q)
	select {
	case reply := <-q.answer:
		return reply, nil
	case <-ctx.Done():
		i.drop(q)
		return unanswered(method), nil
	}
}

// asQuestion is the params of a question as the modern era has them: an object, without what belongs to the legacy hop.
func asQuestion(params []byte) []byte {
	dst := []byte{'{'}
	if params != nil {
		_ = mcp.Members(params, func(name, value []byte) error { // params are part of a message that was checked
			if plain, _ := mcp.Unquote(name); plain == "elicitationId" || plain == "_meta" {
				return nil
			}
			if len(dst) > 1 {
				dst = append(dst, ',')
			}
			dst = append(append(append(dst, name...), ':'), value...)
			return nil
		})
	}
	return append(dst, '}')
}

// unanswered is what a server gets where nobody answers.
func unanswered(method string) *mcp.Reply {
	if method == "elicitation/create" {
		return &mcp.Reply{Result: []byte(`{"action":"cancel"}`)}
	}
	return &mcp.Reply{Error: &mcp.Error{Code: mcp.CodeInternalError, Message: "the client gave no answer"}}
}

// add takes a question in.
func (i *interview) add(q *inquiry) {
	i.mu.Lock()
	i.asked++
	q.key = i.keyLocked(q)
	i.open = append(i.open, q)
	i.mu.Unlock()
	select {
	case i.news <- struct{}{}:
	default:
	}
}

// keyLocked is the key of a question: that of the definition, unless an open question has it, or else one of our own.
func (i *interview) keyLocked(q *inquiry) string {
	var v [1][]byte
	_, _ = mcp.Pick(q.params, []string{"message"}, v[:]) // whoever names it twice has none
	message, _ := mcp.Unquote(v[0])
	key := i.questions.Key(q.method, message)
	if key == "" || slices.ContainsFunc(i.open, func(o *inquiry) bool { return o.key == key }) {
		key = fmt.Sprintf("r%d", i.asked)
	}
	return key
}

// drop takes a question out that needs no answer any more.
func (i *interview) drop(q *inquiry) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.open = slices.DeleteFunc(i.open, func(o *inquiry) bool { return o == q })
}

// waiting returns the questions that have no answer.
func (i *interview) waiting() []*inquiry {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.open)
}

// wait waits until the call is over, or the server has asked and says no more for a moment; then it returns what it asked.
// Neither is so where ctx ends first.
func (i *interview) wait(ctx context.Context) (asked []*inquiry, over bool) {
	for {
		select {
		case <-i.over:
			return nil, true
		case <-ctx.Done():
			return nil, false
		case <-i.news:
		}
		i.gather(ctx)
		select {
		case <-i.over:
			return nil, true
		default:
		}
		if open := i.waiting(); len(open) > 0 && ctx.Err() == nil {
			return open, false
		}
	}
}

// gather waits until the server has asked nothing for a moment.
func (i *interview) gather(ctx context.Context) {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for {
		select {
		case <-i.news:
			timer.Reset(gatherTime)
		case <-i.over:
			return
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		}
	}
}

// give hands the agent's answers to those who wait for them, and returns the questions that are left: an answer that is
// missing, or none that the method could have, is asked for again.
func (i *interview) give(responses []byte) (left []*inquiry, err error) {
	open := i.waiting()
	answers, err := pickAnswers(open, responses)
	if err != nil {
		return nil, err
	}
	for n, q := range open {
		if answers[n] == nil {
			left = append(left, q)
			continue
		}
		i.drop(q)
		q.answer <- &mcp.Reply{Result: bytes.Clone(answers[n])} // it has room for one, and gets one
	}
	return left, nil
}

// giveUp answers all that is open as a user who walked away would.
func (i *interview) giveUp() {
	for _, q := range i.waiting() {
		i.drop(q)
		select {
		case q.answer <- unanswered(q.method):
		default:
		}
	}
}

// pickAnswers finds the answers to questions by their keys; nil for each that is missing or of the wrong form.
func pickAnswers(open []*inquiry, responses []byte) ([][]byte, error) {
	keys, answers := make([]string, len(open)), make([][]byte, len(open))
	if responses == nil {
		return answers, nil
	}
	if responses[0] != '{' {
		return nil, errBadResponses("it must be an object")
	}
	for n, q := range open {
		keys[n] = q.key
	}
	if _, err := mcp.Pick(responses, keys, answers); err != nil {
		return nil, errBadResponses(err.Error())
	}
	for n, q := range open {
		if !fits(q.method, answers[n]) {
			answers[n] = nil
		}
	}
	return answers, nil
}

// errBadResponses refuses inputResponses that cannot be read.
func errBadResponses(why string) error {
	return &refusal{code: mcp.InvalidArgument, protocol: mcp.CodeInvalidParams, message: "params.inputResponses: " + why}
}

// fits says whether a raw value has the form of an answer to a method.
func fits(method string, answer []byte) bool {
	if len(answer) == 0 || answer[0] != '{' {
		return false
	}
	var v [3][]byte
	if _, err := mcp.Pick(answer, []string{"action", "roots", "content"}, v[:]); err != nil {
		return false
	}
	switch method {
	case "elicitation/create":
		action, _ := mcp.Unquote(v[0])
		return slices.Contains([]string{"accept", "decline", "cancel"}, action) && (v[2] == nil || v[2][0] == '{' || string(v[2]) == "null")
	case "roots/list":
		return len(v[1]) > 0 && v[1][0] == '['
	}
	return len(v[2]) > 0 && (v[2][0] == '{' || v[2][0] == '[')
}

// question is the result that puts questions to a modern agent.
func question(open []*inquiry, state string) *mcp.Reply {
	dst := []byte(`{"resultType":` + inputRequired + `,"inputRequests":{`)
	for n, q := range open {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(mcp.AppendString(dst, q.key), `:{"method":`...)
		dst = append(mcp.AppendString(dst, q.method), `,"params":`...)
		dst = append(append(dst, q.params...), '}')
	}
	dst = mcp.AppendString(append(dst, `},"requestState":`...), state)
	return &mcp.Reply{Result: append(dst, '}')}
}
