package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// Times of what is not a call itself, and how often a broken stream is taken up.
	lingerTime  = 20 * time.Millisecond // for the end of a stream whose answer has come
	resumePause = time.Second           // before a stream is opened again, where the server names no other time
	resumeStep  = 20 * time.Millisecond // by which the pause grows with each stream that brings nothing, up to resumePause
	maxFailures = 5                     // to open a stream again, in a row
)

// errEarly says that a stream ended before the answer came.
const errEarly = conduct("ended its stream before the answer")

// errNotJSON says that an answer is of another media type.
var errNotJSON = errors.New("its content is not application/json")

// errWrongID says that a response has the id of another request: taking it would give one agent another's answer.
var errWrongID = errors.New("it has the id of another request")

// errCoded says that an answer is compressed. It is refused unread: none is asked for, so that nothing small becomes large.
var errCoded = errors.New("it is compressed, which was not asked for")

// httpConn is a connection over Streamable HTTP (MCP 2025-11-25 and 2026-07-28, basic/transports). Each request is a POST
// whose answer is a JSON body or an event stream. In the legacy era it may have a session; in the modern era it is
// nothing but the knowledge of the era.
type httpConn struct {
	*endpoint
	// ids are never used twice on a connection, in either era: a late answer must not find another call.
	ids atomic.Int64
	// headers gives the Mcp-Param-* headers of a call in the modern era.
	headers func(*mcp.Call) map[string]string
	talks   talks
	lingers atomic.Bool // the server keeps streams open after the answer, so waiting for their end is no use
}

// call performs a request.
func (c *httpConn) call(ctx context.Context, call *mcp.Call) (*mcp.Reply, error) {
	said, id := c.said.Load(), c.ids.Add(1)
	buf := c.mem.take() // send keeps nothing of it
	defer buf.free()
	body, err := said.appendRequest(buf.b, id, call)
	if err != nil {
		return nil, err
	}
	buf.b = body
	x := &exchange{said: said, id: id, call: call, body: body}
	if call.Stream != nil {
		x.talk = c.converse(ctx, id, call)
		c.talks.add(x.talk)
		defer c.talks.end(x.talk)
	}
	reply, err := c.exchange(ctx, x)
	if err != nil && ctx.Err() != nil {
		c.cancelCall(said, id, call.Method)
		return nil, ended(ctx, c.name)
	}
	return reply, err
}

// exchange is one request and its answer.
type exchange struct {
	// said is how it was written; a handshake may go on meanwhile.
	said *spoken
	id   int64
	call *mcp.Call
	body []byte
	// talk is the way to the agent; nil where it does not listen.
	talk *talk
	// heard is how many messages came before the answer.
	heard int
}

// tooMuch counts a message, and says whether that was one more than a call may have. A subscription lasts, and may have any
// number.
func (x *exchange) tooMuch(cfg *Config) bool {
	x.heard++
	return x.heard > cfg.MaxNotifications && x.call.Method != "subscriptions/listen"
}

// exchange sends a request and reads its answer, whichever of the two forms the server chose. A session that the answer
// to initialize opens is kept for the requests after it.
func (c *httpConn) exchange(ctx context.Context, x *exchange) (*mcp.Reply, error) {
	resp, err := c.send(ctx, &message{method: http.MethodPost, said: x.said, mirrors: c.mirrorsOf(x), body: x.body})
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	defer resp.Body.Close()
	if x.call.Method == "initialize" {
		if id := resp.Header.Get(mcp.HeaderSession); id != "" {
			c.session.Store(&id)
		}
	}
	if coding := resp.Header.Get("Content-Encoding"); resp.StatusCode == http.StatusOK && coding != "" && coding != "identity" {
		return nil, invalid(c.name, "sent an answer that is none", errCoded)
	}
	if resp.StatusCode == http.StatusOK && isType(resp, "text/event-stream") {
		return c.stream(ctx, x, resp)
	}
	buf, err := c.read(ctx, resp, x.call.Large && resp.StatusCode == http.StatusOK)
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	return c.body(x, resp, buf)
}

// mirrorsOf returns the headers that mirror the body, which the modern era has.
func (c *httpConn) mirrorsOf(x *exchange) []field {
	if x.said.era == mcp.Legacy {
		return nil
	}
	all := make([]field, 0, 4)
	all = append(all, field{mcp.HeaderMethod, x.call.Method})
	if x.call.Name != "" {
		all = append(all, field{mcp.HeaderName, mcp.EncodeHeader(x.call.Name)})
	}
	ours := c.headers(x.call)
	for name, value := range ours {
		all = append(all, field{http.CanonicalHeaderKey(name), value})
	}
	for name, values := range x.call.Header {
		if has(ours, name) {
			continue
		}
		for _, value := range values {
			all = append(all, field{name, value})
		}
	}
	return all
}

// has says whether there is a header of that name, given in its canonical form.
func has(headers map[string]string, name string) bool {
	for have := range headers {
		if http.CanonicalHeaderKey(have) == name {
			return true
		}
	}
	return false
}

// isType says whether an answer's content is of a media type, given in lower case.
func isType(resp *http.Response, want string) bool {
	have := resp.Header.Get("Content-Type")
	name, parameters, _ := strings.Cut(have, ";")
	if !strings.EqualFold(strings.Trim(name, " \t"), want) {
		return false
	}
	if parameters == "" {
		return true
	}
	_, _, err := mime.ParseMediaType(have)
	return err == nil
}

// body deals with an answer that is no stream; the buffer is its content.
func (c *httpConn) body(x *exchange, resp *http.Response, buf *buffer) (*mcp.Reply, error) {
	var msg mcp.Message
	err := errNotJSON
	if isType(resp, "application/json") {
		msg, err = buf.scan(c.cfg.MaxMemoryBytes)
	}
	switch {
	case x.said.session != "" && c.forgot(resp.StatusCode, msg, buf.b):
		buf.free()
		c.hooks.changed() // it may have been restarted
		c.lose()
		return nil, notExecuted(c.name, "no longer knows the session")
	case err == nil && answers(msg, x.id, resp.StatusCode):
		return answer{msg: msg, buf: buf}.reply(c.name, x.call, c.cfg.MaxMemoryBytes)
	}
	defer buf.free()
	if err == nil {
		err = errWrongID
	}
	if resp.StatusCode == http.StatusOK {
		return nil, unread(c.name, "sent an answer that is none", err)
	}
	return nil, c.status(resp, buf.b)
}

// answers says whether a message is the response to a request. An error without an id counts where the status says that
// the request was refused, since the server may not have read that far.
func answers(msg mcp.Message, id int64, status int) bool {
	if msg.Kind != mcp.Response {
		return false
	}
	if msg.ID == nil {
		return status >= 400
	}
	have, ok := parseID(msg.ID)
	return ok && have == id
}

// forgot says whether the server refused a request for its session id. The status for that is 404; servers made after
// the SDKs' examples answer 400 instead, and say so in words. A 400 that repeats the request's id does not count: that
// server has read the request, and may have executed it.
func (c *httpConn) forgot(status int, msg mcp.Message, body []byte) bool {
	return status == http.StatusNotFound ||
		status == http.StatusBadRequest && msg.ID == nil && len(body) < 4<<10 &&
			bytes.Contains(bytes.ToLower(body), []byte("session"))
}

// stream reads an event stream until the answer comes. In the legacy era a server may end a stream before, as often as it
// likes, and go on where it is asked to (MCP 2025-11-25, basic/transports §Sending messages, §Resumability). Only the call's
// time bounds how long that goes on.
func (c *httpConn) stream(ctx context.Context, x *exchange, resp *http.Response) (*mcp.Reply, error) {
	body := resp.Body
	var from place
	for empty := 0; ; empty++ {
		// Each round reads one stream: the answer to the POST first, then those that take it up again.
		heard := x.heard
		reply, err := c.streamOnce(ctx, body, x, &from)
		switch {
		case !errors.Is(err, errEarly):
			return reply, err
		case ctx.Err() != nil:
			return nil, ended(ctx, c.name)
		case from.lastID == "" || x.said.era == mcp.Modern:
			return nil, unanswered(c.name, errEarly.Error())
		case x.heard > heard:
			empty = 0
		}
		if body, err = c.resume(ctx, from, empty); err != nil {
			return nil, c.broken(ctx, err)
		}
	}
}

// streamOnce reads one of a call's streams to its end; from is where the one before it ended, and then where this one did.
func (c *httpConn) streamOnce(ctx context.Context, body io.ReadCloser, x *exchange, from *place) (*mcp.Reply, error) {
	in := c.events(ctx, body, c.cfg.MaxMemoryBytes)
	defer in.close()
	in.goOn(*from)
	if x.call.Large {
		in.spills, in.limit = c.spills, c.cfg.MaxMessageBytes
	}
	reply, err := c.await(in, x)
	c.drain(body)
	body.Close()
	*from = in.from
	return reply, err
}

// await reads events until one answers a request.
func (c *httpConn) await(in *eventReader, x *exchange) (*mcp.Reply, error) {
	for {
		ev, err := in.next()
		switch {
		case errors.Is(err, errTooBig):
			c.cfg.Refused(limit.Message)
			return nil, unread(c.name, "", err)
		case err != nil:
			return nil, errEarly
		}
		msg, err := ev.data.scan(c.cfg.MaxMemoryBytes)
		switch {
		case err != nil:
			ev.data.free()
			return nil, unread(c.name, "sent an event that is no message", err)
		case msg.Kind != mcp.Response && x.tooMuch(c.cfg):
			ev.data.free()
			c.cfg.Refused(limit.Notifications)
			return nil, invalid(c.name, "talks without end", fmt.Errorf("more than %d messages before the answer", c.cfg.MaxNotifications))
		case msg.Kind != mcp.Response:
			c.overhear(x.talk, msg)
			ev.data.free()
			letOthers(x.heard)
		case !answers(msg, x.id, http.StatusOK):
			ev.data.free()
			return nil, invalid(c.name, "answered on the stream of another request", errWrongID)
		default:
			return answer{msg: msg, buf: ev.data}.reply(c.name, x.call, c.cfg.MaxMemoryBytes)
		}
	}
}

// drain reads a stream to its end, which mostly is there already, so that the TCP connection can be used again.
func (c *httpConn) drain(body io.ReadCloser) {
	// One short wait for each connection is enough to learn what kind of server it is.
	if c.lingers.Load() {
		return
	}
	// Closing the body ends a Read that waits for more.
	timer := time.AfterFunc(lingerTime, func() {
		c.lingers.Store(true)
		body.Close()
	})
	defer timer.Stop()
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 4<<10)) // an error means that there is no connection to keep
}

// resume opens a stream again from where it ended, of which so many in a row have brought nothing. A server that cannot be
// reached, or is in trouble, is asked again a few times.
func (c *httpConn) resume(ctx context.Context, from place, empty int) (io.ReadCloser, error) {
	pause := resumePause
	if from.asked {
		pause = max(from.retry, min(time.Duration(empty)*resumeStep, resumePause)) // a server may ask for no pause at all
	}
	for failures := 1; ; failures++ {
		if !sleep(ctx, pause) {
			return nil, ctx.Err()
		}
		body, err := c.open(ctx, from.lastID)
		if err == nil || failures == maxFailures {
			return body, err
		}
		if refused, ok := errors.AsType[*statusError](err); ok && refused.status < 500 {
			return nil, err
		}
		pause = max(pause, time.Duration(failures)*resumePause/maxFailures)
	}
}

// open opens a stream with GET, after an event if one is named.
func (c *httpConn) open(ctx context.Context, lastID string) (io.ReadCloser, error) {
	h := c.said.Load().get
	if lastID != "" {
		h = maps.Clone(h)
		h["Last-Event-Id"] = []string{lastID}
	}
	resp, err := c.do(ctx, http.MethodGet, h, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || !isType(resp, "text/event-stream") {
		resp.Body.Close()
		return nil, &statusError{resp.StatusCode}
	}
	return resp.Body, nil
}

// sleep says whether d has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// cancelCall tells a legacy server that nobody waits any more: there, closing the stream does not say so. A modern one
// has seen the stream close.
func (c *httpConn) cancelCall(said *spoken, id int64, method string) {
	if said.era == mcp.Legacy && cancellable(method) {
		c.postBeside(mcp.AppendNotification(nil, "notifications/cancelled", cancelParams(id)))
	}
}

// close ends the session, if there is one, and waits for what runs beside the calls. Calls under way end with their own
// contexts.
func (c *httpConn) close() {
	c.beside.wait() // cancellations that are on their way, before the session is gone
	if said := c.said.Load(); said.session != "" && !c.isLost() {
		c.goodbye(said)
	}
	c.lose()
	c.cancel()
}

// isLost says whether lose was called.
func (e *endpoint) isLost() bool {
	select {
	case <-e.gone:
		return true
	default:
		return false
	}
}

// goodbye deletes the session; a server may refuse that.
func (c *httpConn) goodbye(said *spoken) {
	ctx, cancel := context.WithTimeout(c.ctx, goodbyeTime)
	defer cancel()
	resp, err := c.do(ctx, http.MethodDelete, said.get, nil)
	if err != nil {
		c.log.Debug("session was not deleted", "reason", err)
		return
	}
	resp.Body.Close()
}
