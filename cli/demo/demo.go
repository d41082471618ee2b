// Package demo is a small MCP server, so that a first run of the gateway needs nothing else installed. Its five tools show
// what a gateway has to carry: text, numbers, a failing tool and a slow one. It keeps no state and touches nothing.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// maxSleep bounds the slow tool.
const maxSleep = time.Hour

// concurrency is how many calls run at the same time on standard input.
const concurrency = 64

// Serve speaks MCP on a pair of streams until in ends or ctx does.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	s := server.NewStdioServer(newServer())
	s.SetErrorLogger(log.New(io.Discard, "", 0))
	server.WithWorkerPoolSize(concurrency)(s)
	err := s.Listen(ctx, in, out)
	if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// ServeHTTP speaks Streamable HTTP at /mcp of a loopback address until ctx ends. Ready is told the URL.
func ServeHTTP(ctx context.Context, addr string, ready func(url string)) error {
	lis, err := listenLoopback(ctx, addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/mcp", server.NewStreamableHTTPServer(newServer()))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	ready("http://" + lis.Addr().String() + "/mcp")
	select {
	case err := <-served:
		return fmt.Errorf("serving %s: %w", lis.Addr(), err)
	case <-ctx.Done():
	}
	// Clients' streams never end by themselves, so there is nothing to wait for but the goroutine.
	return errors.Join(srv.Close(), ignoreClosed(<-served))
}

// ignoreClosed drops the error that says no more than that the server was closed.
func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// listenLoopback binds an address, and refuses one that others than this machine can reach.
func listenLoopback(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("reading address %s: %w", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listening on %s: the demo server has no authentication, so only a loopback address will do", addr)
	}
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr)
}

// newServer has the tools.
func newServer() *server.MCPServer {
	s := server.NewMCPServer("gatehouse-demo", "1.0.0", server.WithToolCapabilities(false), server.WithRecovery())
	s.AddTool(mcp.NewTool("echo", mcp.WithDescription("Returns the message."),
		mcp.WithString("message", mcp.Required(), mcp.Description("what to return"))), echo)
	s.AddTool(mcp.NewTool("add", mcp.WithDescription("Adds two numbers."),
		mcp.WithNumber("a", mcp.Required()), mcp.WithNumber("b", mcp.Required())), add)
	s.AddTool(mcp.NewTool("now", mcp.WithDescription("Returns the time in UTC, as RFC 3339.")), now)
	s.AddTool(mcp.NewTool("fail", mcp.WithDescription("Fails with the message, as a tool does that could not do its work."),
		mcp.WithString("message", mcp.Required())), failing)
	s.AddTool(mcp.NewTool("slow", mcp.WithDescription("Answers after some milliseconds."),
		mcp.WithNumber("ms", mcp.Required(), mcp.Min(0))), slow)
	return s
}

// echo returns its argument, so that what comes back can be compared with what went in.
func echo(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return text(r.RequireString("message"))
}

// add computes in float64, as JSON numbers are commonly read; the text has as few digits as identify the sum.
func add(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	a, errA := r.RequireFloat("a")
	b, errB := r.RequireFloat("b")
	return text(strconv.FormatFloat(a+b, 'f', -1, 64), errors.Join(errA, errB))
}

// now is the tool whose answers differ: whoever sees the same one twice looks at a cache.
func now(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return text(time.Now().UTC().Format(time.RFC3339Nano), nil)
}

// failing is a tool's error, which is a result with isError, not an error of the protocol.
func failing(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return mcp.NewToolResultError(r.GetString("message", "failed as asked")), nil
}

// slow ends early when the call is cancelled, as a tool should.
func slow(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	ms, err := r.RequireFloat("ms")
	if err != nil {
		return text("", err)
	}
	d := min(max(0, time.Duration(ms*float64(time.Millisecond))), maxSleep)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return text("", ctx.Err())
	case <-timer.C:
		return text("slept "+d.String(), nil)
	}
}

// text is a result of one text, or a tool's error.
func text(s string, err error) (*mcp.CallToolResult, error) {
	if err != nil {
		return mcp.NewToolResultError(err.Error()), nil
	}
	return mcp.NewToolResultText(s), nil
}
