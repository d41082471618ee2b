package gateway

import (
	"context"
	"fmt"
	"strconv"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

// codeVisitFirst is what a server of MCP 2025-11-25 answers where its user has to go to a URL before the call can be made
// (client/elicitation §URL Elicitation Required Error). The call was not made, so it may be made again.
const codeVisitFirst = -32042

// visitFirst makes a question of the modern era of such an answer.
func (x *crossing) visitFirst(reply *mcp.Reply) (*mcp.Reply, error) {
	var v [1][]byte
	if reply.Error.Data == nil {
		return reply, nil
	}
	if _, err := mcp.Pick(reply.Error.Data, []string{"elicitations"}, v[:]); err != nil || v[0] == nil {
		return reply, nil //nolint:nilerr // the agent gets it as it stands
	}
	var asked []*inquiry
	err := mcp.Elements(v[0], func(params []byte) error {
		if len(params) > 0 && params[0] == '{' && len(asked) < maxRounds {
			key := "r" + strconv.Itoa(len(asked)+1)
			asked = append(asked, &inquiry{key: key, method: "elicitation/create", params: asQuestion(params)})
		}
		return nil
	})
	switch {
	case err != nil || len(asked) == 0:
		return reply, nil //nolint:nilerr // as above
	case !hasPart(x.c.Client.Capabilities, "elicitation", "url"):
		return nil, &mcp.Error{
			Code: mcp.CodeMissingCapability, Data: []byte(`{"requiredCapabilities":{"elicitation":{"url":{}}}}`),
			Message: fmt.Sprintf("server %q sends its user to a URL first, and this client did not declare that it can", x.direct.Server),
		}
	}
	if x.visits++; x.visits > maxRounds {
		return nil, x.tooManyRounds()
	}
	state := x.sealed(seal.Value{
		Kind: seal.KindVisit, Expires: x.entry.Time.Add(replayTime), Payload: strconv.AppendInt(nil, int64(x.visits), 10),
	})
	return question(asked, state), nil
}

// visited makes the call once more, after the user has been sent to a URL. Whoever did not go is not asked again.
func (x *crossing) visited(ctx context.Context, payload []byte) (*mcp.Reply, error) {
	visits, err := strconv.Atoi(string(payload))
	if err != nil {
		return nil, errForeignState()
	}
	x.visits = visits
	if x.responses != nil {
		err = mcp.Members(x.responses, func(_, answer []byte) error {
			var v [1][]byte
			if _, err := mcp.Pick(answer, []string{"action"}, v[:]); err != nil {
				return errBadResponses(err.Error())
			}
			if action, _ := mcp.Unquote(v[0]); action != "accept" {
				return refuse(mcp.UpstreamError, fmt.Sprintf("server %q sends its user to a URL first, and the user did not go", x.direct.Server))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	x.c.Params = withoutAnswers(x.c.Params)
	return x.begin(ctx)
}
