package upstream_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// sleeper is an agent that does not listen until it is woken.
type sleeper struct {
	woken chan struct{}
	heard atomic.Int64
}

func (s *sleeper) Notify(string, []byte) {
	<-s.woken
	s.heard.Add(1)
}

func (s *sleeper) Ask(context.Context, string, []byte) (*mcp.Reply, error) { return &mcp.Reply{}, nil }

// TestLargeMessagesWaitAtTheServer: what a server says while its agent does not listen waits in our memory up to a few
// megabytes; the rest waits at the server, and is not lost.
func TestLargeMessagesWaitAtTheServer(t *testing.T) {
	const messages = 64
	var said atomic.Int64
	w := &web{stateful: true, respond: func(rw http.ResponseWriter, _ *http.Request, q request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		for range messages {
			_, err := io.WriteString(rw, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"data\":\""+strings.Repeat("x", 1<<20)+"\"}}\n\n")
			if err != nil {
				return
			}
			said.Add(1)
		}
		fmt.Fprintf(rw, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{}}\n\n", q.ID)
	}}
	u := one(t, upstream.Config{}, remote(serve(t, w)+"/mcp"))
	a := &sleeper{woken: make(chan struct{})}
	c := tool("x")
	c.Stream = a
	done := make(chan error, 1)
	go func() {
		reply, err := u.Call(soon(t), c)
		reply.Close()
		done <- err
	}()
	if n := settled(&said); n > messages/2 {
		t.Errorf("the server could say %d messages of 1 MiB to an agent that sleeps, want a few", n)
	}
	close(a.woken)
	if err := <-done; err != nil || a.heard.Load() != messages {
		t.Errorf("Call = %v, heard %d messages, want all %d", err, a.heard.Load(), messages)
	}
}

// settled waits until a number that is not zero has not changed for a while, and returns it.
func settled(n *atomic.Int64) (last int64) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for same := 0; same < 30; {
		<-tick.C
		if now := n.Load(); now == last && now > 0 {
			same++
		} else {
			last, same = now, 0
		}
	}
	return last
}
