// Package record keeps what happened: one audit line for each decision, and the metrics that the lines add up to. A line:
//
//	{"time":"2026-11-24T07:30:00.123000Z","id":"86a7e9de0e0c-17","proxy":"edge-1","revision":7,"principal":"laptop",
//	 "agentAsked":"researcher","agent":"researcher","method":"execute_tool","server":"everything","tool":"echo",
//	 "argsShape":{"message":"string"},"argsSha256":"9b2d…","decision":"allow","rule":"agents.researcher.allow.servers[0]",
//	 "outcome":"OK","bytesIn":174,"bytesOut":159,"ms":12.646}
//
// It never holds the value of an argument: of the arguments it keeps the names, the JSON types and a digest. It refuses to
// lose a line: where the disk is too slow, calls wait. Metrics have labels of the configuration's names alone.
package record

import (
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// Outcome is how a call ended: one of the constants below, or the mcp.Code of its refusal.
type Outcome string

// The outcomes that are not codes.
const (
	// OK is an answer of the upstream, or of the gateway itself.
	OK Outcome = "OK"
	// ToolError is an answer in which the upstream's tool says that it failed.
	ToolError Outcome = "TOOL_ERROR"
	// Cancelled says that the agent went away before the answer.
	Cancelled Outcome = "CANCELLED"
	// Unauthenticated says that the API key was missing, unknown or expired; no call was made of the request.
	Unauthenticated Outcome = "UNAUTHENTICATED"
)

// Outcomes returns all outcomes there are, so that their counters exist before the first call.
func Outcomes() []Outcome {
	return []Outcome{
		OK, ToolError, Cancelled, Unauthenticated,
		Outcome(mcp.DeniedByPolicy), Outcome(mcp.InvalidAgentID), Outcome(mcp.FallbackAgentNotInRules),
		Outcome(mcp.NoFallbackConfigured), Outcome(mcp.ServerUnavailable), Outcome(mcp.ToolNotFound),
		Outcome(mcp.Timeout), Outcome(mcp.RateLimited), Outcome(mcp.InvalidArgument),
		Outcome(mcp.UpstreamError), Outcome(mcp.Internal),
	}
}

// Entry is what is known of one call once it has ended. Strings that the agent wrote are cut at 256 bytes when they are
// written.
type Entry struct {
	// Time is when the call began.
	Time time.Time
	// Revision is the configuration that decided; 0 where there was none.
	Revision int64
	// Principal is the credential's name; empty where the caller proved none.
	Principal string
	// AgentAsked is the agent that the caller named; empty where it named none.
	AgentAsked string
	// Agent is the policy that the call was decided on; empty where none was found.
	Agent string
	// Method is the gateway's tool, such as "execute_tool", or the MCP method where an upstream is served as itself.
	Method string
	// Server is the upstream that was asked for, whether or not it exists.
	Server string
	// Tool is the upstream's tool that was asked for, whether or not it exists.
	Tool string
	// Args are the raw arguments; only their shape and digest are kept.
	Args []byte
	// Allow is the decision.
	Allow bool
	// Rule is the path of the rule that decided; empty where none did.
	Rule string
	// Outcome is how the call ended.
	Outcome Outcome
	// BytesIn is the length of the request's body.
	BytesIn int
	// BytesOut is the length of the result.
	BytesOut int
	// Took is the time from the request's arrival to its result, written in milliseconds.
	Took time.Duration
}
