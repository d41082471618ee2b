package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// The bounds of what goes on around calls.
	goodbyeTime = 2 * time.Second // for what nobody waits for: cancels, answers to requests, DELETE
	maxBeside   = 64              // of those at the same time
)

// statusError is an HTTP answer that holds no JSON-RPC response.
type statusError struct{ status int }

// Error words it to follow the server's name.
func (e *statusError) Error() string {
	return fmt.Sprintf("answered HTTP %d %s", e.status, http.StatusText(e.status))
}

// legacyEvidence says whether a server that answers server/discover so may know initialize. Refused credentials and
// overload are no evidence.
func (e *statusError) legacyEvidence() bool {
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return false
	case http.StatusInternalServerError, http.StatusNotImplemented:
		return true
	}
	return e.status >= 400 && e.status < 500
}

// oldTransport says whether a server that answers initialize so may speak HTTP+SSE (MCP 2025-11-25, basic/transports
// §Backwards compatibility).
func oldTransport(err error) bool {
	var e *statusError
	return errors.As(err, &e) && slices.Contains([]int{400, 404, 405}, e.status)
}

// spoken is how HTTP requests look since the last step of the handshake. It is never changed, but for what is kept in lead.
type spoken struct {
	*hello
	// post and get are whole headers, made once: requests share them, and MUST NOT change them.
	post http.Header
	get  http.Header
	// lead is post as bytes, once it was needed.
	lead atomic.Pointer[lead]
	// session is the legacy session's id; empty where there is none.
	session string
}

// endpoint sends HTTP requests to one URL, with the definition's headers.
type endpoint struct {
	name      string
	cfg       *Config
	mem       *memory
	spills    *spills
	log       *slog.Logger
	hooks     hooks
	asks      bool // the server may ask the agent
	offers    *offers
	transport *http.Transport
	// direct posts without net/http; nil where that must do it: https, and servers behind an HTTP proxy.
	direct *h1.Host
	scrub  func(string) string
	// static are the definition's headers, resolved.
	static http.Header
	host   string // of the definition's headers; empty means the URL's

	// url is where requests go: the definition's, until the server names another place of the same origin.
	url atomic.Pointer[url.URL]
	// session is the id that the answer to initialize gave.
	session atomic.Pointer[string]
	said    atomic.Pointer[spoken]

	trust trust

	// gone is closed by lose.
	gone   chan struct{}
	losing sync.Once
	ctx    context.Context // of the connection: ends with it
	cancel context.CancelFunc
	// beside runs what nobody waits for.
	beside beside
}

// newEndpoint prepares a connection to a server behind a URL; nothing is sent.
func (d *dialer) newEndpoint(ctx context.Context, r *resolver) (*endpoint, error) {
	u, err := url.Parse(r.expand(d.spec.GetHttp().GetUrl()))
	headers := r.expandMap(d.spec.GetHttp().GetHeaders())
	switch {
	case r.err() != nil:
		return nil, r.err()
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, conduct("has a url that is none of http or https")
	}
	e := &endpoint{
		name: d.name, cfg: d.cfg, mem: d.mem, spills: d.spills, log: d.log, hooks: d.hooks, asks: d.client != nil, offers: d.offers,
		transport: d.http, scrub: r.scrub,
		static: http.Header{"User-Agent": {"gatehouse/" + d.cfg.Version}}, gone: make(chan struct{}),
	}
	for k, v := range headers {
		if e.static.Set(k, v); strings.EqualFold(k, "Host") {
			e.host = v
		}
	}
	e.url.Store(u)
	if addr, ok := plainAddress(u); ok {
		e.direct = d.direct.Host(addr)
	}
	e.ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx)) // ctx bounds the handshake alone
	e.speak(new(hello))
	return e, nil
}

// lost is closed once the server has said that it does not know the session.
func (e *endpoint) lost() <-chan struct{} { return e.gone }

// speak makes the headers for the requests from now on. Ours come last, so a definition cannot break the protocol.
func (e *endpoint) speak(h *hello) {
	s := &spoken{hello: h, get: e.static.Clone()}
	if h.version != "" {
		s.get[mcp.HeaderVersion] = []string{h.version}
	}
	if id := e.session.Load(); id != nil && h.era == mcp.Legacy {
		s.session = *id
		s.get[mcp.HeaderSession] = []string{*id}
	}
	s.post = s.get.Clone()
	s.get["Accept"] = []string{"text/event-stream"}
	s.post["Accept"] = []string{"application/json, text/event-stream"}
	s.post["Content-Type"] = []string{"application/json"}
	e.said.Store(s)
}

// lose ends the connection.
func (e *endpoint) lose() { e.losing.Do(func() { close(e.gone) }) }

// request makes a request without parsing the URL again. GetBody lets net/http repeat one that was not written at all,
// for instance when a kept TCP connection turns out to be closed.
func (e *endpoint) request(ctx context.Context, method string, header http.Header, body []byte) *http.Request {
	u := e.url.Load()
	req := (&http.Request{
		Method: method, URL: u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if e.host != "" {
		req.Host = e.host
	}
	if body != nil {
		req.ContentLength = int64(len(body))
		req.Body = io.NopCloser(bytes.NewReader(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	return req
}

// follow takes over the place that a redirect names.
func (e *endpoint) follow(resp *http.Response) error {
	from := e.url.Load()
	to, err := from.Parse(resp.Header.Get("Location"))
	if err != nil || to.Scheme != from.Scheme || to.Host != from.Host {
		return conduct("redirects to another origin")
	}
	e.url.Store(to)
	return nil
}

// status makes an error of an answer that holds no response. Its body goes to the log alone.
func (e *endpoint) status(resp *http.Response, body []byte) error {
	e.log.Debug("server refused a request", "status", resp.StatusCode, "body", string(body[:min(len(body), 500)]))
	// A refusal that speaks of the request is the server's fault or ours; one that speaks of the server's state may pass.
	kind := mcp.ErrUnavailable
	if resp.StatusCode < 300 || resp.StatusCode >= 400 && resp.StatusCode < 500 && !troubled(resp.StatusCode) {
		kind = mcp.ErrInvalidResponse
	}
	return fmt.Errorf("%w: server %s %w", kind, e.name, &statusError{resp.StatusCode})
}

// troubled says whether a status of a client's error speaks of the server's state.
func troubled(status int) bool {
	return slices.Contains([]int{401, 403, 404, 408, 421, 425, 429}, status)
}

// read reads a body whole, once, into a buffer of its size; where large is set, one that is large for memory into a file.
func (e *endpoint) read(ctx context.Context, resp *http.Response, large bool) (*buffer, error) {
	most, from := e.cfg.MaxMemoryBytes, math.MaxInt
	if large {
		most, from = e.cfg.MaxMessageBytes, e.spills.from
	}
	// A length that the server announces is believed only up to the limit.
	if resp.ContentLength > int64(most) {
		return nil, tooBig(most)
	}
	if resp.ContentLength > int64(from) {
		buf := e.mem.take()
		buf.large = e.spills.begin(nil)
		return e.readOn(ctx, resp, buf, most)
	}
	buf := e.mem.takeFor(int(max(resp.ContentLength, 0)))
	turn := turnOf(ctx, resp.ContentLength, &e.trust)
	for {
		if len(buf.b) >= from {
			return e.readOn(ctx, resp, buf, most)
		}
		if len(buf.b) == cap(buf.b) {
			buf.grow(4 << 10)
		}
		n, err := resp.Body.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		turn.took(n, &e.mem.pace)
		switch {
		case len(buf.b) > most:
			err = tooBig(most)
		case errors.Is(err, io.EOF):
			turn.ended(len(buf.b))
			return buf, nil
		}
		if err != nil {
			turn.cut(len(buf.b))
			buf.free()
			return nil, err
		}
	}
}

// readOn reads the rest of a body that is large.
func (e *endpoint) readOn(ctx context.Context, resp *http.Response, buf *buffer, most int) (*buffer, error) {
	part := e.mem.take()
	defer part.free()
	part.b = slices.Grow(part.b, readBytes)
	turn := turnOf(ctx, resp.ContentLength, &e.trust)
	for {
		n, err := resp.Body.Read(part.b[:readBytes])
		turn.took(n, &e.mem.pace)
		if buf.length()+n > most {
			err = tooBig(most)
		} else {
			e.spills.add(buf, part.b[:n])
		}
		if err == nil && buf.large != nil {
			err = buf.large.err // nobody needs the rest
		}
		switch {
		case errors.Is(err, io.EOF):
			turn.ended(buf.length())
			return buf, nil
		case err != nil:
			turn.cut(buf.length())
			buf.free()
			return nil, err
		}
	}
}

// events reads the event stream that an answer's body is, for as long as ctx; limit is as of newEventReader.
func (e *endpoint) events(ctx context.Context, body io.Reader, limit int) *eventReader {
	r := newEventReader(body, e.mem, limit)
	r.turn = turnOf(ctx, -1, &e.trust)
	return r
}

// post sends a message that has no answer.
func (e *endpoint) post(ctx context.Context, body []byte) error {
	resp, err := e.send(ctx, &message{method: http.MethodPost, said: e.said.Load(), body: body})
	if err != nil {
		return e.broken(ctx, err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // for the log, and so that the TCP connection can be kept
	if resp.StatusCode/100 != 2 {
		return e.status(resp, text)
	}
	return nil
}

// broken says why an exchange came to nothing.
func (e *endpoint) broken(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ended(ctx, e.name)
	case errors.Is(err, errTooBig):
		e.cfg.Refused(limit.Message)
		return unread(e.name, "", err)
	}
	if _, ok := errors.AsType[*storageError](err); ok {
		return unread(e.name, "", err)
	}
	return unavailable(e.name, e.scrub(plain(err)))
}

// notify posts a notification and waits until the server has taken it.
func (e *endpoint) notify(ctx context.Context, method string, params []byte) error {
	return e.post(ctx, mcp.AppendNotification(nil, method, params))
}

// postBeside sends a message that nobody waits for, unless too many are on their way already.
func (e *endpoint) postBeside(body []byte) {
	e.beside.run(func() {
		ctx, cancel := context.WithTimeout(e.ctx, goodbyeTime)
		defer cancel()
		if err := e.post(ctx, body); err != nil {
			e.log.Debug("message without an answer was not taken", "reason", err)
		}
	})
}

// converse opens the way from the server to a call's agent.
func (e *endpoint) converse(ctx context.Context, id int64, call *mcp.Call) *talk {
	t := newTalk(ctx, call, id, e.log)
	t.bound(e.cfg)
	t.asks, t.respond = e.asks, e.respond
	return t
}

// respond sends our answer to a request of the server's; once ctx has ended it does not wait.
func (e *endpoint) respond(ctx context.Context, message []byte) {
	if ctx.Err() != nil {
		e.postBeside(message)
	} else if err := e.post(ctx, message); err != nil {
		e.log.Debug("answer to the server was not taken", "reason", err)
	}
}

// beside runs short work beside the calls of a connection, a bounded number at a time, and waits for it in the end.
type beside struct {
	mu sync.Mutex // guards below
	// n is how many run.
	n      int
	closed bool
	tasks  sync.WaitGroup
}

// run starts work, or drops it where too much is under way or the end has come.
func (b *beside) run(work func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.n >= maxBeside {
		return
	}
	b.n++
	b.tasks.Go(func() {
		work()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.n--
	})
}

// wait takes nothing more and waits for what is under way.
func (b *beside) wait() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.tasks.Wait()
}
