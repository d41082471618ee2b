package gateway

import (
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
)

// complete is what the modern era's resultType says of an answer that is all there is.
const complete = `"complete"`

// answer makes a result of the gateway's own the reply. It stands in the flight's buffer, which close gives back.
func (f *flight) answer(result []byte) {
	if f.call.Era == mcp.Modern { // before the closing brace
		result = append(result[:len(result)-1], `,"resultType":`+complete+`}`...)
	}
	*f.buffer = result
	f.reply.Result = result
}

// answerJSON makes a JSON document the reply: once as text, once as structured content. An array is wrapped in an object
// there, since structured content must be one.
func (f *flight) answerJSON(document []byte) {
	dst := append(*f.memory(), `{"content":[{"type":"text","text":"`...)
	dst = append(appendEscaped(dst, document), `"}],"structuredContent":`...)
	if document[0] == '[' {
		dst = append(append(append(dst, `{"result":`...), document...), '}')
	} else {
		dst = append(dst, document...)
	}
	f.entry.Outcome = record.OK
	f.answer(append(dst, '}'))
}

// memory returns the flight's buffer, empty.
func (f *flight) memory() *[]byte {
	if f.buffer == nil {
		f.buffer = f.g.buffers.take()
	}
	*f.buffer = (*f.buffer)[:0]
	return f.buffer
}

// pass makes an upstream's result the reply, as it stands: content of every type, isError, structuredContent, _meta and
// members that nobody knows yet. Only where the agent's era wants a resultType and there is none, one is appended: in the
// memory behind the result, or else with a copy.
func (f *flight) pass(r *mcp.Reply) {
	f.inner = r // its memory is given back when the agent has the bytes
	f.reply.Result = r.Result
	f.entry.Outcome = record.OK
	if r.Spill != nil {
		f.passSpill(r.Spill)
		return
	}
	hasType, isError := traits(r, f.call.Era)
	if isError {
		f.entry.Outcome = record.ToolError
	}
	if f.call.Era != mcp.Modern || hasType {
		return
	}
	if r.Room {
		f.reply.Result = mcp.ExtendMember(r.Result, "resultType", []byte(complete))
		return
	}
	f.reply.Result = mcp.AppendMember(*f.memory(), r.Result, "resultType", []byte(complete))
	*f.buffer = f.reply.Result
}

// appendEscaped appends a checked JSON document as the inside of a JSON string. Such a document has no other characters
// to escape than these.
func appendEscaped(dst, document []byte) []byte {
	from := 0 // what stands before i and is not copied yet
	for i, c := range document {
		if c != '"' && c != '\\' && c >= ' ' {
			continue
		}
		dst = append(dst, document[from:i]...)
		from = i + 1
		if c < ' ' {
			dst = append(dst, ' ') // white space between tokens
		} else {
			dst = append(dst, '\\', c)
		}
	}
	return append(dst, document[from:]...)
}
