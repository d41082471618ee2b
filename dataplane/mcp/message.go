package mcp

import "fmt"

// Kind is what a JSON-RPC message is.
type Kind uint8

// The kinds of JSON-RPC messages.
const (
	// Request has a method and an id, and expects a response.
	Request Kind = iota + 1
	// Notification has a method and no id; nothing answers it.
	Notification
	// Response has an id and either a result or an error.
	Response
)

// Message is one JSON-RPC message, scanned in place: its byte slices are parts of what was scanned and live as long.
type Message struct {
	Kind Kind
	// ID is the id as it stands, so that 9007199254740993 and "1" go back as they came. It is nil for notifications, and
	// for error responses whose id is null.
	ID []byte
	// Method is empty for responses.
	Method string
	// Params is the raw object, nil where there is none.
	Params []byte
	// Result is the raw result of a response, nil where it has an error.
	Result []byte
	// Error is the raw error object of a response, nil where it has a result; ParseError decodes it.
	Error []byte
	// Facts are of Result.
	Facts Facts
}

// The places of an envelope's members in what ScanMessage picks.
const (
	memberVersion = iota
	memberID
	memberMethod
	memberParams
	memberResult
	memberError
	memberCount
)

// ScanMessage reads exactly one JSON-RPC 2.0 message and checks the whole text as Check does, without copying. Params
// must be an object where there are any. The error is an *Error with CodeParseError or CodeInvalidRequest; the message
// then carries the id where a request's id could be told.
func ScanMessage(data []byte) (Message, error) {
	var m Message
	var v [memberCount][]byte
	names := [memberCount]string{"jsonrpc", "id", "method", "params", "result", "error"}
	p := picker{names: names[:], out: v[:]}
	s := scanner{data: data, watch: `"result"`}
	if !s.document(&p) {
		if p.fault != nil {
			return m, refusal("ambiguous member %s", string(p.fault)) // copied: else the picker would escape
		}
		return m, s.parseError()
	}
	if c := data[skipSpace(data, 0)]; c != '{' {
		return m, refusal("the body is not one JSON-RPC message object (batches are not served)")
	}
	m.Facts = s.facts
	return m, m.fill(&v)
}

func refusal(format string, args ...any) error {
	return &Error{Code: CodeInvalidRequest, Message: "reading message: " + fmt.Sprintf(format, args...)}
}

// fill judges what was picked: first the id, so that every later refusal can name it.
func (m *Message) fill(v *[memberCount][]byte) error {
	if id := v[memberID]; validID(id) {
		m.ID = id
	} else if id != nil && (string(id) != "null" || v[memberError] == nil) {
		return refusal("id must be a string or an integer")
	}
	if string(v[memberVersion]) != `"2.0"` {
		return refusal(`jsonrpc must be "2.0"`)
	}
	if v[memberMethod] != nil {
		return m.fillRequest(v)
	}
	return m.fillResponse(v)
}

// fillRequest takes a message with a method: without an id it is a notification.
func (m *Message) fillRequest(v *[memberCount][]byte) error {
	if v[memberResult] != nil || v[memberError] != nil {
		return refusal("both a request and a response")
	}
	name, ok := method(v[memberMethod])
	if !ok {
		return refusal("method must be a string that is not empty")
	}
	if p := v[memberParams]; p != nil && p[0] != '{' {
		return refusal("params must be an object")
	}
	m.Kind, m.Method, m.Params = Notification, name, v[memberParams]
	if m.ID != nil {
		m.Kind = Request
	}
	return nil
}

// fillResponse takes a message without a method. An id of null is for errors only, and says that the other side could not
// read ours.
func (m *Message) fillResponse(v *[memberCount][]byte) error {
	result, fault := v[memberResult], v[memberError]
	if (result == nil) == (fault == nil) {
		return refusal("exactly one of method, result and error must be there")
	}
	if m.ID == nil && fault == nil {
		return refusal("a result without an id")
	}
	if fault != nil && fault[0] != '{' {
		return refusal("error must be an object")
	}
	m.Kind, m.Result, m.Error = Response, result, fault
	return nil
}

// validID says whether a checked value is a string or an integer, without fraction or exponent: 1 and 1.0 would be one id
// to some and two to others.
func validID(id []byte) bool {
	if len(id) == 0 {
		return false
	}
	if id[0] == '"' {
		return true
	}
	for i, c := range id {
		if !isDigit(c) && (c != '-' || i > 0) {
			return false
		}
	}
	return true
}

// method decodes a method's name; the usual ones cost no memory, since the compiler compares without a conversion.
func method(raw []byte) (string, bool) {
	switch string(raw) {
	case `"tools/call"`:
		return "tools/call", true
	case `"tools/list"`:
		return "tools/list", true
	case `"ping"`:
		return "ping", true
	case `"initialize"`:
		return "initialize", true
	}
	name, ok := Unquote(raw)
	return name, ok && name != ""
}
