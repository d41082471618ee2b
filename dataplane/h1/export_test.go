package h1

import (
	"net"
	"net/http"
)

// Head is the head of an answer, for the fuzz target.
type Head struct {
	Status  int
	Header  http.Header
	Length  int64
	Chunked bool
	Close   bool
}

// ParseHead reads a head.
func ParseHead(text string) (Head, error) {
	h, err := parseHead(text)
	return Head{h.status, h.header, h.length, h.chunk, h.close}, err
}

// ParseRequest reads the head of a request as a server does that has read another one before on the same connection; known
// says that the one before stood for it.
func ParseRequest(before, text string) (r *http.Request, known bool, err error) {
	c := newInbound(NewServer(ServerConfig{}), nowhere{})
	if c.understand([]byte(before)) == nil {
		_, known = c.known.same([]byte(text))
	}
	err = c.understand([]byte(text))
	return c.known.req, known, err
}

// nowhere is a connection of which only the addresses are asked for.
type nowhere struct{ net.Conn }

func (nowhere) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (nowhere) RemoteAddr() net.Addr { return &net.TCPAddr{} }
