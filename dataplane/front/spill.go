package front

import (
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// writeSpill answers a request with a result that is too large for memory. It goes to the agent as it comes out of its file,
// where possible without passing through this process.
func (h *Handler) writeSpill(w http.ResponseWriter, x *exchange, s *mcp.Spill) {
	x.out = mcp.AppendResponseHead(x.out[:0], x.msg.ID)
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.FormatInt(int64(len(x.out))+s.Size()+int64(len(mcp.ResponseTail)), 10))
	if !h.write(w, x.out) {
		return
	}
	if _, err := s.WriteTo(&paced{h, w}); err != nil { // the HTTP server closes a connection whose answer is short
		h.log.Debug("large answer not delivered", "error", err)
		return
	}
	h.write(w, []byte(mcp.ResponseTail))
}

// paced is an answer of which the agent must take each piece within the patience.
type paced struct {
	h *Handler
	w http.ResponseWriter
}

// Write implements io.Writer.
func (p *paced) Write(text []byte) (int, error) {
	if !p.h.write(p.w, text) {
		return 0, errGone
	}
	return len(text), nil
}

// ReadFrom implements io.ReaderFrom for what io.CopyN reads, so that the system can copy from a file to a connection.
func (p *paced) ReadFrom(r io.Reader) (n int64, err error) {
	whole, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{p}, r)
	}
	control := http.NewResponseController(p.w)
	for whole.N > 0 {
		p.h.bounded(control.SetWriteDeadline(time.Now().Add(2 * p.h.conf.patience())))
		m, err := io.CopyN(p.w, whole.R, min(whole.N, piece))
		n, whole.N = n+m, whole.N-m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// flat is a writer for a JSON text of which the line breaks become spaces.
type flat struct {
	to   io.Writer
	text []byte // that was written last
}

// Write implements io.Writer.
func (f *flat) Write(text []byte) (int, error) {
	f.text = append(f.text[:0], text...)
	flatten(f.text)
	return f.to.Write(f.text)
}

// sendSpill is send for an answer whose result is too large for memory.
func (e *events) sendSpill(id []byte, s *mcp.Spill) {
	e.mu.Lock()
	defer e.mu.Unlock()
	to := &paced{e.h, e.w}
	_, err := to.Write(mcp.AppendResponseHead([]byte(eventHead), id))
	if err == nil {
		_, err = s.WriteTo(&flat{to: to})
	}
	if err != nil { // the event has no end, so the agent does not take it for one
		e.h.log.Debug("large answer not delivered", "error", err)
		return
	}
	e.writeLocked([]byte(mcp.ResponseTail + eventTail))
}

// replySpill is reply for a result that is too large for memory.
func (p *pipe) replySpill(x *exchange, s *mcp.Spill) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.out.Write(mcp.AppendResponseHead(x.out[:0], x.msg.ID))
	if err == nil {
		_, err = s.WriteTo(&flat{to: p.out})
	}
	if err == nil {
		_, err = io.WriteString(p.out, lineTail)
	}
	if err != nil {
		p.stop(writingToAgent(err)) // half a line may be out
	}
}
