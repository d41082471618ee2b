package h1

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// head is the head of an answer.
type head struct {
	status int
	text   string // of the status line, from the code on
	minor  byte   // of the version: '0' or more
	header http.Header
	length int64 // -1 where it is not told
	chunk  bool
	close  bool // the server closes the connection after this answer
}

// parseHead reads the head of an answer, up to and with the empty line that ends it (RFC 9112 §4, §5, §6). Lines may end
// with a bare LF, as §2.2 allows; nothing else of what is forgiven elsewhere is forgiven here.
func parseHead(text string) (h head, err error) {
	line, rest, err := cutLine(text)
	if err != nil {
		return h, err
	}
	if err := h.statusLine(line); err != nil {
		return h, err
	}
	h.header, err = parseFields(rest)
	if err != nil {
		return h, err
	}
	return h, h.frame()
}

// cutLine takes the first line off a text.
func cutLine(text string) (line, rest string, err error) {
	line, rest, ok := strings.Cut(text, "\n")
	if !ok {
		return "", "", fault("a line without an end")
	}
	line = strings.TrimSuffix(line, "\r")
	if strings.IndexByte(line, '\r') >= 0 {
		return "", "", fault("a line with a bare CR in it")
	}
	return line, rest, nil
}

// statusLine reads HTTP/1.x, a code of three digits, and a reason that nobody needs.
func (h *head) statusLine(line string) error {
	const version = "HTTP/1."
	if len(line) < len("HTTP/1.1 200") || line[:len(version)] != version || !isDigit(line[7]) || line[8] != ' ' {
		return fault("no status line")
	}
	code := line[9:]
	if !isDigit(code[0]) || !isDigit(code[1]) || !isDigit(code[2]) || len(code) > 3 && code[3] != ' ' || code[0] == '0' || !isValue(code) {
		return fault("no status code")
	}
	h.minor, h.text = line[7], code
	h.status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	return nil
}

// parseFields reads lines of fields up to the empty line that ends them, which MUST be there and be the last.
func parseFields(text string) (http.Header, error) {
	n := strings.Count(text, "\n")
	header, values := make(http.Header, n), make([]string, 0, n)
	for {
		line, rest, err := cutLine(text)
		if err != nil {
			return nil, err
		}
		if line == "" {
			if rest != "" {
				return nil, fault("something behind its head")
			}
			return header, nil
		}
		name, value, err := parseField(line)
		if err != nil {
			return nil, err
		}
		if have := header[name]; have != nil {
			header[name] = append(have, value)
		} else {
			// All values stand in one array; the third index keeps appending to one of them off the next.
			values = append(values, value)
			header[name] = values[len(values)-1 : len(values) : len(values)]
		}
		text = rest
	}
}

// parseField reads one field. Folded lines (§5.2) and white space before the colon (§5.1) are refused: not all readers
// see the same field there.
func parseField(line string) (name, value string, err error) {
	if line[0] == ' ' || line[0] == '\t' {
		return "", "", fault("a folded line")
	}
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isToken(name) {
		return "", "", fault("a field without a name")
	}
	if !isValue(value) {
		return "", "", fault("a control character in the field %s", name)
	}
	return textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " \t"), nil
}

// frame finds out where the body ends (§6.3) and whether the connection goes on behind it (§9.3).
func (h *head) frame() error {
	lengths, codings := h.header["Content-Length"], h.header["Transfer-Encoding"]
	h.length = -1
	for i, text := range lengths {
		n, err := parseLength(text)
		if err != nil {
			return err
		}
		if i > 0 && text != lengths[0] {
			return fault("two different lengths")
		}
		h.length = n
	}
	if codings != nil {
		switch {
		case lengths != nil:
			return fault("a length beside a transfer coding")
		case h.minor == '0':
			return fault("a transfer coding in HTTP/1.0")
		case len(codings) > 1 || !strings.EqualFold(codings[0], "chunked"):
			return fault("a transfer coding other than chunked")
		}
		h.chunk = true
	}
	h.close = h.ends()
	return nil
}

// parseLength reads a Content-Length: digits and nothing else, of a number that fits.
func parseLength(text string) (int64, error) {
	if text == "" || len(text) > 18 {
		return 0, fault("a length that is none")
	}
	for i := range len(text) {
		if !isDigit(text[i]) {
			return 0, fault("a length that is none")
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fault("a length that is none")
	}
	return n, nil
}

// ends says whether the server closes the connection: because it says so, or because HTTP/1.0 does unless it says
// otherwise.
func (h *head) ends() bool {
	keeps := h.minor != '0'
	for _, list := range h.header["Connection"] {
		for word := range strings.SplitSeq(list, ",") {
			switch word = strings.Trim(word, " \t"); {
			case strings.EqualFold(word, "close"):
				return true
			case strings.EqualFold(word, "keep-alive"):
				keeps = true
			}
		}
	}
	return !keeps
}

// bodiless says whether answers of a status never have a body, whatever their head says (§6.3).
func (h *head) bodiless() bool {
	return h.status == http.StatusNoContent || h.status == http.StatusNotModified
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
