package h1

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// keptRequest is the largest head of a request that is remembered; agents send keys and the ids of sessions.
const keptRequest = 4 << 10

// known is the head of the request before, and what it says. Agents mostly send the same head again, with another length:
// then it stands for the next one as well, and nothing is parsed and allocated.
type known struct {
	req  *http.Request
	head requestHead
	// before and after are the text around the digits of its length; all of it is before where there is none.
	before, after string
}

// requestHead is what a head says that net/http's Request does not.
type requestHead struct {
	length  int64 // 0 where there is no body, -1 where it comes in chunks
	again   bool  // the agent goes on after this request
	expects bool  // 100-continue
}

// same says whether a head differs in its length at most, which it returns.
func (k *known) same(text []byte) (length int64, ok bool) {
	n := len(k.before)
	if k.req == nil || len(text) < n || string(text[:n]) != k.before {
		return 0, false
	}
	if k.after == "" {
		return k.head.length, len(text) == n
	}
	for rest := text[n:]; len(rest) > 0 && isDigit(rest[0]) && length < 1<<50; rest = rest[1:] {
		length = length*10 + int64(rest[0]-'0')
		n++
	}
	return length, n > len(k.before) && string(text[n:]) == k.after
}

// learn remembers a head that was understood.
func (k *known) learn(text []byte, req *http.Request, head requestHead) {
	*k = known{req: req, head: head}
	if len(text) > keptRequest {
		k.after = "\n" // which no head is the end of
		return
	}
	s := string(text)
	k.before = s
	if name := "\r\nContent-Length: "; strings.Count(s, name) == 1 {
		at := strings.Index(s, name) + len(name)
		if rest := strings.TrimLeft(s[at:], "0123456789"); len(rest) < len(s)-at {
			k.before, k.after = s[:at], rest
		}
	}
}

// understand makes the request of a head, and readies its body.
func (c *inbound) understand(text []byte) error {
	length, ok := c.known.same(text)
	if ok {
		c.known.req.ContentLength = length
	} else {
		req, head, err := parseRequest(string(text))
		if err != nil {
			return err
		}
		req.RemoteAddr, req.Body = c.remote, &c.body
		c.known.learn(text, req.WithContext(c.ctx), head)
		length = head.length
	}
	c.body.reset(length, c.known.head.expects)
	return nil
}

// bad is the refusal of a head that breaks the rules.
func bad(why string) error { return &refusal{http.StatusBadRequest, why} }

// parseRequest reads the head of a request, up to and with the empty line that ends it (RFC 9112 §3, §5, §6). It takes less
// than net/http does: what two readers could understand differently is refused.
func parseRequest(text string) (*http.Request, requestHead, error) {
	line, rest, err := cutLine(text)
	if err != nil {
		return nil, requestHead{}, bad(faultText(err))
	}
	method, target, ok := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(target, " ")
	if !ok || !ok2 || !isToken(method) || !visible(target) {
		return nil, requestHead{}, bad("no request line")
	}
	if len(version) != len("HTTP/1.1") || version[:7] != "HTTP/1." || !isDigit(version[7]) {
		return nil, requestHead{}, &refusal{http.StatusHTTPVersionNotSupported, "only HTTP/1.1 and HTTP/1.0 are served here"}
	}
	header, err := parseFields(rest)
	if err != nil {
		return nil, requestHead{}, bad(faultText(err))
	}
	if method == http.MethodConnect {
		return nil, requestHead{}, &refusal{http.StatusNotImplemented, "CONNECT is not served here"}
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, requestHead{}, bad("a target that is none")
	}
	req := &http.Request{
		Method: method, URL: u, Proto: version, ProtoMajor: 1, ProtoMinor: int(version[7] - '0'), Header: header, RequestURI: target,
	}
	head, err := frameRequest(req)
	return req, head, err
}

// faultText is what the parsers find wrong.
func faultText(err error) string {
	if f, ok := errors.AsType[*FaultError](err); ok {
		return f.what
	}
	return err.Error()
}

// frameRequest finds out for whom a request is (§3.2), where its body ends (§6.3), and whether the connection goes on behind
// it (§9.3). What it has read of the header it takes out, as net/http does.
func frameRequest(r *http.Request) (requestHead, error) {
	if codings := r.Header["Transfer-Encoding"]; codings != nil && (len(codings) > 1 || !strings.EqualFold(codings[0], "chunked")) {
		return requestHead{}, &refusal{http.StatusNotImplemented, "a transfer coding other than chunked"}
	}
	h := head{header: r.Header, minor: byte('0' + min(r.ProtoMinor, 1))}
	if err := h.frame(); err != nil {
		return requestHead{}, bad(faultText(err))
	}
	hosts := r.Header["Host"]
	switch {
	case len(r.Header["Content-Length"]) > 1: // the same twice, which same would take for one
		return requestHead{}, bad("two lengths")
	case len(hosts) > 1 || len(hosts) == 0 && r.ProtoMinor > 0:
		return requestHead{}, bad("not exactly one Host")
	case len(hosts) == 1 && !isHost(hosts[0]):
		return requestHead{}, bad("a Host that is none")
	case r.URL.Host != "": // a target with a host of its own, which is the one that counts
		r.Host = r.URL.Host
	case len(hosts) == 1:
		r.Host = hosts[0]
	}
	f := requestHead{length: max(h.length, 0), again: !h.close && r.ProtoMinor > 0}
	if h.chunk {
		f.length, r.TransferEncoding = -1, []string{"chunked"}
	}
	if expect := r.Header["Expect"]; expect != nil {
		if len(expect) > 1 || !strings.EqualFold(expect[0], "100-continue") {
			return requestHead{}, &refusal{http.StatusExpectationFailed, "nothing but 100-continue can be expected here"}
		}
		f.expects = r.ProtoMinor > 0
	}
	r.ContentLength, r.Close = f.length, h.close
	for _, name := range []string{"Host", "Transfer-Encoding", "Content-Length"} {
		delete(r.Header, name)
	}
	return f, nil
}

// isHost says whether s has only what names and addresses of hosts are made of (RFC 3986 §3.2.2).
func isHost(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte("!$%&'()*+,-.:;=[]_~", c) < 0 {
			return false
		}
	}
	return true
}

// arrival is the body of an agent's request, as it arrives.
type arrival struct {
	c       *inbound
	text    body
	expects bool // the agent waits for leave to send it
	ended   bool // all of it was read
	closed  bool
	err     error
}

// reset readies it for a body of that length; -1 is one in chunks.
func (a *arrival) reset(length int64, expects bool) {
	*a = arrival{c: a.c, expects: expects && length != 0, ended: length == 0, text: body{mode: counted, left: length}}
	if length < 0 {
		a.text = body{mode: chunked}
	}
}

// Read implements io.Reader. io.EOF may come with the last bytes.
func (a *arrival) Read(p []byte) (n int, err error) {
	switch {
	case a.closed:
		return 0, http.ErrBodyReadAfterClose
	case a.err != nil:
		return 0, a.err
	case len(p) == 0:
		return 0, nil
	case a.ended:
		return 0, io.EOF
	case a.expects:
		a.expects = false
		if err := a.c.invite(); err != nil {
			return 0, err
		}
	}
	a.c.reading.Store(true)
	n, err = a.text.read(&a.c.stream, p, a.c.server.conf.MaxHeadBytes)
	a.c.reading.Store(false)
	switch {
	case err == io.EOF: //nolint:errorlint // as io.Reader has it
		a.ended = true
		a.c.arrived()
	case err != nil:
		a.err = err
		a.c.spoilt.Store(true)
	}
	return n, err
}

// Close implements io.Closer. What was not read is the server's to read.
func (a *arrival) Close() error {
	a.closed = true
	return nil
}
