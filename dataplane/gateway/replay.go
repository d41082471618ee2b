package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

const (
	// replayTime is how long an agent may take to answer the questions of a call that will be made again.
	replayTime = time.Hour
	// maxTranscript bounds what was asked and answered in one call, in bytes: it travels with each round.
	maxTranscript = 256 << 10
)

// transcript is what a call that is made again asked before, and was answered. It travels sealed in requestState.
type transcript struct {
	// Round counts the times that the agent was asked.
	Round int `json:"n"`
	// Answers are in the order in which they were asked for.
	Answers []answered `json:"a,omitempty"`
	// Open are the questions that the agent has before it.
	Open []opened `json:"o,omitempty"`
}

// answered is a question by its digest, and its answer.
type answered struct {
	Digest []byte          `json:"d"`
	Result json.RawMessage `json:"r"`
}

// opened is a question without an answer.
type opened struct {
	Key    string `json:"k"`
	Method string `json:"m"`
	Digest []byte `json:"d"`
}

// again continues a call that was ended for a question: it takes the answers in and makes the call anew.
func (x *crossing) again(ctx context.Context, payload []byte) (*mcp.Reply, error) {
	t := new(transcript)
	if err := json.Unmarshal(payload, t); err != nil || !x.mayReplay() {
		return nil, errForeignState() // the definition has changed since
	}
	open := make([]*inquiry, len(t.Open))
	for n, o := range t.Open {
		open[n] = &inquiry{key: o.Key, method: o.Method}
	}
	answers, err := pickAnswers(open, x.responses)
	if err != nil {
		return nil, err
	}
	for n, o := range t.Open {
		if answers[n] != nil { // what is missing is put to the agent once more when the server asks for it once more
			t.Answers = append(t.Answers, answered{o.Digest, json.RawMessage(answers[n])})
		}
	}
	t.Open = nil
	x.c.Profile, x.c.Alone = x.profile, true
	x.c.Params = withoutAnswers(x.c.Params)
	return x.replay(ctx, t)
}

// mayReplay says whether the request may be made again as things stand now.
func (x *crossing) mayReplay() bool {
	return x.profile != nil && x.replays() && (x.c.Method != methodToolsCall || x.questions.MayRepeat(x.direct.Subject))
}

// replay makes the call from its beginning, and answers from the transcript what was answered before. What is new ends the
// call: the agent is asked, and its answer makes the call once more. A server that does not ask again what it asked before
// does something else each time, so its call fails.
func (x *crossing) replay(ctx context.Context, t *transcript) (*mcp.Reply, error) {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	known := &playback{answers: t.Answers, used: make([]bool, len(t.Answers))}
	i := newInterview(x, cancel)
	i.recall, i.asked = known.recall, len(t.Answers)
	i.attach(x.relay)
	go i.run(within, x.u, x.c)
	asked, over := i.wait(ctx)
	if !over {
		cancel()
		<-i.over
		i.reply.Close()
	}
	i.attach(nil)
	switch {
	case !over && asked == nil:
		return nil, ctx.Err()
	case over && i.err != nil:
		return x.outcome(nil, i.err)
	case !known.all():
		if over {
			i.reply.Close()
		}
		return nil, refuse(mcp.UpstreamError, fmt.Sprintf(
			"server %q did not ask again what it had asked before; the answers were to other questions, so the call is not taken as done", x.direct.Server))
	case over:
		return x.outcome(i.reply, nil)
	}
	return x.interrupt(t, asked)
}

// interrupt puts what a server asked to the agent.
func (x *crossing) interrupt(t *transcript, asked []*inquiry) (*mcp.Reply, error) {
	if t.Round++; t.Round > maxRounds {
		return nil, x.tooManyRounds()
	}
	for _, q := range asked {
		t.Open = append(t.Open, opened{q.key, q.method, q.digest[:]})
	}
	payload, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("writing what was asked: %w", err)
	}
	if len(payload) > maxTranscript {
		return nil, refuse(mcp.UpstreamError, fmt.Sprintf("what server %q asked in one call is more than is kept of it", x.direct.Server))
	}
	state := x.sealed(seal.Value{Kind: seal.KindReplay, Expires: x.entry.Time.Add(replayTime), Payload: payload})
	return question(asked, state), nil
}

// tooManyRounds ends a call that asks without end.
func (x *crossing) tooManyRounds() error {
	return refuse(mcp.UpstreamError, fmt.Sprintf("server %q asked more than %d times", x.direct.Server, maxRounds))
}

// playback answers questions from a transcript, each answer once.
type playback struct {
	answers []answered // never changed

	mu   sync.Mutex // guards below
	used []bool
}

// recall returns the first answer to such a question that has not been used.
func (p *playback) recall(digest [sha256.Size]byte) (*mcp.Reply, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, a := range p.answers {
		if !p.used[n] && bytes.Equal(a.Digest, digest[:]) {
			p.used[n] = true
			return &mcp.Reply{Result: a.Result}, true
		}
	}
	return nil, false
}

// all says whether every answer was used.
func (p *playback) all() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, used := range p.used {
		if !used {
			return false
		}
	}
	return true
}

// withoutAnswers is params without what answers a question of ours.
func withoutAnswers(params []byte) []byte {
	return withoutMembers(params, "inputResponses", "requestState")
}

// withoutMembers is an object without some of its members.
func withoutMembers(object []byte, names ...string) []byte {
	dst := append(make([]byte, 0, len(object)), '{')
	_ = mcp.Members(object, func(name, value []byte) error { // it was read before
		if plain, _ := mcp.Unquote(name); slices.Contains(names, plain) {
			return nil
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, name...), ':'), value...)
		return nil
	})
	return append(dst, '}')
}
