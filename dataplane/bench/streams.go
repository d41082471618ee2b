package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	manyStreams = 10000
	steadyRate  = 500 // calls per second beside the streams
)

// measureStreams opens many sessions with a stream each, on the gateway's own endpoint and on that of a server, and makes
// calls at a fixed rate with and without them.
func measureStreams(ctx context.Context, o options) error {
	count, lasting := manyStreams, 30*time.Second // longer than a stream is silent
	if o.quick {
		count, lasting = 500, 2*time.Second
	}
	if err := allowDescriptors(count + 1000); err != nil {
		return err
	}
	g := newGrid("streams on", "open", "RSS per stream", "heap", "stacks", "goroutines per stream", "P50 quiet", "P99 quiet", "P50 beside", "P99 beside", "P99 ratio")
	goals := newGrid("goal", "wanted", "measured", "met")
	for _, path := range []string{"/mcp", "/mcp/http"} {
		f, err := streamsOn(ctx, o, path, count, lasting)
		if err != nil {
			return err
		}
		ratio := float64(f.beside.percentile(99)) / float64(max(1, f.quiet.percentile(99)))
		g.row(path, f.alive, kb(f.rss), kb(f.heap), kb(f.stacks), fmt.Sprintf("%.1f", f.goroutines), f.quiet.percentile(50), f.quiet.percentile(99),
			f.beside.percentile(50), f.beside.percentile(99), times(ratio))
		goals.row(path+": open streams", count, f.alive, verdict(f.alive == count))
		goals.row(path+": RSS per stream", "≤ 25 KB", kb(f.rss), verdict(f.rss <= 25<<10))
		goals.row(path+": P99 beside the streams", "≤ 2.00×", times(ratio), verdict(ratio <= 2))
	}
	g.print()
	fmt.Printf("%d calls of execute_tool a second, for %v without streams and for %v beside them; latency counts from the moment a call is due.\n\n", steadyRate, lasting, lasting)
	goals.print()
	return nil
}

func kb(bytes float64) string { return fmt.Sprintf("%.1f KB", bytes/1024) }

// allowDescriptors raises the soft limit for this process; gwproxy raises its own, as every Go program does.
func allowDescriptors(n int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("reading the limit of descriptors: %w", err)
	}
	if l.Max < uint64(n) {
		return fmt.Errorf("the hard limit of descriptors is %d, and %d are needed: raise it (ulimit -Hn)", l.Max, n)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raising the limit of descriptors: %w", err)
	}
	return nil
}

// streaming is what was found of streams on one endpoint; sizes are per stream.
type streaming struct {
	alive                         int
	rss, heap, stacks, goroutines float64
	quiet, beside                 sample
}

func streamsOn(ctx context.Context, o options, path string, count int, lasting time.Duration) (f streaming, err error) {
	l, err := newLab(o)
	if err != nil {
		return f, err
	}
	defer l.stop()
	upstream, err := l.echo(ctx, 1)
	if err != nil {
		return f, err
	}
	p, err := l.plane(ctx, httpServer("http", upstream.addr))
	if err != nil {
		return f, err
	}
	t := p.legacy(legacyHTTP, "/mcp", executeTool("http", message()), payload)
	if _, err := t.drive(ctx, 16, lasting/10); err != nil { // to warm up
		return f, err
	}
	if f.quiet, err = t.pace(ctx, lasting); err != nil {
		return f, err
	}
	before := p.inside()
	streams, err := p.streams(ctx, path, count)
	defer closeAll(streams)
	if err != nil {
		return f, err
	}
	if err := rest(ctx, 2*time.Second); err != nil {
		return f, err
	}
	now := p.inside()
	n := float64(count)
	f.rss, f.heap, f.stacks, f.goroutines = (now[0]-before[0])/n, (now[1]-before[1])/n, (now[2]-before[2])/n, (now[3]-before[3])/n
	f.beside, err = t.pace(ctx, lasting)
	f.alive = alive(streams)
	return f, err
}

// inside is RSS, heap in use, stacks in use and goroutines of the gateway.
func (p *plane) inside() [4]float64 {
	return [4]float64{float64(rss(p.gateway.pid)), p.metric("go_memstats_heap_inuse_bytes"), p.metric("go_memstats_stack_inuse_bytes"), p.metric("go_goroutines")}
}

// openers is how many open streams at a time.
const openers = 16

// streams opens sessions, each on a connection of its own that becomes its stream.
func (p *plane) streams(ctx context.Context, path string, count int) ([]net.Conn, error) {
	e := endpoint{addr: p.gateway.addr, path: path, key: p.key}
	lists, errs := make([][]net.Conn, openers), make([]error, openers)
	var wg sync.WaitGroup
	for i := range openers {
		wg.Go(func() {
			for n := i; n < count && errs[i] == nil && ctx.Err() == nil; n += openers {
				var conn net.Conn
				if conn, errs[i] = e.stream(); conn != nil {
					lists[i] = append(lists[i], conn)
				}
			}
		})
	}
	wg.Wait()
	return slices.Concat(lists...), errors.Join(errs...)
}

// stream opens a session and its stream, and returns the connection once the stream has begun.
func (e endpoint) stream() (net.Conn, error) {
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		return nil, fmt.Errorf("opening a connection: %w", err)
	}
	c := newCaller(conn, 2<<10)
	if e.headers, err = c.session(e); err == nil {
		_, err = conn.Write(append(e.head("GET"), "\r\n"...))
	}
	if err == nil {
		_, err = c.readHead()
	}
	return conn, err
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		c.Close()
	}
}

// alive counts the connections that the gateway has not closed.
func alive(conns []net.Conn) (n int) {
	buf := make([]byte, 4<<10)
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		var err error
		for err == nil {
			_, err = c.Read(buf)
		}
		if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() {
			n++
		}
	}
	return n
}
