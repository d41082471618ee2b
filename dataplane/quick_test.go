package dataplane_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
)

// quickServer is an upstream over HTTP, written for benchmarks: once warm it allocates nothing, so that what is counted is the
// gateway's. Its tool echo returns a fixed result, its tool talk reports progress ten times first.
type quickServer struct {
	listener net.Listener
	tasks    sync.WaitGroup

	mu    sync.Mutex // guards below
	conns []net.Conn
}

func startQuick(t testing.TB) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &quickServer{listener: l}
	s.tasks.Go(s.accept)
	t.Cleanup(s.close)
	return "http://" + l.Addr().String() + "/mcp"
}

func (s *quickServer) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, conn)
		s.mu.Unlock()
		s.tasks.Go(func() {
			defer conn.Close()
			q := &quickConn{conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}
			for q.exchange() == nil {
			}
		})
	}
}

func (s *quickServer) close() {
	s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.tasks.Wait()
}

// quickConn is one connection, with memory that is used again.
type quickConn struct {
	conn      net.Conn
	in        *bufio.Reader
	body, out []byte
	text      []byte // of an event
}

const (
	quickResult = `{"content":[{"type":"text","text":"hello from the other side"}]}`
	quickHello  = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"quick","version":"1"}}`
	quickTools  = `{"tools":[{"name":"echo","inputSchema":{"type":"object"}},{"name":"talk","inputSchema":{"type":"object"}}]}`
	quickEvents = 10
)

// exchange answers one request.
func (q *quickConn) exchange() error {
	post, err := q.read()
	if err != nil {
		return err
	}
	id := after(q.body, `"id":`)
	switch {
	case !post:
		q.out = append(q.out[:0], "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"...)
	case id == nil:
		q.out = append(q.out[:0], "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"...)
	case bytes.Contains(q.body, []byte(`"name":"talk"`)):
		q.talk(id, after(q.body, `"progressToken":`))
	case bytes.Contains(q.body, []byte(`"tools/call"`)):
		q.answer(id, `"result":`+quickResult)
	case bytes.Contains(q.body, []byte(`"tools/list"`)):
		q.answer(id, `"result":`+quickTools)
	case bytes.Contains(q.body, []byte(`"initialize"`)):
		q.answer(id, `"result":`+quickHello)
	default:
		q.answer(id, `"error":{"code":-32601,"message":"no such method"}`)
	}
	_, err = q.conn.Write(q.out)
	return err
}

// after returns the number or the string, as it stands, that follows a key; nil where there is none.
func after(body []byte, key string) []byte {
	i := bytes.Index(body, []byte(key))
	if i < 0 {
		return nil
	}
	rest := body[i+len(key):]
	return rest[:bytes.IndexAny(rest, ",}")]
}

// read reads one request.
func (q *quickConn) read() (post bool, err error) {
	length := 0
	for first := true; ; first = false {
		line, err := q.in.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first {
			post = bytes.HasPrefix(line, []byte("POST "))
		}
		if len(line) == 0 {
			break
		}
		if name := []byte("content-length: "); len(line) > len(name) && bytes.EqualFold(line[:len(name)], name) {
			length, _ = strconv.Atoi(string(line[len(name):])) // the compiler makes no string of it
		}
	}
	if cap(q.body) < length {
		q.body = make([]byte, length)
	}
	q.body = q.body[:length]
	_, err = io.ReadFull(q.in, q.body)
	return post, err
}

func (q *quickConn) answer(id []byte, rest string) {
	const frame = len(`{"jsonrpc":"2.0","id":,}`)
	q.out = append(q.out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
	q.out = strconv.AppendInt(q.out, int64(frame+len(id)+len(rest)), 10)
	q.out = append(append(q.out, "\r\n\r\n"+`{"jsonrpc":"2.0","id":`...), id...)
	q.out = append(append(append(q.out, ','), rest...), '}')
}

// talk answers with a stream of events, all in one write: what is measured is how they are relayed.
func (q *quickConn) talk(id, token []byte) {
	q.out = append(q.out[:0], "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"...)
	for n := range quickEvents {
		q.text = append(append(q.text[:0], `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":`...), token...)
		q.text = append(strconv.AppendInt(append(q.text, `,"progress":`...), int64(n+1), 10), "}}"...)
		q.event()
	}
	q.text = append(append(q.text[:0], `{"jsonrpc":"2.0","id":`...), id...)
	q.text = append(q.text, `,"result":`+quickResult+`}`...)
	q.event()
	q.out = append(q.out, "0\r\n\r\n"...)
}

// event appends the text as an event, a chunk of its own.
func (q *quickConn) event() {
	q.out = fmt.Appendf(q.out, "%x\r\ndata: ", len("data: \n\n")+len(q.text))
	q.out = append(append(q.out, q.text...), "\n\n\r\n"...)
}
