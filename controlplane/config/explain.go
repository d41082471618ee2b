package config

import (
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// Explain decides one access as a proxy with this configuration would. The revision is the request's. A configuration
// that does not compile denies, as every error while deciding does.
func Explain(c *gatehousev1.Config, req *gatehousev1.ExplainRequest) *gatehousev1.ExplainResponse {
	out := &gatehousev1.ExplainResponse{Revision: req.GetRevision()}
	set, err := policy.Compile(c)
	if err != nil {
		out.Code = string(mcp.Internal)
		return out
	}
	agent, d := set.Resolve(req.GetAgent())
	if agent != nil {
		out.Agent = agent.ID
		d = decide(agent, req)
	}
	out.Allow, out.Code, out.Rule = d.Allow, string(d.Code), d.Rule
	return out
}

// decide asks about the tool, or about the server where no tool is named.
func decide(a *policy.Agent, req *gatehousev1.ExplainRequest) policy.Decision {
	if req.Tool == nil {
		return a.Server(req.GetServer())
	}
	return a.Tool(req.GetServer(), req.GetTool())
}
