package config

import (
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// Explain decides one access as a proxy with this configuration would. The revision is the request's. A configuration
// that does not compile denies, as every error while deciding does.
func Explain(c *gatehousev1.Config, req *gatehousev1.ExplainRequest) *gatehousev1.ExplainResponse {
	id, d := explain(c, req)
	return &gatehousev1.ExplainResponse{
		Allow: d.Allow, Code: string(d.Code), Rule: d.Rule, Agent: id, Revision: req.GetRevision(),
	}
}

// explain also returns the policy that was used; empty where none was found.
func explain(c *gatehousev1.Config, req *gatehousev1.ExplainRequest) (string, policy.Decision) {
	set, err := policy.Compile(c)
	if err != nil {
		return "", policy.Undecided()
	}
	agent, d := set.Resolve(req.GetAgent())
	if agent == nil {
		return "", d
	}
	return agent.ID, decide(agent, req)
}

// decide asks about the tool, the resource or the prompt that is named, or about the server where none is. Several at once
// are no question, which the callers refuse; the first of them counts here.
func decide(a *policy.Agent, req *gatehousev1.ExplainRequest) policy.Decision {
	switch {
	case req.Tool != nil:
		return a.May(policy.Tools, req.GetServer(), req.GetTool())
	case req.Resource != nil:
		return a.May(policy.Resources, req.GetServer(), req.GetResource())
	case req.Prompt != nil:
		return a.May(policy.Prompts, req.GetServer(), req.GetPrompt())
	}
	return a.Server(req.GetServer())
}
