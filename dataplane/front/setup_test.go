package front_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

var update = flag.Bool("update", false, "write the golden conversations anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The keys of the test table.
const (
	laptopKey  = "gwk_laptop"
	desktopKey = "gwk_desktop"
	oldKey     = "gwk_old" // expired
)

// live returns a live table that holds the keys above.
func live(t testing.TB) *table.Live {
	t.Helper()
	var objects []*gatehousev1.Object
	for name, key := range map[string]string{"laptop": laptopKey, "desktop": desktopKey, "old": oldKey} {
		sum := sha256.Sum256([]byte(key))
		c := &gatehousev1.Credential{ApiKey: &gatehousev1.ApiKey{Sha256: hex.EncodeToString(sum[:])}, Agents: []string{"researcher"}}
		if key == oldKey {
			c.Expires = timestamppb.New(time.Unix(1_700_000_000, 0))
		}
		objects = append(objects, &gatehousev1.Object{
			Name: name, Spec: &gatehousev1.Object_Credential{Credential: c},
		})
	}
	tab, err := table.Compile(&gatehousev1.Position{StoreId: "s", Epoch: 1, Revision: 7}, &gatehousev1.SnapshotContent{
		Revision: 7, Config: &gatehousev1.Config{Objects: objects}, SealKey: []byte("0123456789abcdef0123456789abcdef"),
	})
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	l := new(table.Live)
	l.Swap(tab)
	return l
}

// tools is a gateway whose tools answer in the odd ways that upstreams know.
type tools struct {
	started chan string // one session id for each call of wait that began
	ended   chan error  // how it ended
	release chan struct{}

	mu      sync.Mutex // guards below
	refused []string
}

func newTools() *tools {
	return &tools{started: make(chan string, 64), ended: make(chan error, 64), release: make(chan struct{})}
}

func (g *tools) ToolsList() []byte {
	return []byte(`[{"name":"echo","description":"Says what it got","inputSchema":{"type":"object","$schema":"https://json-schema.org/draft/2020-12/schema"}},` +
		`{"name":"odd","inputSchema":{"type":"object","oneOf":[{"minProperties":1e0}]},"x-vendor":null}]`)
}

// oddResult has what typed clients and proxies lose: big integers, odd spacing and escapes, unknown members and types.
const oddResult = "{ \"content\":[{\"type\":\"hologram\",\"z\":1e400,\"a\":\"\\u0041<>&\"}],\n" +
	"\t\"structuredContent\":{\"n\":9007199254740993},\r\n\"isError\":false,\"_meta\":{\"big\":123456789012345678901234567890},\"x-vendor\":[null] }"

func bigResult() string {
	return `{"content":[{"type":"text","text":"` + strings.Repeat("0123456789abcdef", 64<<10) + `"}]}`
}

// tallResult is pretty-printed.
func tallResult() string { return `{"content":[` + strings.Repeat("\n", 64<<10) + `]}` }

func (g *tools) CallTool(ctx context.Context, c *gateway.Call) (*mcp.Reply, error) {
	switch c.Name {
	case "echo":
		return g.echo(c), nil
	case "odd":
		return &mcp.Reply{Result: []byte(oddResult)}, nil
	case "big":
		return &mcp.Reply{Result: []byte(bigResult())}, nil
	case "huge": // more than the buffers of a connection hold
		return &mcp.Reply{Result: []byte(`{"content":"` + strings.Repeat("x", 32<<20) + `"}`)}, nil
	case "tall":
		return &mcp.Reply{Result: []byte(tallResult())}, nil
	case "wait":
		return g.wait(ctx, c)
	case "revoked":
		return nil, auth.ErrWrongKey
	case "unready":
		return nil, auth.ErrNotReady
	case "broken":
		return nil, errors.New("a fault with a secret in it")
	}
	return nil, &mcp.Error{Code: mcp.CodeInvalidParams, Message: "unknown tool: " + c.Name}
}

func (g *tools) echo(c *gateway.Call) *mcp.Reply {
	args, meta := c.Args, c.Meta
	if args == nil {
		args = []byte("{}")
	}
	if meta == nil {
		meta = []byte("null")
	}
	return &mcp.Reply{Result: fmt.Appendf(nil, `{"content":[{"type":"text","text":"%s %s session:%v"}],"structuredContent":%s,"resultType":"complete","meta":%s}`,
		c.Principal.Name, c.Era, c.Session != "", args, meta)}
}

func (g *tools) wait(ctx context.Context, c *gateway.Call) (*mcp.Reply, error) {
	g.started <- c.Session
	select {
	case <-ctx.Done():
		g.ended <- ctx.Err()
		return nil, ctx.Err()
	case <-g.release:
		g.ended <- nil
		return &mcp.Reply{Result: []byte(`{"content":[]}`)}, nil
	}
}

// Direct says what it was asked, and first what a streamed request wants said.
func (g *tools) Direct(ctx context.Context, d *gateway.Direct) (*mcp.Reply, error) {
	switch d.Name {
	case "initialize":
		return &mcp.Reply{Result: []byte(`{"protocolVersion":"2025-11-25","serverInfo":{"name":"` + d.Server + `","version":"9"},"capabilities":{}}`)}, nil
	case "tools/call":
		return g.directCall(ctx, d)
	case "resources/read":
		return &mcp.Reply{Error: &mcp.Error{Code: -32002, Message: "no such thing", Data: []byte(`{"uri":"x"}`)}}, nil
	case "subscriptions/listen":
		d.Stream.Notify("notifications/heard", fmt.Appendf(nil, `{"uris":%q}`, strings.Join(d.URIs, ",")))
		<-ctx.Done()
		return nil, ctx.Err()
	case "tools/strange":
		return &mcp.Reply{Error: &mcp.Error{Code: mcp.CodeMethodNotFound, Message: "no such method"}}, nil
	}
	return &mcp.Reply{Result: fmt.Appendf(nil, `{"server":%q,"agent":%q,"subject":%q,"session":%v,"params":%s,"resultType":"complete"}`,
		d.Server, d.Agent, d.Subject, d.Session != "", cmp.Or(string(d.Params), "null"))}, nil
}

func (g *tools) directCall(ctx context.Context, d *gateway.Direct) (*mcp.Reply, error) {
	if d.Subject == "wait" {
		return g.wait(ctx, &d.Call)
	}
	if d.Stream != nil && d.Subject != "quiet" {
		d.Stream.Notify("notifications/progress", []byte("{\"progressToken\":7,\r\n\"progress\":1}"))
		d.Stream.Notify("notifications/message", []byte(`{"level":"info","data":"hi"}`))
	}
	if d.Subject == "ask" && d.Stream != nil {
		reply, err := d.Stream.Ask(ctx, "elicitation/create", []byte(`{"message":"who?"}`))
		if err != nil {
			return nil, err
		}
		if reply.Error != nil {
			return reply, nil
		}
		return &mcp.Reply{Result: fmt.Appendf(nil, `{"answer":%s}`, reply.Result)}, nil
	}
	return &mcp.Reply{Result: []byte(oddResult)}, nil
}

func (g *tools) Unauthenticated(c *gateway.Call, reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused = append(g.refused, reason.Error())
}

func config(t testing.TB, g front.Gateway) front.Config {
	l := live(t)
	return front.Config{
		Gateway: g, Auth: auth.New(l, auth.Key), Version: "1.2.3", PingEvery: 20 * time.Millisecond,
		SealKey: func() []byte { return l.Load().SealKey },
	}
}

// serve starts a server for a configuration.
func serve(t testing.TB, conf front.Config) *httptest.Server {
	return serveHandler(t, front.New(conf))
}

func serveHandler(t testing.TB, h http.Handler) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		if d, ok := h.(interface{ Drain() }); ok {
			d.Drain()
		}
		http.DefaultClient.CloseIdleConnections()
		s.Close()
		if c, ok := h.(interface{ Close() }); ok {
			c.Close()
		}
	})
	return s
}

// post has a handler answer a body, without a network.
func post(h http.Handler, body []byte, headers ...string) *httptest.ResponseRecorder {
	return postTo(h, "/mcp", string(body), headers...)
}

// postTo has a handler answer a body at a path, without a network.
func postTo(h http.Handler, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+laptopKey)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// drainSignals forgets the calls of wait that nobody asked about.
func drainSignals(g *tools) {
	for {
		select {
		case <-g.started:
		case <-g.ended:
		default:
			return
		}
	}
}

// receive waits for a value, but not for ever.
func receive[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(time.Minute):
		t.Fatal("nothing came in a minute")
	}
	return v
}
