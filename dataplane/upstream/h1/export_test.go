package h1

import "net/http"

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
