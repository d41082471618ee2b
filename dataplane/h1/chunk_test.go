package h1_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
)

// piecemeal is a connection whose other side has said all that it will, and which hands it out in reads of any size.
type piecemeal struct {
	net.Conn // nil: nothing else is asked of it
	in       *bytes.Reader
	random   *rand.Rand
	reads    int
}

func (p *piecemeal) Read(b []byte) (int, error) {
	p.reads++
	if p.random != nil {
		b = b[:min(len(b), 1+p.random.IntN(20<<10))]
	}
	return p.in.Read(b)
}

func (p *piecemeal) Write(b []byte) (int, error) { return len(b), nil }
func (p *piecemeal) Close() error                { return nil }

// readAll reads the body of an answer, a room at a time.
func readAll(ctx context.Context, c *piecemeal, room func() int) ([]byte, error) {
	client := h1.New(h1.Config{Dial: func(context.Context, string, string) (net.Conn, error) { return c, nil }})
	defer client.Close()
	resp, err := client.Host("x").Post(ctx, &h1.Request{Head: []byte("POST / HTTP/1.1\r\n")})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var got []byte
	for err == nil {
		var n int
		p := make([]byte, room())
		n, err = resp.Body.Read(p)
		got = append(got, p[:n]...)
	}
	if err == io.EOF {
		err = nil
	}
	return got, err
}

// inChunks is an answer with that body; last is what follows the last chunk with bytes in it.
func inChunks(body []byte, size func() int, last string) []byte {
	answer := []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for len(body) > 0 {
		n := min(len(body), size())
		answer = append(fmt.Appendf(answer, "%x\r\n", n), body[:n]...)
		answer, body = append(answer, "\r\n"...), body[n:]
	}
	return append(answer, last...)
}

// Wherever reads, chunks and the reader's room end, the bytes are the same, and so is what is wrong with them.
func TestChunksOfAnySizeAreReadInPiecesOfAnySize(t *testing.T) {
	ends := []struct {
		text string
		good bool
	}{
		{"0\r\n\r\n", true}, {"000;x=y\r\nX: y\r\n\r\n", true}, {"0\r\n\r\nHTTP/1.1 200 OK\r\n", true},
		{"", false}, {"0\r\n", false}, {"x\r\n\r\n", false}, {"\r\n0\r\n\r\n", false}, {"5\r\nabc", false}, {"2\r\nabc\r\n0\r\n\r\n", false},
		{"2\nab\r\n0\r\n\r\n", false},
	}
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 0))
		body := make([]byte, random.IntN(150<<10))
		for i := range body {
			body[i] = "0123456789abcdef\r\n"[random.IntN(18)]
		}
		most, end := 1<<(1+random.IntN(17)), ends[random.IntN(len(ends))]
		answer := inChunks(body, func() int { return 1 + random.IntN(most) }, end.text)
		got, err := readAll(t.Context(), &piecemeal{in: bytes.NewReader(answer), random: random}, func() int { return 1 + random.IntN(80<<10) })
		if (err == nil) != end.good || !bytes.HasPrefix(got, body) || end.good && len(got) > len(body) {
			t.Fatalf("seed %d: %d bytes in chunks of at most %d, then %q: read %d bytes, %v, want no error: %v",
				seed, len(body), most, end.text, len(got), err, end.good)
		}
	}
}

func TestSmallChunksAreReadTogether(t *testing.T) {
	c := &piecemeal{in: bytes.NewReader(inChunks(make([]byte, 1<<20), func() int { return 2 << 10 }, "0\r\n\r\n"))}
	if got, err := readAll(t.Context(), c, func() int { return 64 << 10 }); err != nil || len(got) != 1<<20 {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
	if c.reads > 40 {
		t.Errorf("1 MiB in chunks of 2 KiB took %d reads of the connection, want at most 40 where there is room for 64 KiB", c.reads)
	}
}
