package front

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// errLongLine says that a line is longer than a message may be.
var errLongLine = errors.New("the message is larger than this gateway takes")

// ServeStdio serves one agent over a pipe: a message a line on in, an answer a line on out, nothing else there. Requests
// are served side by side, up to Config.Parallel; each says its era itself. It returns nil at the end of in, when the
// calls under way are done and answered, and the context's error where that ends first, which cancels them. It closes in
// then, if that can be closed. What the system cannot interrupt is left behind: a read, or, after a few seconds, writes to
// an agent that does not read.
func (h *Handler) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &pipe{
		h: h, out: out, stop: cancel, who: table.Everyone("stdio"), session: rand.Text(),
		slots: make(chan struct{}, h.conf.parallel()),
	}
	defer h.conf.endSession(p.session)
	lines := make(chan line)
	go h.readLines(ctx, in, lines)
	err := p.run(ctx, lines)
	p.wait(ctx)
	if c, ok := in.(io.Closer); ok && err != nil {
		err = errors.Join(err, c.Close())
	}
	return err
}

// lastWords is how long a pipe whose context has ended waits for its answers to be read.
const lastWords = 3 * time.Second

// wait waits for the requests under way.
func (p *pipe) wait(ctx context.Context) {
	done := make(chan struct{})
	go func() { p.under.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	select {
	case <-done:
	case <-time.After(lastWords):
		p.h.log.Warn("agent does not read its answers", "session", p.session)
	}
}

// line is one message, or what came instead of it: errLongLine, after which more may come, or why nothing will.
type line struct {
	x   *exchange
	err error
}

// readLines sends each line to lines, and at last, unless ctx ends, why there are no more.
func (h *Handler) readLines(ctx context.Context, in io.Reader, lines chan<- line) {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		x := h.memory.take()
		err := x.readLine(r, int(h.conf.maxBody()))
		select {
		case lines <- line{x, err}:
		case <-ctx.Done():
			return
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return
		}
	}
}

// readLine fills the body with one line; of one that is too long it keeps nothing, and reads to its end. The last line
// needs no newline.
func (x *exchange) readLine(r *bufio.Reader, most int) error {
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if long = long || len(x.body)+len(part) > most; long {
			x.body = x.body[:0]
		} else {
			x.body = append(x.body, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case long && (err == nil || err == io.EOF): // the next read finds the end once more
			return errLongLine
		case err == io.EOF && len(x.body) > 0:
			return nil
		default:
			return err
		}
	}
}

// pipe is one agent on stdio. It is one session in both eras: whoever holds the pipe is one agent, so its cancellations
// are its own, and upstream sessions that are kept per session are kept for as long as the pipe.
type pipe struct {
	h       *Handler
	stop    context.CancelCauseFunc
	who     *table.Principal // whoever started the process may act as every agent: its files are this user's
	session string
	slots   chan struct{}
	under   sync.WaitGroup

	mu  sync.Mutex // guards out; held during the write, since lines must not mix
	out io.Writer
}

// run takes lines until there are no more.
func (p *pipe) run(ctx context.Context, lines <-chan line) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case l := <-lines:
			switch {
			case errors.Is(l.err, io.EOF):
				return nil
			case errors.Is(l.err, errLongLine):
				p.fail(nil, &mcp.Error{Code: mcp.CodeInvalidRequest, Message: l.err.Error()})
			case l.err != nil:
				return fmt.Errorf("reading from the agent: %w", l.err)
			default:
				p.take(ctx, l.x)
			}
		}
	}
}

// take serves one line, requests on a goroutine of their own.
func (p *pipe) take(ctx context.Context, x *exchange) {
	if len(bytes.TrimSpace(x.body)) == 0 {
		p.h.memory.free(x)
		return
	}
	err := x.scan()
	if err == nil && x.msg.Kind == mcp.Request {
		p.start(ctx, x)
		return
	}
	switch {
	case err != nil && x.msg.Kind == mcp.Notification: // it has no answer, whatever is wrong with it (JSON-RPC 2.0 §4.1)
		p.h.log.Debug("notification not taken", "method", x.msg.Method, "error", err)
	case err != nil:
		p.fail(x.msg.ID, asError(err))
	default:
		x.call.Session = p.session
		p.h.notify(x)
	}
	p.h.memory.free(x)
}

// start starts a request once there is a slot for it; wait waits for it. While all slots are taken no further line is
// read, not even a cancellation: a bound that lines can pass is none.
func (p *pipe) start(ctx context.Context, x *exchange) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		p.h.memory.free(x)
		return
	}
	// Before the goroutine starts, so that a cancellation on the next line finds it.
	ctx, done := p.h.calls.begin(ctx, p.session, x.msg.ID)
	p.under.Go(func() {
		defer func() { done(); p.h.memory.free(x); <-p.slots }()
		p.request(ctx, x)
	})
}

// request answers one request, in the order in which they are done. A request that its agent cancelled gets no answer (basic/utilities/cancellation).
func (p *pipe) request(ctx context.Context, x *exchange) {
	if err := x.bodyEra(); err != nil {
		p.fail(x.msg.ID, err)
		return
	}
	x.call.Principal, x.call.Session, x.call.Remote = p.who, p.session, "stdio"
	reply, err := p.h.serve(ctx, x)
	switch {
	case errors.Is(context.Cause(ctx), errCancelled):
		reply.Close()
	case err != nil:
		p.fail(x.msg.ID, p.h.asFault(ctx, x, err))
	case reply.Error != nil:
		p.fail(x.msg.ID, reply.Error)
	default:
		if reply.Spill != nil {
			p.replySpill(x, reply.Spill)
		} else {
			p.reply(x, reply.Result)
		}
		reply.Close()
	}
}

// lineTail ends a response and its line.
const lineTail = mcp.ResponseTail + "\n"

// reply writes a result as one line. A large one is not copied, unless there are line breaks in it.
func (p *pipe) reply(x *exchange, result []byte) {
	x.out = mcp.AppendResponseHead(x.out[:0], x.msg.ID)
	if len(result) > inline && !bytes.ContainsAny(result, "\r\n") {
		p.write(x.out, result, []byte(lineTail))
		return
	}
	head := len(x.out)
	x.out = append(append(x.out, result...), lineTail...)
	flatten(x.out[head : head+len(result)])
	p.write(x.out)
}

// flatten makes one line of a JSON text: line breaks, which it can have between tokens only, become spaces.
func flatten(text []byte) {
	for i, c := range text {
		if c == '\n' || c == '\r' {
			text[i] = ' '
		}
	}
}

// fail writes an error response; a nil id is one that could not be told.
func (p *pipe) fail(id []byte, e *mcp.Error) {
	p.write(append(mcp.AppendError(nil, id, e), '\n'))
}

func writingToAgent(err error) error { return fmt.Errorf("writing to the agent: %w", err) }

// write writes the parts of one line; an agent that does not read any more ends the pipe.
func (p *pipe) write(line ...[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, part := range line {
		if _, err := p.out.Write(part); err != nil {
			p.stop(writingToAgent(err))
			return
		}
	}
}
