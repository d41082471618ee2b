package mcp

import "errors"

// Code is a reason for which a call is refused or did not come through, as agents and operators see it.
type Code string

// The codes that an agent can get.
const (
	// DeniedByPolicy says that the policy does not allow it, whether or not it exists.
	DeniedByPolicy Code = "DENIED_BY_POLICY"
	// InvalidAgentID says that the caller named no agent, an unknown one, or one that its credential does not list.
	InvalidAgentID Code = "INVALID_AGENT_ID"
	// FallbackAgentNotInRules says that the default agent has no policy.
	FallbackAgentNotInRules Code = "FALLBACK_AGENT_NOT_IN_RULES"
	// NoFallbackConfigured says that the caller named no agent and there is no policy to fall back to.
	NoFallbackConfigured Code = "NO_FALLBACK_CONFIGURED"
	// ServerUnavailable says that the upstream is down, misdefined, or permitted but not defined.
	ServerUnavailable Code = "SERVER_UNAVAILABLE"
	// ToolNotFound says that the upstream has no tool of that name.
	ToolNotFound Code = "TOOL_NOT_FOUND"
	// Timeout says that the upstream did not answer in time; the call was cancelled there.
	Timeout Code = "TIMEOUT"
	// RateLimited says that the caller has used up what it may use for now.
	RateLimited Code = "RATE_LIMITED"
	// InvalidArgument says that an argument of the gateway's own tool is missing or wrong.
	InvalidArgument Code = "INVALID_ARGUMENT"
	// UpstreamError carries a JSON-RPC error of the upstream.
	UpstreamError Code = "UPSTREAM_ERROR"
	// Internal says that the gateway is at fault.
	Internal Code = "INTERNAL"
)

// What a Caller's error wraps.
var (
	// ErrUnavailable says that the upstream could not be reached, or went away before it answered.
	ErrUnavailable = errors.New("upstream unavailable")
	// ErrUnanswered says of an ErrUnavailable that the upstream took the request, and ended its answer before it was one.
	ErrUnanswered = errors.New("whether the request was executed is not known")
	// ErrTimeout says that the upstream did not answer before the call's deadline.
	ErrTimeout = errors.New("upstream timed out")
	// ErrBusy says that the upstream has as many calls under way as it may have; nothing was sent.
	ErrBusy = errors.New("upstream busy")
	// ErrInvalidResponse says that the upstream answered with something that is not a JSON-RPC response.
	ErrInvalidResponse = errors.New("upstream sent an invalid response")
	// ErrStorage says that the upstream's answer is large and could not be kept on disk: the gateway's trouble, not the
	// upstream's.
	ErrStorage = errors.New("no room for the answer")
)

// JSON-RPC and MCP error codes (https://www.jsonrpc.org/specification#error_object; MCP 2026-07-28, basic/errors).
const (
	CodeParseError         = -32700
	CodeInvalidRequest     = -32600
	CodeMethodNotFound     = -32601
	CodeInvalidParams      = -32602
	CodeInternalError      = -32603
	CodeHeaderMismatch     = -32020
	CodeMissingCapability  = -32021
	CodeUnsupportedVersion = -32022
)
