package upstream

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// What may wait between the callers and the child, and how long its exit may take to show after its output ended.
	outgoing   = 64              // messages that may wait to be written to one child process
	batchBytes = 32 << 10        // waiting messages are written together up to this size
	exitTime   = 3 * time.Second // more than leftoverTime, and than a busy machine takes to reap a process that was killed
)

// stdioConn is a connection to a child process: JSON-RPC messages, one a line, on its standard input and output
// (MCP 2025-11-25 and 2026-07-28, basic/transports §stdio).
//
// One goroutine writes, so that a child that does not read holds up no caller beyond its deadline; one reads and hands
// each answer to the call that waits for it.
type stdioConn struct {
	name string
	cfg  *Config
	mem  *memory
	// spills take answers that are large.
	spills *spills
	log    *slog.Logger
	hooks  hooks
	asks   bool // the server may ask the agent
	proc   *process

	// said is how requests are written; the handshake replaces it while its probe may still be under way.
	said  atomic.Pointer[hello]
	inbox inbox
	// out leads to the writer, which owns what is in it. Its bound is what a slow child can hold up.
	out chan *buffer
	// closing says that we end the process ourselves, so that its end is nothing to report.
	closing atomic.Bool
	// full says that something was dropped, because the child did not read.
	full    atomic.Bool
	gone    chan struct{} // closed by the reader when nothing more can come
	leaving sync.Once
	tasks   sync.WaitGroup
}

// dialStdio starts a program and reads from it.
func dialStdio(d *dialer, p program) (*stdioConn, error) {
	proc, err := startProcess(p)
	if err != nil {
		return nil, err
	}
	c := &stdioConn{
		name: d.name, cfg: d.cfg, mem: d.mem, spills: d.spills, log: d.log, hooks: d.hooks, asks: d.client != nil, proc: proc,
		out: make(chan *buffer, outgoing), gone: make(chan struct{}),
	}
	c.said.Store(new(hello))
	c.inbox = inbox{name: c.name, mem: c.mem, most: c.cfg.MaxMemoryBytes, log: c.log, hooks: c.hooks, offers: d.offers, respond: c.offer}
	c.tasks.Go(c.write)
	c.tasks.Go(c.read)
	return c, nil
}

// speak sets how requests are written.
func (c *stdioConn) speak(h *hello) { c.said.Store(h) }

// lost is closed when the child has closed its output, which it does at the latest when it ends.
func (c *stdioConn) lost() <-chan struct{} { return c.gone }

// listen returns at once: notifications arrive on standard output with everything else.
func (c *stdioConn) listen(context.Context) {}

// call performs a request: register, write, wait. The channel it waits on is used again by other calls, so it leaves it
// empty on every way out.
func (c *stdioConn) call(ctx context.Context, call *mcp.Call) (*mcp.Reply, error) {
	wait := c.mem.takeAnswer()
	defer c.mem.giveAnswer(wait)
	id, err := c.inbox.waiters.add(wait, call)
	if err != nil {
		return nil, err
	}
	if call.Stream != nil {
		t := c.converse(ctx, id, call)
		c.inbox.talks.add(t)
		defer c.inbox.talks.end(t)
	}
	if err := c.request(ctx, id, call); err != nil {
		c.inbox.waiters.drop(id, wait)
		return nil, err
	}
	select {
	case a := <-wait:
		return a.reply(c.name, call, c.cfg.MaxMemoryBytes)
	case <-ctx.Done():
		c.inbox.waiters.drop(id, wait)
		c.cancel(id, call.Method)
		return nil, ended(ctx, c.name)
	}
}

// converse opens the way from the server to a call's agent.
func (c *stdioConn) converse(ctx context.Context, id int64, call *mcp.Call) *talk {
	t := newTalk(ctx, call, id, c.log)
	t.bound(c.cfg)
	t.asks, t.respond = c.asks, c.respond
	return t
}

// attend takes a listener in; end takes it out.
func (c *stdioConn) attend(ctx context.Context, call *mcp.Call) (end func()) {
	return c.inbox.talks.attend(c.converse(ctx, 0, call))
}

// respond sends our answer to a request of the server's; once ctx has ended it does not wait.
func (c *stdioConn) respond(ctx context.Context, message []byte) {
	buf := c.mem.take()
	buf.b = append(buf.b, message...)
	if ctx.Err() != nil {
		c.offer(buf)
	} else if err := c.send(ctx, buf); err != nil {
		c.log.Debug("answer to the server was not sent", "reason", err)
	}
}

// request writes a request as the era wants it.
func (c *stdioConn) request(ctx context.Context, id int64, call *mcp.Call) error {
	buf := c.mem.take()
	// On an error buf keeps its memory: b may be nil then.
	b, err := c.said.Load().appendRequest(buf.b, id, call)
	if err != nil {
		buf.free()
		return err
	}
	buf.b = b
	return c.send(ctx, buf)
}

// notify hands a notification to the writer.
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
func (c *stdioConn) offer(buf *buffer) {
	oneLine(buf.b)
	buf.b = append(buf.b, '\n')
	select {
	case c.out <- buf:
	default:
		buf.free()
		if !c.full.Swap(true) { // once: a server must not fill the log
			c.log.Warn("server does not read; answers to its requests and cancellations are dropped")
		}
	}
}

// cancel tells the server that nobody waits for an answer any more.
func (c *stdioConn) cancel(id int64, method string) {
	if !cancellable(method) {
		return
	}
	buf := c.mem.take()
	buf.b = mcp.AppendNotification(buf.b, "notifications/cancelled", cancelParams(id))
	c.offer(buf)
}

// cancellable says whether a request may be cancelled: those of the handshake MUST NOT be (MCP 2025-11-25,
// basic/utilities/cancellation).
func cancellable(method string) bool { return method != "initialize" && method != "server/discover" }

// cancelParams are the params of notifications/cancelled for a request.
func cancelParams(id int64) []byte {
	p := strconv.AppendInt([]byte(`{"requestId":`), id, 10)
	return append(p, `,"reason":"the caller no longer waits"}`...)
}

// oneLine makes a message fit into one line, in place and without changing what it says: JSON strings hold no raw line
// ends.
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

// gather appends the messages that wait already to the first one. Under load this is most of the system calls saved.
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
	// The buffer of an answer goes to the call that waits for it, and from there with the reply to the front: the bytes of
	// a result are copied out of the pipe once.
	in := newLineReader(c.proc.stdout, c.mem, c.cfg.MaxMessageBytes)
	in.spills = c.spills
	for {
		buf, err := in.next()
		var long *longLineError
		switch {
		case err == nil:
			if in.ended { // first, so that whoever calls again goes to the next process
				c.leave()
			}
			c.inbox.receive(buf)
		case errors.As(err, &long):
			c.refuse(long)
		default:
			c.finish()
			return
		}
	}
}

// refuse ends the call that a line over the limit answers, if that can be told; the others go on.
func (c *stdioConn) refuse(long *longLineError) {
	// The TypeScript SDK writes the id last, others write it first.
	id, ok := guessID(long.tail)
	if !ok {
		id, ok = guessID(long.head)
	}
	c.cfg.Refused(limit.Message)
	c.log.Warn("message over the limit skipped", "limit", long.limit, "matched", ok)
	if ok {
		c.inbox.fail(id, invalid(c.name, "sent an answer that is too big", long))
	}
}

// leave says that nothing more can come.
func (c *stdioConn) leave() { c.leaving.Do(func() { close(c.gone) }) }

// finish ends the connection after the last message. A process that lives on without an output is of no use.
func (c *stdioConn) finish() {
	defer c.proc.stdout.Close()
	c.leave()
	how := "closed its output"
	if c.closing.Load() {
		how = "was shut down"
	} else if c.proc.waits(exitTime) {
		how = "exited: " + c.proc.state
		if line := c.proc.errors.line(); line != "" {
			how += "; it said: " + line
		}
	}
	// A call that comes later did not reach the child, so it may be sent to the next one.
	err := unavailable(c.name, how)
	ours := c.closing.Load()
	if !ours { // first, so that a call which fails now finds no tools of this process when it comes again
		c.hooks.down(err)
	}
	c.inbox.waiters.fail(err, notExecuted(c.name, how))
	if !ours {
		c.proc.kill()
	}
}

// close stops the process and waits for everything; calls under way end as unavailable.
func (c *stdioConn) close() {
	c.closing.Store(true)
	c.proc.stop(c.cfg.StopGrace)
	c.tasks.Wait()
}
