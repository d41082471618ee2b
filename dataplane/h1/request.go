package h1

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Request is one POST.
type Request struct {
	// Head is the request's head without its end and its Content-Length, as Render makes it; it is never changed, so that
	// many requests share one.
	Head []byte
	// Fields are more lines of the head, as AppendField makes them.
	Fields []byte
	// Body is not read any more once Post has returned.
	Body []byte
}

// Render makes the head of POST requests to a URL; host takes the place of the URL's where it is not empty. It returns false
// for what is better left to net/http: another scheme, names that are not ASCII, headers that steer the connection, and
// whatever would break the request.
func Render(u *url.URL, host string, header http.Header) (head []byte, ok bool) {
	if host == "" {
		host = u.Host
	}
	target := u.RequestURI()
	if u.Scheme != "http" || u.Opaque != "" || !visible(host) || !visible(target) || !visible(u.Host) {
		return nil, false
	}
	head = append(append(head, "POST "...), target...)
	head = append(append(head, " HTTP/1.1\r\nHost: "...), host...)
	head = append(head, "\r\n"...)
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if steers(name) {
			return nil, false
		}
		if name == "Host" {
			continue
		}
		for _, value := range header[name] {
			if head, ok = AppendField(head, name, value); !ok {
				return nil, false
			}
		}
	}
	return head, true
}

// steers says whether a header is about the connection or the framing of the message.
func steers(name string) bool {
	switch name {
	case "Connection", "Content-Length", "Expect", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// visible says whether a text is not empty and all of it visible ASCII.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// AppendField appends one line of a head; false says that the name is none, or that the value has a control character.
func AppendField(dst []byte, name, value string) ([]byte, bool) {
	if !isToken(name) || !isValue(value) {
		return dst, false
	}
	dst = append(append(dst, name...), ": "...)
	dst = append(dst, strings.Trim(value, " \t")...)
	return append(dst, "\r\n"...), true
}

// isToken says whether s is a token (RFC 9110 §5.6.2), which names are.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c > '~' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isValue says whether s has no control characters but tabs (RFC 9110 §5.5).
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
