package mcp

import (
	"context"
	"encoding/json"
)

// Call is one MCP request on its way to an upstream, neutral of era and transport.
type Call struct {
	// Method is the MCP method, such as "tools/call".
	Method string
	// Params is the raw JSON object to send as params, without the members that an era adds to _meta. Nil sends none.
	// It MUST NOT be changed while the call is under way.
	Params []byte
	// Name is what the Mcp-Name header carries: the tool's name, or the resource's URI; empty for other methods.
	Name string
	// Agent is the policy that the call was decided on; it selects the upstream session where those are per agent.
	Agent string
	// Session is the agent's MCP session; empty where there is none. It selects the upstream session where those are
	// per session.
	Session string
	// Header are Mcp-Param headers of the agent's that mirror no parameter known to us, under their canonical names: they
	// go on as they came where the upstream has headers. Mostly nil.
	Header map[string][]string
	// Stream, where set, takes what the upstream says while the call is under way. Nil drops notifications and refuses
	// requests.
	Stream Stream
	// Client is what the agent declared of itself; nil declares nothing.
	Client *Client
	// Own says that the session MUST be the agent's own, and of the legacy era; it needs a Client.
	Own bool
	// Large says that the caller takes a Spill for a result that is too large for memory. Without it, such a result is an
	// error.
	Large bool
	// Profile, where set, are the capabilities, a raw object, that the session MUST have been opened with: one in the
	// gateway's name, in the legacy era, of this agent's alone. Stream is then asked what the server asks.
	Profile []byte
	// Alone says that no other call that is alone may be under way on the session: what the server asks then belongs to
	// this call, also where the transport does not say so. It needs a Profile. A session on which such a call did not end
	// well is not used again.
	Alone bool
}

// Client is what an agent declared of itself, for upstreams that are to see the agent and not the gateway. Its slices are
// raw JSON and MUST NOT be changed.
type Client struct {
	// Capabilities is an object; nil declares none.
	Capabilities []byte
	// Info is the agent's name and version, an object; nil leaves it to the gateway to name itself.
	Info []byte
	// Version is the protocol version that the agent speaks.
	Version string
}

// Stream is the agent's side of a call under way. Its methods may be called from several goroutines.
type Stream interface {
	// Notify passes a notification on; params is a raw object, or nil. It MUST NOT keep params, and it SHOULD NOT wait long:
	// other calls on the same connection may wait meanwhile. It is never called once the call has returned.
	Notify(method string, params []byte)
	// Ask passes a request of the upstream's on and waits for the agent's answer; params are as for Notify, but valid until
	// Ask returns. ctx ends when the call does, or when the upstream cancels its request.
	Ask(ctx context.Context, method string, params []byte) (*Reply, error)
}

// Witness is a Stream that is told when its upstream asks for something that is not offered to it, and so was refused.
// Refused may be called from several goroutines, and late: when the call has returned.
type Witness interface {
	Refused(method string)
}

// Reply is an upstream's answer: exactly one of Result, Spill and Error is set.
type Reply struct {
	// Result holds the bytes of the result member as the upstream sent them. It is valid until Close.
	Result []byte
	// Facts are of Result, where they are known.
	Facts Facts
	// Room says that the memory behind Result, up to its capacity, is the reply's too and may be written over.
	Room bool
	// Spill is a result that is too large for memory; only calls that say Large get one. It is valid until Close.
	Spill *Spill
	// Error is a JSON-RPC error of the upstream.
	Error *Error
	// Free, where set, gives the memory of Result back, or the file of Spill.
	Free func()
}

// Close gives the reply's memory back; Result and Spill MUST NOT be used afterwards. It may be called on a nil reply.
func (r *Reply) Close() {
	if r != nil && r.Free != nil {
		r.Free()
		r.Free = nil
	}
}

// Error is a JSON-RPC 2.0 error object (https://www.jsonrpc.org/specification#error_object), with its data as sent.
type Error struct {
	Code    int64           `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Caller performs calls. An error that is not nil means that no answer came: it wraps one of the sentinels of this
// package (ErrUnavailable, ErrBusy, ErrTimeout, ErrInvalidResponse), or the context's error where the agent went away. A
// JSON-RPC error of the upstream is a Reply.
type Caller interface {
	Call(ctx context.Context, c *Call) (*Reply, error)
}
