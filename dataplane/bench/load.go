package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"
)

// caller makes one call after the other and checks each answer.
type caller interface {
	call() error
	close()
}

// target is something that calls can be made of.
type target struct {
	name string
	open func() (caller, error)
}

// sample is what one measurement of one target found.
type sample struct {
	latencies []time.Duration
	took      time.Duration
}

// drive makes calls with n callers for about d.
func (t target) drive(n int, d time.Duration) (sample, error) {
	callers := make([]caller, n)
	for i := range callers {
		c, err := t.open()
		if err != nil {
			return sample{}, fmt.Errorf("%s: %w", t.name, err)
		}
		defer c.close()
		callers[i] = c
	}
	lists, errs := make([][]time.Duration, n), make([]error, n)
	begin := time.Now()
	var wg sync.WaitGroup
	for i, c := range callers {
		wg.Go(func() { lists[i], errs[i] = callUntil(c, begin.Add(d)) })
	}
	wg.Wait()
	s := sample{took: time.Since(begin)}
	for i, list := range lists {
		if errs[i] != nil {
			return s, fmt.Errorf("%s: %w", t.name, errs[i])
		}
		s.latencies = append(s.latencies, list...)
	}
	s.sort()
	return s, nil
}

func (s *sample) sort() { slices.Sort(s.latencies) }

func callUntil(c caller, end time.Time) (list []time.Duration, err error) {
	for {
		begin := time.Now()
		if begin.After(end) {
			return list, nil
		}
		if err := c.call(); err != nil {
			return list, err
		}
		list = append(list, time.Since(begin))
	}
}

// percentile returns the latency that p of 100 calls do not exceed.
func (s sample) percentile(p float64) time.Duration {
	if len(s.latencies) == 0 {
		return 0
	}
	return s.latencies[min(len(s.latencies)-1, int(float64(len(s.latencies))*p/100))]
}

func (s sample) rate() float64 { return float64(len(s.latencies)) / s.took.Seconds() }

// httpCaller is a keep-alive HTTP client that costs little: the machine is shared with what it measures.
type httpCaller struct {
	conn    net.Conn
	in      *bufio.Reader
	request []byte
	want    []byte
	body    []byte
}

// openHTTP returns a caller that posts the body to the address and expects want within the answer.
func openHTTP(addr, key, body, want string) (caller, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("opening a connection: %w", err)
	}
	head := "POST /mcp HTTP/1.1\r\nHost: " + addr + "\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
	if key != "" {
		head += "Authorization: Bearer " + key + "\r\n"
	}
	request := fmt.Appendf(nil, "%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
	return &httpCaller{conn: conn, in: bufio.NewReaderSize(conn, 1<<16), request: request, want: []byte(want)}, nil
}

func (c *httpCaller) close() { c.conn.Close() }

func (c *httpCaller) call() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	length, err := c.readHead()
	if err != nil {
		return err
	}
	if err := c.readBody(length); err != nil {
		return fmt.Errorf("reading an answer: %w", err)
	}
	if !bytes.Contains(c.body, c.want) {
		return fmt.Errorf("answer %.200q lacks %q", c.body, c.want)
	}
	return nil
}

// readHead reads status and headers; the length is -1 for a chunked answer.
func (c *httpCaller) readHead() (length int, err error) {
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, fmt.Errorf("reading an answer's head: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		switch name, value, _ := bytes.Cut(line, []byte(": ")); {
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")):
			return 0, errors.New("answered " + string(line))
		case len(line) == 0:
			return length, nil
		case bytes.EqualFold(name, []byte("content-length")):
			length, _ = strconv.Atoi(string(value))
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			length = -1
		}
	}
}

func (c *httpCaller) readBody(length int) error {
	if length < 0 {
		return c.readChunks()
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	_, err := io.ReadFull(c.in, c.body)
	return err
}

func (c *httpCaller) readChunks() error {
	c.body = c.body[:0]
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 64)
		if err != nil {
			return fmt.Errorf("reading a chunk's size: %w", err)
		}
		at := len(c.body)
		c.body = slices.Grow(c.body, int(n)+2)[:at+int(n)+2] // with its line end
		if _, err := io.ReadFull(c.in, c.body[at:]); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}

// stdioUpstream is a child process that is called directly, without a gateway.
type stdioUpstream struct {
	cmd *exec.Cmd
	in  io.WriteCloser

	mu      sync.Mutex // guards below
	nextID  int
	waiting map[int]chan []byte
}

func startStdioUpstream(argv []string) (*stdioUpstream, error) {
	u := &stdioUpstream{cmd: exec.Command(argv[0], argv[1:]...), waiting: map[int]chan []byte{}}
	in, err := u.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("opening a pipe: %w", err)
	}
	out, err := u.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("opening a pipe: %w", err)
	}
	if err := u.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the echo upstream: %w", err)
	}
	u.in = in
	go u.read(bufio.NewReaderSize(out, 1<<16))
	return u, nil
}

// read hands each answer to its caller; our answers begin with {"jsonrpc":"2.0","id":N,
func (u *stdioUpstream) read(out *bufio.Reader) {
	const prefix = len(`{"jsonrpc":"2.0","id":`)
	for {
		line, err := out.ReadBytes('\n')
		if err != nil {
			return
		}
		id, _ := strconv.Atoi(string(line[prefix : prefix+bytes.IndexByte(line[prefix:], ',')]))
		u.mu.Lock()
		ch := u.waiting[id]
		delete(u.waiting, id)
		u.mu.Unlock()
		ch <- line
	}
}

func (u *stdioUpstream) close() {
	u.in.Close()
	_ = u.cmd.Wait() // it ends with its input
}

// stdioCaller is one of several that share the process.
type stdioCaller struct {
	u    *stdioUpstream
	want []byte
}

func (c *stdioCaller) close() {}

func (c *stdioCaller) call() error {
	ch := make(chan []byte, 1)
	c.u.mu.Lock()
	c.u.nextID++
	id := c.u.nextID
	c.u.waiting[id] = ch
	_, err := fmt.Fprintf(c.u.in, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","arguments":{"message":"%s"}}}`+"\n", id, payload)
	c.u.mu.Unlock()
	if err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if line := <-ch; !bytes.Contains(line, c.want) {
		return fmt.Errorf("answer %.200q lacks %q", line, c.want)
	}
	return nil
}
