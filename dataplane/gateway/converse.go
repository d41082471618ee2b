package gateway

import (
	"bytes"
	"context"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// inputRequired is the resultType of a modern answer that is a question.
	inputRequired = `"input_required"`
	// maxRounds bounds the questions that one call may ask, one after the other.
	maxRounds = 10
)

// converse has a legacy agent answer what a modern server asks instead of giving its result: each question becomes a
// request on the call's stream, and the call is sent once more with the answers. A modern agent does that itself.
func (f *flight) converse(ctx context.Context, u Upstream, c *mcp.Call, reply *mcp.Reply) (*mcp.Reply, error) {
	sheds := 0
	for range maxRounds {
		if f.call.Era == mcp.Modern || !isQuestion(reply) {
			return reply, nil
		}
		params, err := f.respond(ctx, c, reply.Result, &sheds)
		reply.Close()
		if err != nil {
			return nil, err
		}
		again := *c // the server may still be reading the call before
		again.Params = params
		if reply, err = u.Call(ctx, &again); err != nil {
			return nil, err
		}
		reply = f.older(ctx, u, c, reply)
	}
	reply.Close()
	return nil, refuse(mcp.UpstreamError, fmt.Sprintf("server %q asked more than %d times", f.direct.Server, maxRounds))
}

// isQuestion says whether a reply asks for input.
func isQuestion(reply *mcp.Reply) bool {
	if reply.Error != nil || reply.Facts.Plain() || !bytes.Contains(reply.Result, []byte(inputRequired)) {
		return false
	}
	var v [1][]byte
	_, err := mcp.Pick(reply.Result, []string{"resultType"}, v[:])
	return err == nil && string(v[0]) == inputRequired
}

// respond asks the agent all that a result asks, and returns the params of the next round. A server that asks nothing puts
// the call off, which sheds counts.
func (f *flight) respond(ctx context.Context, c *mcp.Call, question []byte, sheds *int) ([]byte, error) {
	var v [2][]byte
	if _, err := mcp.Pick(question, []string{"inputRequests", "requestState"}, v[:]); err != nil {
		return nil, f.unreadable("asked", err)
	}
	if asksNothing(v[0]) {
		*sheds++
		if err := f.putOff(ctx, *sheds); err != nil {
			return nil, err
		}
		return nextRound(c.Params, nil, v[1]), nil
	}
	answers := []byte{'{'}
	err := mcp.Members(v[0], func(key, request []byte) error {
		answer, err := f.put(ctx, c, request)
		if err != nil {
			return err
		}
		defer answer.Close()
		if len(answers) > 1 {
			answers = append(answers, ',')
		}
		answers = append(append(append(answers, key...), ':'), answer.Result...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return nextRound(c.Params, append(answers, '}'), v[1]), nil
}

// put puts one question to the agent, if it has said that it takes such.
func (f *flight) put(ctx context.Context, c *mcp.Call, request []byte) (*mcp.Reply, error) {
	var v [2][]byte
	if _, err := mcp.Pick(request, []string{"method", "params"}, v[:]); err != nil {
		return nil, f.unreadable("asked", err)
	}
	method, _ := mcp.Unquote(v[0])
	if c.Stream == nil || !takes(c.Client, method) {
		return nil, refuse(mcp.UpstreamError, fmt.Sprintf("server %q needs %.64q of the client, which does not offer it", f.direct.Server, method))
	}
	params, answer, err := f.toLegacy(c.Client, method, v[1])
	if err != nil || answer != nil {
		return answer, err
	}
	reply, err := c.Stream.Ask(ctx, method, params)
	if err == nil && reply.Error != nil {
		return nil, refuse(mcp.UpstreamError, fmt.Sprintf("server %q asked %s, and the client answered: %s", f.direct.Server, method, reply.Error.Message))
	}
	return reply, err
}

// takes says whether a client declared the capability that a request of a server's needs.
func takes(c *mcp.Client, method string) bool {
	name := capabilityOf(method)
	if name == "" || c == nil || c.Capabilities == nil {
		return false
	}
	var v [1][]byte
	_, err := mcp.Pick(c.Capabilities, []string{name}, v[:])
	return err == nil && v[0] != nil
}

// nextRound is params with the answers of a round, and the state that came with the questions, if any.
func nextRound(params, answers, state []byte) []byte {
	next := withoutAnswers(params) // of the round before
	if answers != nil {
		next = mcp.AppendMember(nil, next, "inputResponses", answers)
	}
	if state != nil {
		next = mcp.AppendMember(nil, next, "requestState", state)
	}
	return next
}
