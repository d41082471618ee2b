package upstream

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	outgoing   = 64       // messages that may wait to be written to one child process
	batchBytes = 32 << 10 // waiting messages are written together up to this size
	exitTime   = 250 * time.Millisecond
)

// stdioConn is a connection to a child process: JSON-RPC messages, one a line, on its standard input and output
// (MCP 2025-11-25 and 2026-07-28, basic/transports §stdio).
//
// One goroutine writes, so that a child that does not read holds up no caller beyond its deadline; one reads and hands
// each answer to the call that waits for it.
type stdioConn struct {
	name  string
	cfg   *Config
	mem   *memory
	log   *slog.Logger
	hooks hooks
	proc  *process

	said    atomic.Pointer[hello]
	waiters waiters
	out     chan *buffer
	closing atomic.Bool
	gone    chan struct{} // closed by the reader when nothing more can come
	tasks   sync.WaitGroup
}

// dialStdio starts a program and reads from it.
func dialStdio(d *dialer, p program) (*stdioConn, error) {
	proc, err := startProcess(p)
	if err != nil {
		return nil, err
	}
	c := &stdioConn{
		name: d.name, cfg: d.cfg, mem: d.mem, log: d.log, hooks: d.hooks, proc: proc,
		out: make(chan *buffer, outgoing), gone: make(chan struct{}),
	}
	c.said.Store(new(hello))
	c.tasks.Go(c.write)
	c.tasks.Go(c.read)
	return c, nil
}

func (c *stdioConn) speak(h *hello) { c.said.Store(h) }

func (c *stdioConn) lost() <-chan struct{} { return c.gone }

// listen returns at once: notifications arrive on standard output with everything else.
func (c *stdioConn) listen(context.Context) {}

func (c *stdioConn) call(ctx context.Context, call *mcp.Call) (*mcp.Reply, error) {
	wait := c.mem.takeAnswer()
	defer c.mem.giveAnswer(wait)
	id, err := c.waiters.add(wait)
	if err != nil {
		return nil, err
	}
	if err := c.request(ctx, id, call); err != nil {
		c.waiters.drop(id, wait)
		return nil, err
	}
	select {
	case a := <-wait:
		return a.reply(c.name)
	case <-ctx.Done():
		c.waiters.drop(id, wait)
		c.cancel(id, call.Method)
		return nil, ended(ctx, c.name)
	}
}

// request writes a request as the era wants it.
func (c *stdioConn) request(ctx context.Context, id int64, call *mcp.Call) error {
	buf := c.mem.take()
	b, err := c.said.Load().appendRequest(buf.b, id, call)
	if err != nil {
		buf.free()
		return err
	}
	buf.b = b
	return c.send(ctx, buf)
}

func (c *stdioConn) notify(ctx context.Context, method string, params []byte) error {
	buf := c.mem.take()
	buf.b = mcp.AppendNotification(buf.b, method, params)
	return c.send(ctx, buf)
}

// send hands a message to the writer. Raw line ends can only be white space between tokens, so they become spaces.
func (c *stdioConn) send(ctx context.Context, buf *buffer) error {
	oneLine(buf.b)
	buf.b = append(buf.b, '\n')
	select {
	case c.out <- buf:
		return nil
	default: // the child is slow; selecting on all three right away would cost every call
	}
	select {
	case c.out <- buf:
		return nil
	case <-ctx.Done():
		buf.free()
		return ended(ctx, c.name)
	case <-c.gone:
		buf.free()
		return notExecuted(c.name, "has exited")
	}
}

// offer is send for messages that nobody waits for: they are dropped where the child does not read.
func (c *stdioConn) offer(buf *buffer, what string) {
	oneLine(buf.b)
	buf.b = append(buf.b, '\n')
	select {
	case c.out <- buf:
	default:
		buf.free()
		c.log.Warn("server does not read; message dropped", "message", what)
	}
}

// cancel tells the server that nobody waits for an answer any more; initialize MUST NOT be cancelled
// (MCP 2025-11-25, basic/utilities/cancellation).
func (c *stdioConn) cancel(id int64, method string) {
	if method == "initialize" {
		return
	}
	buf := c.mem.take()
	buf.b = mcp.AppendNotification(buf.b, "notifications/cancelled", cancelParams(id))
	c.offer(buf, "notifications/cancelled")
}

func cancelParams(id int64) []byte {
	p := strconv.AppendInt([]byte(`{"requestId":`), id, 10)
	return append(p, `,"reason":"the caller no longer waits"}`...)
}

func oneLine(b []byte) {
	for i, c := range b {
		if c == '\n' || c == '\r' {
			b[i] = ' '
		}
	}
}

// write writes messages until the connection is lost. Those that wait already go out in one system call.
func (c *stdioConn) write() {
	for {
		select {
		case <-c.gone:
			return
		case buf := <-c.out:
			c.gather(buf)
			_, err := c.proc.stdin.Write(buf.b)
			buf.free()
			if err != nil { // half a message may be out: nothing sensible can follow it
				if !c.closing.Load() {
					c.log.Debug("server closed its input", "reason", err)
					c.proc.kill()
				}
				return
			}
		}
	}
}

func (c *stdioConn) gather(buf *buffer) {
	for len(buf.b) < batchBytes {
		select {
		case more := <-c.out:
			buf.b = append(buf.b, more.b...)
			more.free()
		default:
			return
		}
	}
}

// read reads messages until there are no more, and then ends the connection.
func (c *stdioConn) read() {
	in := newLineReader(c.proc.stdout, c.mem, c.cfg.MaxMessageBytes)
	for {
		buf, err := in.next()
		var long *longLineError
		switch {
		case err == nil:
			c.receive(buf)
		case errors.As(err, &long):
			c.refuse(long)
		default:
			c.finish()
			return
		}
	}
}

// receive deals with one line.
func (c *stdioConn) receive(buf *buffer) {
	if len(buf.b) == 0 {
		buf.free()
		return
	}
	msg, err := mcp.ScanMessage(buf.b)
	if err != nil {
		c.garbled(buf, msg, err)
		return
	}
	switch msg.Kind {
	case mcp.Response:
		c.answer(msg, buf)
		return
	case mcp.Request:
		out := c.mem.take()
		out.b = appendServerReply(out.b, msg)
		c.offer(out, "response to "+msg.Method)
	case mcp.Notification:
		noticed(msg.Method, c.hooks)
	}
	buf.free()
}

func (c *stdioConn) answer(msg mcp.Message, buf *buffer) {
	id, ok := parseID(msg.ID)
	if wait := c.waiters.take(id); ok && wait != nil {
		wait <- answer{msg: msg, buf: buf}
		return
	}
	c.log.Debug("response to no request dropped", "id", string(msg.ID)) // usual after a cancel
	buf.free()
}

// garbled deals with a line that is no message: where it answers a call, that call ends; else it is what servers print.
func (c *stdioConn) garbled(buf *buffer, msg mcp.Message, why error) {
	defer buf.free()
	id, ok := parseID(msg.ID)
	if !ok && buf.b[0] == '{' {
		id, ok = guessID(buf.b)
	}
	c.log.Debug("line on standard output is no message", "bytes", len(buf.b), "reason", why)
	if ok {
		c.failOne(id, invalid(c.name, "sent an answer that cannot be read: %w", why))
	}
}

// refuse ends the call that a line over the limit answers, if that can be told; the others go on.
func (c *stdioConn) refuse(long *longLineError) {
	id, ok := guessID(long.tail)
	if !ok {
		id, ok = guessID(long.head)
	}
	c.log.Warn("message over the limit skipped", "limit", long.limit, "matched", ok)
	if ok {
		c.failOne(id, invalid(c.name, "sent an answer that is too big: %w", long))
	}
}

func (c *stdioConn) failOne(id int64, err error) {
	if wait := c.waiters.take(id); wait != nil {
		wait <- answer{err: err}
	}
}

// finish ends the connection after the last message. A process that lives on without an output is of no use.
func (c *stdioConn) finish() {
	defer c.proc.stdout.Close()
	close(c.gone)
	how := "closed its output"
	if c.closing.Load() {
		how = "was shut down"
	} else if c.proc.waits(exitTime) {
		how = "exited: " + c.proc.state
		if line := c.proc.errors.line(); line != "" {
			how += "; it said: " + line
		}
	}
	err := unavailable(c.name, how)
	c.waiters.fail(err, notExecuted(c.name, how))
	if !c.closing.Load() {
		c.proc.kill()
		c.hooks.down(err)
	}
}

// close stops the process and waits for everything; calls under way end as unavailable.
func (c *stdioConn) close() {
	c.closing.Store(true)
	c.proc.stop(c.cfg.StopGrace)
	c.tasks.Wait()
}

// noticed acts on a server's notification, of whatever transport.
func noticed(method string, h hooks) {
	if method == "notifications/tools/list_changed" {
		h.changed()
	}
}

// appendServerReply answers a server's request: we declare no capability, so it may ask nothing but ping.
func appendServerReply(dst []byte, msg mcp.Message) []byte {
	if msg.Method == "ping" {
		return mcp.AppendResponse(dst, msg.ID, []byte("{}"))
	}
	return mcp.AppendError(dst, msg.ID, &mcp.Error{
		Code: mcp.CodeMethodNotFound, Message: "the gateway does not offer " + msg.Method,
	})
}
