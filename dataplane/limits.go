package dataplane

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
)

// Limits are the bounds of a proxy: on what agents send and hold, and on what upstreams do. A field that is zero has its
// default; docs/limits.md says what happens beyond each. It is a flag's value (flag.Value, pflag.Value) of the form
// name=value, several with commas between them.
type Limits struct {
	// Connections is how many TCP connections of agents are served at the same time.
	Connections int
	// Headers bounds a request's headers in bytes, HeaderNames how many different ones it has.
	Headers     Size
	HeaderNames int
	// HeaderTimeout is for a request's headers, IdleTimeout for a connection between two requests.
	HeaderTimeout, IdleTimeout time.Duration
	// Body bounds a message of an agent; Patience is how long it may take, and half of how long each part of an answer may.
	Body     Size
	Patience time.Duration
	// Calls, Streams and Held are what one principal may have under way: calls, open streams of events, and bytes of large
	// bodies and answers.
	Calls, Streams int
	Held           Size
	// ParkedCalls is how many calls may wait for their agents' answers, Parked how many of one principal.
	ParkedCalls, Parked int
	// ServerCalls is how many calls may be under way at one server.
	ServerCalls int
	// Message bounds one message of a server, AnswerHeaders the headers of its answers.
	Message, AnswerHeaders Size
	// Memory bounds a message of a server that is held in memory. From Spill on, results of tools, resources and prompts are
	// not; Disk bounds all of those together.
	Memory, Spill, Disk Size
	// Notifications is how many messages a server may send during one call, Redirects how many are followed.
	Notifications, Redirects int
	// Tools and Catalogue bound the tools of one server.
	Tools     int
	Catalogue Size
	// ServerSessions is how many sessions there may be with one server whose mode is not shared.
	ServerSessions int
	// ConnectTimeout is for starting a server and the handshake with it.
	ConnectTimeout time.Duration
}

// Size is a number of bytes. As text it may end in KiB, MiB or GiB.
type Size int64

// bound is one field of Limits: its name, and where it is. Each value is an *int, a *Size or a *time.Duration.
type bound struct {
	name  limit.Name
	value any
}

// bounds lists the fields of l, in the order of the documentation.
func (l *Limits) bounds() []bound {
	return []bound{
		{limit.Connections, &l.Connections}, {limit.Headers, &l.Headers}, {limit.HeaderNames, &l.HeaderNames},
		{limit.HeaderTimeout, &l.HeaderTimeout}, {limit.IdleTimeout, &l.IdleTimeout},
		{limit.Body, &l.Body}, {limit.Patience, &l.Patience},
		{limit.Calls, &l.Calls}, {limit.Streams, &l.Streams}, {limit.Held, &l.Held},
		{limit.Parked, &l.Parked}, {limit.ParkedCalls, &l.ParkedCalls},
		{limit.Waiting, &l.ServerCalls}, {limit.Message, &l.Message}, {limit.AnswerHeaders, &l.AnswerHeaders},
		{limit.Memory, &l.Memory}, {limit.Spill, &l.Spill}, {limit.Disk, &l.Disk},
		{limit.Notifications, &l.Notifications}, {limit.Redirects, &l.Redirects},
		{limit.Tools, &l.Tools}, {limit.Catalogue, &l.Catalogue}, {limit.Sessions, &l.ServerSessions},
		{limit.ConnectTimeout, &l.ConnectTimeout},
	}
}

// DefaultLimits are the limits of a proxy that was told none.
func DefaultLimits() Limits {
	return Limits{
		Connections: 20_000, Headers: 64 << 10, HeaderNames: 100, HeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		Body: 16 << 20, Patience: 30 * time.Second,
		// One principal may be a whole team: its key is bound to many agents, each with a stream of its own.
		Calls: 2048, Streams: 16_384, Held: 256 << 20, Parked: 64, ParkedCalls: 1024,
		ServerCalls: 4096, Message: 256 << 20, Memory: 64 << 20, Spill: 2 << 20, Disk: 8 << 30,
		AnswerHeaders: 256 << 10, Notifications: 100_000, Redirects: 3,
		Tools: 20_000, Catalogue: 64 << 20, ServerSessions: 64, ConnectTimeout: 30 * time.Second,
	}
}

// withDefaults returns l with every field set.
func (l Limits) withDefaults() Limits {
	all := DefaultLimits()
	set := l.bounds()
	for i, b := range all.bounds() {
		if set[i].isZero() {
			set[i].copy(b)
		}
	}
	return l
}

// Set takes one limit, or several with commas between them, from text of the form name=value. Its error lists the names.
func (l *Limits) Set(text string) error {
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok {
			return fmt.Errorf("%q is not name=value; the limits are %s", pair, LimitNames())
		}
		if err := l.set(limit.Name(name), value); err != nil {
			return err
		}
	}
	return nil
}

// set takes one limit.
func (l *Limits) set(name limit.Name, value string) error {
	for _, b := range l.bounds() {
		if b.name != name {
			continue
		}
		if why := b.parse(value); why != "" {
			return fmt.Errorf("limit %s: %q is not %s; the limits are %s", name, value, why, LimitNames())
		}
		return nil
	}
	return fmt.Errorf("there is no limit %q; the limits are %s", name, LimitNames())
}

// String lists what was set.
func (l *Limits) String() string {
	var set []string
	for _, b := range l.bounds() {
		if !b.isZero() {
			set = append(set, string(b.name)+"="+b.text())
		}
	}
	return strings.Join(set, ",")
}

// Type is how help calls the value.
func (l *Limits) Type() string { return "name=value" }

// LimitNames lists all limits with their defaults, as name=value with commas between them.
func LimitNames() string {
	all := DefaultLimits()
	return strings.ReplaceAll(all.String(), ",", ", ")
}

// isZero says whether a bound was not set.
func (b bound) isZero() bool {
	switch v := b.value.(type) {
	case *int:
		return *v == 0
	case *Size:
		return *v == 0
	case *time.Duration:
		return *v == 0
	}
	return true
}

// copy takes the value of another bound of the same kind.
func (b bound) copy(from bound) {
	switch v := b.value.(type) {
	case *int:
		*v = *from.value.(*int) //nolint:forcetypeassert // the same field of another Limits
	case *Size:
		*v = *from.value.(*Size) //nolint:forcetypeassert // the same field of another Limits
	case *time.Duration:
		*v = *from.value.(*time.Duration) //nolint:forcetypeassert // the same field of another Limits
	}
}

// text is a bound's value as Set reads it.
func (b bound) text() string {
	switch v := b.value.(type) {
	case *int:
		return strconv.Itoa(*v)
	case *Size:
		return v.String()
	case *time.Duration:
		return shortDuration(*v)
	}
	return ""
}

// parse reads a value; where it is none, it returns what was wanted. Zero is none either: it would let nothing through.
func (b bound) parse(text string) (wanted string) {
	switch v := b.value.(type) {
	case *int:
		n, err := strconv.Atoi(text)
		if *v = n; err != nil || n <= 0 {
			return "a whole number above zero"
		}
	case *Size:
		n, ok := parseSize(text)
		if *v = n; !ok {
			return "a number of bytes above zero, such as 4096, 64KiB or 16MiB"
		}
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if *v = d; err != nil || d <= 0 {
			return "a duration above zero, such as 10s"
		}
	}
	return ""
}

// parseSize reads a number of bytes.
func parseSize(text string) (Size, bool) {
	shift := 0
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			text, shift = number, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || bits.Len64(uint64(n))+shift > 62 {
		return 0, false
	}
	return Size(n << shift), true
}

// String writes the size with the largest unit that leaves nothing over.
func (s Size) String() string {
	unit := ""
	for _, u := range []string{"KiB", "MiB", "GiB"} {
		if s%1024 != 0 || s == 0 {
			break
		}
		s, unit = s/1024, u
	}
	return strconv.FormatInt(int64(s), 10) + unit
}

// shortDuration is a duration without the zeros at its end: 2m and not 2m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}
