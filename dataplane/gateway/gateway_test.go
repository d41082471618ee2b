package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestMain(m *testing.M) {
	if file, ok := os.LookupEnv(serverEnv); ok {
		serve(file)
		return
	}
	if file, ok := os.LookupEnv(askerEnv); ok {
		newAsker(file).run()
		return
	}
	goleak.VerifyTestMain(m)
}

// memory is an upstream in memory: what it answers is a function of the call.
type memory struct {
	quiet bool // keeps no calls, for benchmarks

	mu        sync.Mutex // guards below
	tools     *upstream.Catalogue
	fresh     *upstream.Catalogue // what a refresh shows; nil: the same
	refreshed int
	calls     []*mcp.Call
	requests  int // of calls, those that are no handshake
	toolsErr  error
	state     upstream.Status
	hello     *upstream.Hello
	says      [][2]string     // method and params, on a stream of changes
	said      func()          // called when all is said
	listens   func(*mcp.Call) // called when somebody begins to listen
	refuses   *mcp.Error      // answers those who want to listen
	answer    func(ctx context.Context, c *mcp.Call) (*mcp.Reply, error)
}

func (m *memory) Call(ctx context.Context, c *mcp.Call) (*mcp.Reply, error) {
	if m.quiet {
		return m.answer(ctx, c)
	}
	m.mu.Lock()
	m.calls = append(m.calls, c)
	m.requests++
	answer := m.answer
	m.mu.Unlock()
	if answer == nil {
		return &mcp.Reply{Result: []byte(`{"content":[]}`)}, nil
	}
	return answer(ctx, c)
}

func (m *memory) Tools(context.Context) (*upstream.Catalogue, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.toolsErr != nil {
		return nil, m.toolsErr
	}
	return m.tools, nil
}

func (m *memory) Refresh(ctx context.Context) (*upstream.Catalogue, error) {
	m.mu.Lock()
	m.refreshed++
	if m.fresh != nil {
		m.tools = m.fresh
	}
	m.mu.Unlock()
	return m.Tools(ctx)
}

func (m *memory) Status() upstream.Status { return m.state }

func (m *memory) Hello(_ context.Context, c *mcp.Call) (*upstream.Hello, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, c)
	return m.hello, nil
}

func (m *memory) Notify(_ context.Context, c *mcp.Call) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, c)
	return nil
}

func (m *memory) Listen(ctx context.Context, c *mcp.Call) error {
	if m.refuses != nil {
		return m.refuses
	}
	if m.listens != nil {
		m.listens(c)
	}
	for _, event := range m.says {
		var params []byte
		if event[1] != "" {
			params = []byte(event[1])
		}
		c.Stream.Notify(event[0], params)
	}
	m.said()
	<-ctx.Done()
	return ctx.Err()
}

func (m *memory) called() []*mcp.Call {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// tool is a small raw definition.
func tool(name string) string {
	return fmt.Sprintf(`{"name":%q,"description":"Does %s.","inputSchema":{"type":"object"}}`, name, name)
}

// journal keeps the records of calls.
type journal struct {
	mu      sync.Mutex // guards below
	entries []record.Entry
}

func (j *journal) Append(e *record.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, *e)
}

// last is the newest record.
func (j *journal) last(t *testing.T) record.Entry {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) == 0 {
		t.Fatal("no record was kept")
	}
	return j.entries[len(j.entries)-1]
}

// world is a gateway, a configuration and upstreams in memory.
type world struct {
	*gateway.Gateway
	t       testing.TB
	live    *table.Live
	auth    *auth.Verifier
	journal *journal
	// serversMu guards servers where a test changes them while streams are open.
	serversMu sync.Mutex
	servers   map[string]*memory
	pool      *upstream.Pool // where the servers are real
}

// build makes a gateway that serves these objects as revision 1. Callers need no key.
func build(t testing.TB, c gateway.Config, objects ...*gatehousev1.Object) *world {
	w := &world{t: t, live: new(table.Live), journal: new(journal), servers: map[string]*memory{}}
	w.auth = auth.New(w.live, auth.Key)
	c.Live, c.Auth = w.live, w.auth
	if c.Records == nil {
		c.Records = w.journal
	}
	c.Upstream = func(s *table.Server) gateway.Upstream {
		w.serversMu.Lock()
		defer w.serversMu.Unlock()
		if m, ok := w.servers[s.Name]; ok {
			return m
		}
		return nil
	}
	w.Gateway = gateway.New(c)
	w.apply(1, objects...)
	return w
}

// apply makes these objects the live table.
func (w *world) apply(revision int64, objects ...*gatehousev1.Object) (prev *table.Table) {
	w.t.Helper()
	pos := &gatehousev1.Position{StoreId: "s", Epoch: 1, Revision: revision, Digest: []byte{0xab, 0xcd}}
	next, err := table.Compile(pos, &gatehousev1.SnapshotContent{
		Revision: revision, Config: &gatehousev1.Config{Objects: objects}, SealKey: make([]byte, 32),
	})
	if err != nil {
		w.t.Fatalf("compiling revision %d: %v", revision, err)
	}
	return w.live.Swap(next)
}

// call performs a call as a caller who may act as everybody.
func (w *world) call(name, args string) *result {
	w.t.Helper()
	return w.perform(&gateway.Call{Principal: table.Everyone("anonymous"), Name: name, Args: []byte(args)})
}

// perform performs a call that must have a result.
func (w *world) perform(c *gateway.Call) *result {
	w.t.Helper()
	reply, err := w.CallTool(w.t.Context(), c)
	if err != nil {
		w.t.Fatalf("CallTool(%s %s) = %v, want a result", c.Name, c.Args, err)
	}
	defer reply.Close()
	r := &result{raw: string(reply.Result)}
	if err := json.Unmarshal(reply.Result, r); err != nil {
		w.t.Fatalf("CallTool(%s %s) = %s: %v", c.Name, c.Args, reply.Result, err)
	}
	if s := r.StructuredContent; s != nil && len(r.Content) == 1 && c.Name != gateway.ExecuteTool {
		w.sameJSON(r)
	}
	return r
}

// sameJSON holds the text of a result of the gateway's own against its structured content.
func (w *world) sameJSON(r *result) {
	w.t.Helper()
	structured := string(r.StructuredContent)
	if text := r.Content[0].Text; text != structured && `{"result":`+text+`}` != structured {
		w.t.Errorf("text = %s, structuredContent = %s, want the same", text, structured)
	}
}

// result is a CallToolResult.
type result struct {
	raw     string
	Content []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	} `json:"content"`
	StructuredContent json.RawMessage `json:"structuredContent"`
	IsError           bool            `json:"isError"`
	ResultType        string          `json:"resultType"`
}

// refused is the error of a refused call.
type refused struct {
	Code     mcp.Code        `json:"code"`
	Message  string          `json:"message"`
	Revision int64           `json:"revision"`
	Rule     *string         `json:"rule"`
	Upstream json.RawMessage `json:"upstream"`
}

// refusal reads the error of a refused call, and holds its two forms against each other.
func (r *result) refusal(t testing.TB) refused {
	t.Helper()
	var body struct {
		Error refused `json:"error"`
	}
	if !r.IsError || len(r.Content) != 1 || r.Content[0].Type != "text" {
		t.Fatalf("result = %s, want isError and one text item", r.raw)
	}
	if r.Content[0].Text != string(r.StructuredContent) {
		t.Errorf("text = %s, structuredContent = %s, want the same", r.Content[0].Text, r.StructuredContent)
	}
	if err := json.Unmarshal(r.StructuredContent, &body); err != nil {
		t.Fatalf("structuredContent = %s: %v", r.StructuredContent, err)
	}
	return body.Error
}

func server(name string) *gatehousev1.Object {
	return edit(name, func(*gatehousev1.Server) {})
}

// edit is a server whose definition differs from the usual.
func edit(name string, change func(*gatehousev1.Server)) *gatehousev1.Object {
	spec := &gatehousev1.Server{
		Description: "The " + name + ".",
		Transport:   &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{Command: "run-" + name, Args: []string{"secret-arg"}}},
	}
	change(spec)
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Server{Server: spec}}
}

// policy allows servers; tools are the tool rules of both sides.
func policy(name string, servers []string, allow, deny map[string][]string) *gatehousev1.Object {
	rules := func(m map[string][]string) (all []*gatehousev1.ToolRule) {
		for server, tools := range m {
			all = append(all, &gatehousev1.ToolRule{Server: server, Tools: tools})
		}
		return all
	}
	spec := &gatehousev1.Policy{
		Allow: &gatehousev1.Access{Servers: servers, Tools: rules(allow)}, Deny: &gatehousev1.Access{Tools: rules(deny)},
	}
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Policy{Policy: spec}}
}

func settings(deny bool, agent string) *gatehousev1.Object {
	spec := &gatehousev1.Settings{DenyOnMissingAgent: new(deny), DefaultAgent: agent}
	return &gatehousev1.Object{Name: "default", Spec: &gatehousev1.Object_Settings{Settings: spec}}
}
