package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

const largeResult = 100 << 20

// measureMemory says what the gateway takes idle, after load, and for one result that is larger than it should hold.
func measureMemory(ctx context.Context, o options) error {
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.stop()
	upstream, err := l.echo(ctx, 1)
	if err != nil {
		return err
	}
	p, err := l.plane(ctx, httpServer("http", upstream.addr))
	if err != nil {
		return err
	}
	idle := rss(p.gateway.pid)
	t := p.legacy(legacyHTTP, "/mcp", executeTool("http", message()), payload)
	if _, err := t.drive(ctx, 64, 5*o.window); err != nil {
		return err
	}
	g := newGrid("gwproxy", "RSS")
	g.row("idle, before the first call", mib(float64(idle)))
	g.row("after 64 callers", mib(float64(rss(p.gateway.pid))))
	g.row("at its peak", mib(float64(status(p.gateway.pid, "VmHWM"))))
	g.print()
	return l.measureLarge(ctx, upstream.addr)
}

// measureLarge passes one large result through gateways that have done little else, by each way.
func (l *lab) measureLarge(ctx context.Context, upstream string) error {
	g := newGrid("one result of "+mib(largeResult), "bytes that came", "took", "RSS before", "peak", "more", "wanted", "met")
	for _, path := range []string{"/mcp", "/mcp/http"} {
		p, err := l.plane(ctx, httpServer("http", upstream))
		if err != nil {
			return err
		}
		call := toolsCall("echo", size(largeResult))
		if path == "/mcp" {
			call = executeTool("http", size(largeResult))
		}
		if _, err := p.legacy(legacyHTTP, "/mcp", executeTool("http", message()), payload).drive(ctx, 1, time.Second); err != nil {
			return err
		}
		idle := rss(p.gateway.pid)
		if err := forgetPeak(p.gateway.pid); err != nil {
			return err
		}
		began := time.Now()
		came, err := p.large(path, call)
		took := time.Since(began).Round(time.Millisecond)
		if err != nil {
			g.row(path, fmt.Sprintf("%d (%v)", came, err), took, mib(float64(idle)), "–", "–", "< 32 MB", verdict(false))
			continue
		}
		peak := status(p.gateway.pid, "VmHWM")
		more := float64(peak - idle)
		g.row(path, came, took, mib(float64(idle)), mib(float64(peak)), mib(more), "< 32 MB", verdict(more < 32<<20))
	}
	g.print()
	return nil
}

// large makes one call whose answer is read as it comes, checked, and not kept. Frames of chunks count as bytes.
func (p *plane) large(path, body string) (came int, err error) {
	e := endpoint{addr: p.gateway.addr, path: path, key: p.key}
	c, err := e.connect()
	if err != nil {
		return 0, err
	}
	defer c.close()
	if e.headers, err = c.session(e); err != nil {
		return 0, err
	}
	e.headers += "Connection: close\r\n" // so that the end of the body is that of the connection
	if _, err := c.conn.Write(e.post(body)); err != nil {
		return 0, fmt.Errorf("sending: %w", err)
	}
	if _, err := c.readHead(); err != nil {
		return 0, err
	}
	return readLarge(c.in)
}

// readLarge counts what comes and looks at its beginning.
func readLarge(in io.Reader) (came int, err error) {
	begin := make([]byte, 1<<10)
	n, _ := io.ReadFull(in, begin) // a shorter one is an error of the gateway's
	rest, err := io.Copy(io.Discard, in)
	if err != nil {
		return n, fmt.Errorf("reading: %w", err)
	}
	came = n + int(rest)
	if !bytes.Contains(begin[:n], []byte(text(64))) || came < largeResult {
		return came, fmt.Errorf("answer begins %.120q", begin[:n])
	}
	return came, nil
}
