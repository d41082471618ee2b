package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"sync"
)

// stdioUpstream is a child process that is called directly, without a gateway.
type stdioUpstream struct {
	cmd *exec.Cmd
	in  io.WriteCloser

	mu      sync.Mutex // guards below
	nextID  int
	waiting map[int]chan []byte
}

func startStdioUpstream(argv ...string) (*stdioUpstream, error) {
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

// target is the process, called by several that share it.
func (u *stdioUpstream) target(name string) target {
	return target{name: name, open: func() (caller, error) { return &stdioCaller{u, []byte(payload)}, nil }}
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
