package front

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// HeaderForwarded stands on requests that another proxy has passed on, with that proxy's address. They are served where
// they arrive, so that no request goes round in circles.
const HeaderForwarded = "Gatehouse-Forwarded"

// forwarded says whether another proxy has passed the request on. An agent that says so only keeps its own requests from
// where its session lives.
func forwarded(r *http.Request) bool { return r.Header[HeaderForwarded] != nil }

// isElsewhere says whether an address is that of another proxy, to which this request may go.
func (h *Handler) isElsewhere(r *http.Request, address string) bool {
	return address != "" && h.conf.Address != "" && address != h.conf.Address && !forwarded(r)
}

// goHome forwards a message to a single server in a session that another proxy has begun: it holds what the server said,
// and with a server on stdio the process itself. False says that the message is to be served here.
func (h *Handler) goHome(w http.ResponseWriter, r *http.Request, x *exchange) (done bool) {
	if x.direct == nil || len(x.session.Home) == 0 || string(x.session.Home) == h.conf.Address {
		return false
	}
	return h.forward(w, r, x, string(x.session.Home))
}

// forward has the proxy at an address answer the request, which goes there as it came, the agent's own proof of who it is
// included, and streams the answer through. It returns false where nothing was sent: the address is this proxy's own, the
// request has been forwarded already, or nobody listens there. A request that was sent is never sent again.
//
//	dial           -- nobody there: false, and for a while nobody is asked for
//	send           -- the request, once
//	pass           -- head and body, each part at once
//	  or breakOff  -- the other proxy went away meanwhile
func (h *Handler) forward(w http.ResponseWriter, r *http.Request, x *exchange, address string) (done bool) {
	if !h.isElsewhere(r, address) {
		return false
	}
	ctx := r.Context()
	if r.Method == http.MethodGet { // a stream, which only the drain ends
		var done func()
		ctx, done = until(ctx, h.drained)
		defer done()
	}
	resp, err := h.peers.send(ctx, address, onward(r, h.conf.Address), x.body)
	if errors.Is(err, errUnreached) {
		h.forwards.unreached.Add(1)
		if !errors.Is(err, errAvoided) { // which says the same of each request meanwhile
			h.log.Warn("another proxy is out of reach; its sessions are served here", "address", address, "error", err)
		}
		return false
	}
	h.forwards.sent.Add(1)
	if err != nil {
		h.lost(ctx, w, x, err)
		return true
	}
	defer resp.Body.Close()
	if !h.pass(w, resp) && ctx.Err() == nil {
		h.breakOff(w, x, resp)
	}
	return true
}

// onward returns a request's method, path and headers as they go to another proxy. What concerns one connection alone stays
// behind; so does where a web page says it comes from, which has been checked, and what would let a request be sent twice.
func onward(r *http.Request, from string) *http.Request {
	out := &http.Request{Method: r.Method, URL: r.URL, Header: r.Header.Clone()}
	for _, value := range r.Header["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			out.Header.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{
		"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect", "Content-Length",
		"Origin", "Sec-Fetch-Site", "Idempotency-Key", "X-Idempotency-Key",
	} {
		delete(out.Header, name)
	}
	out.Header[HeaderForwarded] = []string{from}
	return out
}

// pass streams an answer through; false says that it broke off. An agent that takes nothing ends the request by itself.
func (h *Handler) pass(w http.ResponseWriter, resp *http.Response) (whole bool) {
	header := w.Header()
	for name, values := range resp.Header {
		switch name {
		case "Connection", "Keep-Alive", "Transfer-Encoding", "Trailer", "Upgrade", "Date":
		default:
			header[name] = values
		}
	}
	w.WriteHeader(resp.StatusCode)
	// What has a length ends soon, and is sent then.
	flush := func() bool { return resp.ContentLength >= 0 || http.NewResponseController(w).Flush() == nil }
	taken := flush()
	part := make([]byte, partSize(resp))
	for taken {
		n, err := resp.Body.Read(part)
		if n > 0 {
			taken = h.write(w, part[:n]) && flush()
		}
		if err != nil {
			return errors.Is(err, io.EOF)
		}
	}
	return true
}

// partSize is how much of an answer is passed on at once, in bytes: of one that stays open, of which there may be thousands,
// little.
func partSize(resp *http.Response) int {
	if resp.Request.Method == http.MethodGet {
		return 2 << 10
	}
	return 16 << 10
}

// errLost is what an agent is told whose request was with a proxy that has gone.
func errLost() *mcp.Error {
	return &mcp.Error{
		Code: mcp.CodeInternalError, Message: "the proxy that serves this session has gone away; the request may have been executed or not",
	}
}

// lost answers a request that was sent and got no answer.
func (h *Handler) lost(ctx context.Context, w http.ResponseWriter, x *exchange, err error) {
	if ctx.Err() != nil {
		return // nobody is there to read an answer
	}
	h.forwards.lost.Add(1)
	h.log.Warn("another proxy gave no answer", "error", err)
	if x.msg.Kind == mcp.Request && x.msg.ID != nil {
		h.writeError(w, errorStatus(x.era, mcp.CodeInternalError), x.msg.ID, errLost())
		return
	}
	h.refuse(w, http.StatusBadGateway, errLost().Message)
}

// breakOff ends an answer that broke off. The agent of a call on a stream is told, since some clients would wait for the
// answer of a stream that only ends; an event that was cut in two ends first. Anything else must not look whole.
func (h *Handler) breakOff(w http.ResponseWriter, x *exchange, resp *http.Response) {
	h.forwards.lost.Add(1)
	h.log.Warn("another proxy went away while it answered")
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), eventStream) {
		panic(http.ErrAbortHandler) // which is how a server cuts a connection
	}
	if x.msg.Kind == mcp.Request && x.msg.ID != nil {
		text := append([]byte("\n\nevent: message\ndata: "), mcp.AppendError(nil, x.msg.ID, errLost())...)
		h.write(w, append(text, "\n\n"...))
	}
}

const (
	// dialWithin is how long another proxy may take to accept a connection.
	dialWithin = time.Second
	// avoidFor is how long a proxy is not dialled that did not accept one, so that few requests wait for a dead host.
	avoidFor = 2 * time.Second
	// maxIdle bounds the connections to one other proxy that are kept for the next requests.
	maxIdle = 256
	// keepIdle is how long they are kept: opening one costs little within a fleet.
	keepIdle = 15 * time.Second
)

// forwards count what was to be forwarded.
type forwards struct{ sent, unreached, lost atomic.Int64 }

// Forwards says how many requests were sent to other proxies, how many found nobody there, and how many of those that were
// sent got no answer, or only a part, since the other proxy went away.
func (h *Handler) Forwards() (sent, unreached, lost int64) {
	return h.forwards.sent.Load(), h.forwards.unreached.Load(), h.forwards.lost.Load()
}

// errUnreached says that nothing was sent, because there was nobody to send it to.
var errUnreached = errors.New("the proxy is not there")

// errAvoided says the same without a dial: one has failed a moment ago.
var errAvoided = fmt.Errorf("%w, as a moment ago", errUnreached)

// unreached is the error of a dial.
type unreached struct{ error }

// Is makes every failed dial an errUnreached.
func (unreached) Is(target error) bool { return target == errUnreached }

// newPeerClient makes the client for all other proxies. It follows nothing, asks no proxy of the environment and changes no
// body; connections are kept for less long than the other side keeps them.
func newPeerClient() *http.Client {
	dialer := &net.Dialer{Timeout: dialWithin}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, address)
				if err != nil {
					return nil, unreached{err}
				}
				return conn, nil
			},
			DisableCompression: true, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: keepIdle,
		},
	}
}

// request makes a request to a peer of a head and a body. The body can be read again, which only happens while not a byte
// of the request has been sent.
func request(ctx context.Context, address string, head *http.Request, body []byte) *http.Request {
	r := head.WithContext(ctx)
	url := *head.URL
	url.Scheme, url.Host = "http", address
	r.URL = &url
	if r.Method == http.MethodPost {
		r.ContentLength = int64(len(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return r
}
