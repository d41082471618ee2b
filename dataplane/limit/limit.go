// Package limit counts what callers use at the same time, and names the bounds of a proxy. It decides nothing but whether
// there is room: what becomes of a caller for whom there is none is said where the bound is met.
//
// Counting costs a call two additions to one number, and neither a lock nor memory. What a principal uses is counted in one
// place for as long as the principal is configured, across all snapshots: see table.Live.
package limit

import "sync/atomic"

// Name names a bound, as operators set it and metrics count what it refused.
type Name string

// The bounds on what agents send and hold.
const (
	// Connections bounds the TCP connections of agents.
	Connections Name = "connections"
	// Headers bounds the bytes of a request's headers, HeaderNames how many different ones there are.
	Headers     Name = "headers"
	HeaderNames Name = "header-names"
	// HeaderTimeout bounds how long a request's headers may take, IdleTimeout how long a connection may do nothing.
	HeaderTimeout Name = "header-timeout"
	IdleTimeout   Name = "idle-timeout"
	// Body bounds a message of an agent, in bytes.
	Body Name = "body"
	// Patience bounds how long a body, and half of how long each part of an answer, may take.
	Patience Name = "patience"
	// Calls, Streams and Held bound what one principal has under way: calls, open streams of events, and the bytes of large
	// bodies and of large answers that it has not taken.
	Calls   Name = "calls"
	Streams Name = "streams"
	Held    Name = "held"
	// ParkedCalls bounds the calls that wait for their agents' answers, Parked those of one principal.
	ParkedCalls Name = "parked-calls"
	Parked      Name = "parked"
)

// The bounds on what upstreams do.
const (
	// Waiting bounds the calls under way at one server.
	Waiting Name = "server-calls"
	// Message bounds one message of a server, in bytes, AnswerHeaders the headers around it.
	Message Name = "message"
	// Memory bounds a message that is held in memory, Spill is the size from which on a result is not, and Disk bounds all
	// results that are in files.
	Memory        Name = "memory"
	Spill         Name = "spill"
	Disk          Name = "disk"
	AnswerHeaders Name = "answer-headers"
	// Notifications bounds what a server may say during one call.
	Notifications Name = "notifications"
	// Redirects bounds how many are followed for one request.
	Redirects Name = "redirects"
	// Tools and Catalogue bound the tools of a server, by number and by bytes.
	Tools     Name = "tools"
	Catalogue Name = "catalogue"
	// Sessions bounds the sessions with a server whose mode is not shared.
	Sessions Name = "server-sessions"
	// ConnectTimeout bounds starting a server and the handshake with it.
	ConnectTimeout Name = "connect-timeout"
)

// Count is how much of something is in use. The zero value is none.
type Count struct{ n atomic.Int64 }

// Take counts n more in use, unless that would be more than most: then it takes nothing and returns false.
func (c *Count) Take(n, most int64) bool {
	// Adding first spares the loop that a compare-and-swap would need; at worst, two that meet at the bound are both refused.
	if c.n.Add(n) <= most {
		return true
	}
	c.n.Add(-n)
	return false
}

// Give gives back what Take took.
func (c *Count) Give(n int64) { c.n.Add(-n) }

// InUse is how much is taken now.
func (c *Count) InUse() int64 { return c.n.Load() }

// Use is what one principal has under way.
type Use struct {
	// Calls are calls, from their admission until their answer has been written.
	Calls Count
	// Streams are open streams of events.
	Streams Count
	// Held is the memory of large bodies and answers, in bytes.
	Held Count
}
