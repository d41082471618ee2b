package upstream

import (
	"bytes"
	"context"
	"maps"
	"net"
	"net/http"
	"net/url"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
)

// message is one HTTP request.
type message struct {
	method string
	// header is the whole of it; where it is nil, said and mirrors are: what posts share, and what is this one's alone.
	header  http.Header
	said    *spoken
	mirrors []field
	// body is not read any more once the answer's head is there.
	body []byte
}

// field is one header.
type field struct{ name, value string }

// lead is the head of all posts to a URL, as bytes.
type lead struct {
	url  *url.URL
	text []byte // nil where net/http has to do it
}

// do sends a request with headers of its own.
func (e *endpoint) do(ctx context.Context, method string, header http.Header, body []byte) (*http.Response, error) {
	return e.send(ctx, &message{method: method, header: header, body: body})
}

// send sends a request. Redirects are followed where they keep the method and the origin, so that the definition's headers
// go nowhere else.
func (e *endpoint) send(ctx context.Context, m *message) (*http.Response, error) {
	for range e.cfg.MaxRedirects + 1 {
		resp, err := e.once(ctx, m)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect {
			return resp, nil
		}
		resp.Body.Close()
		if err := e.follow(resp); err != nil {
			return nil, err
		}
	}
	e.cfg.Refused(limit.Redirects)
	return nil, conduct("redirects without end")
}

// once sends a request to where it goes now: posts over plain HTTP directly, everything else by net/http.
func (e *endpoint) once(ctx context.Context, m *message) (*http.Response, error) {
	if m.said == nil {
		return e.transport.RoundTrip(e.request(ctx, m.method, m.header, m.body))
	}
	if r, ok := e.posting(m); ok {
		return e.direct.Post(ctx, &r)
	}
	// The header that all requests share MUST NOT be changed: others are sending it at this moment. And net/http may still
	// be reading the body when the answer is there already.
	h := m.said.post
	if len(m.mirrors) > 0 {
		h = maps.Clone(h)
		for i, f := range m.mirrors {
			if i > 0 && m.mirrors[i-1].name == f.name { // several values of one header stand side by side
				h[f.name] = append(h[f.name], f.value)
				continue
			}
			h[f.name] = []string{f.value}
		}
	}
	return e.transport.RoundTrip(e.request(ctx, m.method, h, bytes.Clone(m.body)))
}

// posting makes a post that goes out directly; false says that it has to go the other way.
func (e *endpoint) posting(m *message) (r h1.Request, ok bool) {
	if e.direct == nil {
		return r, false
	}
	to, l := e.url.Load(), m.said.lead.Load()
	if l == nil || l.url != to { // the first one, or the first behind a redirect
		l = &lead{url: to}
		l.text, _ = h1.Render(to, e.host, m.said.post)
		m.said.lead.Store(l)
	}
	for _, f := range m.mirrors {
		if _, twice := m.said.post[f.name]; twice { // the definition has it too, and must not win
			return r, false
		}
		if r.Fields, ok = h1.AppendField(r.Fields, f.name, f.value); !ok {
			return r, false
		}
	}
	r.Head, r.Body = l.text, m.body
	return r, l.text != nil
}

// plainAddress returns where a URL's server listens, if it speaks HTTP without TLS and no proxy of the environment stands in
// between.
func plainAddress(u *url.URL) (addr string, ok bool) {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if u.Scheme != "http" || proxy != nil || err != nil {
		return "", false
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port), true
}
