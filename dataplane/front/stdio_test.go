package front_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	gomcp "github.com/mark3labs/mcp-go/mcp"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// pipe is a running ServeStdio and the agent's ends of it.
type pipe struct {
	t     *testing.T
	in    *io.PipeWriter
	out   *io.PipeReader
	lines *bufio.Reader
	done  chan error
}

func startPipe(ctx context.Context, t *testing.T, conf front.Config) *pipe {
	in, inEnd := io.Pipe()
	outEnd, out := io.Pipe()
	p := &pipe{t, inEnd, outEnd, bufio.NewReader(outEnd), make(chan error, 1)}
	go func() {
		p.done <- front.New(conf).ServeStdio(ctx, in, out)
		out.Close()
	}()
	t.Cleanup(func() { inEnd.Close(); outEnd.Close() })
	return p
}

func (p *pipe) write(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(p.in, line+"\n"); err != nil {
			p.t.Errorf("writing %s: %v", line, err)
			return
		}
	}
}

func (p *pipe) read() string {
	p.t.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil {
		p.t.Fatalf("reading an answer: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

func TestPipeServesOtherRequestsDuringACall(t *testing.T) {
	g := newTools()
	p := startPipe(t.Context(), t, config(t, g))
	p.write(waitCall, `{"jsonrpc":"2.0","id":"p","method":"ping"}`)
	if got, want := p.read(), `{"jsonrpc":"2.0","id":"p","result":{}}`; got != want {
		t.Errorf("first answer = %s, want %s", got, want)
	}
	close(g.release)
	if got, want := p.read(), `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`; got != want {
		t.Errorf("second answer = %s, want %s", got, want)
	}
}

func TestPipeEndsAfterTheCallsUnderWay(t *testing.T) {
	g := newTools()
	conf := config(t, g)
	ended := make(chan string, 1)
	conf.EndSession = func(id string) { ended <- id }
	p := startPipe(t.Context(), t, conf)
	p.write(waitCall)
	session := receive(t, g.started)
	p.in.Close()
	select {
	case err := <-p.done:
		t.Fatalf("ServeStdio = %v while a call was under way", err)
	case g.release <- struct{}{}:
	}
	if got := p.read(); !strings.Contains(got, `"content":[]`) {
		t.Errorf("answer = %s", got)
	}
	if err := receive(t, p.done); err != nil {
		t.Errorf("ServeStdio = %v, want nil", err)
	}
	if got := receive(t, ended); got != session || got == "" {
		t.Errorf("EndSession(%q), want %q", got, session)
	}
}

func TestPipeCancelsWithoutAnAnswer(t *testing.T) {
	for name, call := range map[string]string{"legacy": waitCall, "modern": waitModern} {
		t.Run(name, func(t *testing.T) {
			g := newTools()
			p := startPipe(t.Context(), t, config(t, g))
			p.write(call)
			receive(t, g.started)
			p.write(cancelIt)
			if err := receive(t, g.ended); err != context.Canceled {
				t.Errorf("the call ended with %v, want context.Canceled", err)
			}
			p.write(`{"jsonrpc":"2.0","id":2,"method":"no/such"}`)
			if got := p.read(); !strings.Contains(got, `"id":2`) {
				t.Errorf("answer = %s, want none to the cancelled call", got)
			}
		})
	}
}

func TestPipeEndsWithItsContext(t *testing.T) {
	g := newTools()
	ctx, cancel := context.WithCancel(t.Context())
	p := startPipe(ctx, t, config(t, g))
	p.write(waitCall)
	receive(t, g.started)
	cancel()
	if got, want := p.read(), `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"the gateway is going down and has cancelled the call"}}`; got != want {
		t.Errorf("answer = %s, want %s", got, want)
	}
	if err := receive(t, p.done); !errors.Is(err, context.Canceled) {
		t.Errorf("ServeStdio = %v, want context.Canceled", err)
	}
}

func TestPipeEndsWhenNobodyReads(t *testing.T) {
	p := startPipe(t.Context(), t, config(t, newTools()))
	p.out.Close()
	p.write(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	if err := receive(t, p.done); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("ServeStdio = %v, want io.ErrClosedPipe", err)
	}
}

func TestPipeDoesNotWaitForAnAgentThatNeverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		conf := config(t, newTools())
		conf.Parallel = 1
		p := startPipe(ctx, t, conf)
		go io.WriteString(p.in, strings.Repeat(pingIt+"\n", 3)) // one answer stays in the pipe, the others wait
		synctest.Wait()
		cancel()
		if err := receive(t, p.done); !errors.Is(err, context.Canceled) {
			t.Errorf("ServeStdio = %v, want context.Canceled", err)
		}
		p.out.Close() // lets go of the writes that were left behind
	})
}

func TestPipePassesBigResultsAsOneLine(t *testing.T) {
	p := startPipe(t.Context(), t, config(t, newTools()))
	p.write(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"big"}}`)
	if got, want := p.read(), `{"jsonrpc":"2.0","id":1,"result":`+bigResult()+`}`; got != want {
		t.Errorf("big result: %d bytes, want %d", len(got), len(want))
	}
	p.write(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"tall"}}`)
	if got, want := p.read(), `{"jsonrpc":"2.0","id":2,"result":`+strings.ReplaceAll(tallResult(), "\n", " ")+`}`; got != want {
		t.Errorf("tall result: %d bytes, want %d", len(got), len(want))
	}
}

func TestPipeAnswersALastLineThatIsTooLong(t *testing.T) {
	conf := config(t, newTools())
	conf.MaxBody = 100
	var out strings.Builder
	if err := front.New(conf).ServeStdio(t.Context(), strings.NewReader(strings.Repeat("x", 101)), &out); err != nil {
		t.Errorf("ServeStdio = %v, want nil", err)
	}
	if want := `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the message is larger than this gateway takes"}}` + "\n"; out.String() != want {
		t.Errorf("answer = %s, want %s", out.String(), want)
	}
}

func TestPipeBoundsWhatRunsAtOnce(t *testing.T) {
	g := newTools()
	conf := config(t, g)
	conf.Parallel = 2
	p := startPipe(t.Context(), t, conf)
	go p.write(strings.Replace(waitCall, "1", "1", 1), strings.Replace(waitCall, `"id":1`, `"id":2`, 1), strings.Replace(waitCall, `"id":1`, `"id":3`, 1))
	receive(t, g.started)
	receive(t, g.started)
	select {
	case <-g.started:
		t.Error("a third call began beside two")
	case g.release <- struct{}{}:
	}
	p.read()
	receive(t, g.started)
	close(g.release)
	p.read()
	p.read()
}

func TestRealClientSpeaksBothErasOnAPipe(t *testing.T) {
	for era, version := range map[mcp.Era]string{mcp.Legacy: "2025-11-25", mcp.Modern: "2026-07-28"} {
		t.Run(era.String(), func(t *testing.T) {
			p := startPipe(t.Context(), t, config(t, newTools()))
			var choice []client.ClientOption
			if era == mcp.Legacy {
				choice = append(choice, client.WithLegacyProtocolOnly())
			}
			c := client.NewClient(transport.NewIO(p.lines, p.in, io.NopCloser(strings.NewReader(""))), choice...)
			if err := c.Start(t.Context()); err != nil {
				t.Fatalf("Start: %v", err)
			}
			defer c.Close()
			if _, err := c.Initialize(t.Context(), gomcp.InitializeRequest{}); err != nil || c.ProtocolVersion() != version {
				t.Fatalf("Initialize: %v, speaking %s, want %s", err, c.ProtocolVersion(), version)
			}
			checkEcho(t, c, era)
			if list, err := c.ListTools(t.Context(), gomcp.ListToolsRequest{}); err != nil || len(list.Tools) != 2 {
				t.Errorf("ListTools = %+v, %v, want two tools", list, err)
			}
		})
	}
}
