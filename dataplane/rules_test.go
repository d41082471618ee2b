package dataplane_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gomcp "github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/gatehouse-mcp/gatehouse/dataplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// library is a real server over HTTP, which lists one thing a page.
type library struct{ *server.MCPServer }

// newLibrary starts it, and returns its definition too.
func newLibrary(t *testing.T) (library, *gatehousev1.Object) {
	l := library{server.NewMCPServer("library", "1", server.WithPaginationLimit(1), server.WithToolCapabilities(true),
		server.WithResourceCapabilities(true, true), server.WithPromptCapabilities(true))}
	for _, name := range []string{"open", "secret"} {
		l.tool(name)
		l.AddPrompt(gomcp.NewPrompt(name), func(context.Context, gomcp.GetPromptRequest) (*gomcp.GetPromptResult, error) {
			return gomcp.NewGetPromptResult("the prompt", nil), nil
		})
		read := func(_ context.Context, r gomcp.ReadResourceRequest) ([]gomcp.ResourceContents, error) {
			return []gomcp.ResourceContents{gomcp.TextResourceContents{URI: r.Params.URI, Text: "the text"}}, nil
		}
		l.AddResource(gomcp.NewResource("file:///"+name+"/a/b", name), read)
		l.AddResourceTemplate(gomcp.NewResourceTemplate("file:///"+name+"/{path}", name), read)
	}
	web := httptest.NewServer(server.NewStreamableHTTPServer(l.MCPServer))
	t.Cleanup(web.Close)
	t.Cleanup(web.CloseClientConnections)
	return l, &gatehousev1.Object{Name: "library", Spec: &gatehousev1.Object_Server{Server: &gatehousev1.Server{
		Transport: &gatehousev1.Server_Http{Http: &gatehousev1.Http{Url: web.URL + "/mcp"}},
	}}}
}

// tool adds a tool, which the server announces.
func (l library) tool(name string) {
	l.AddTool(gomcp.NewTool(name), func(context.Context, gomcp.CallToolRequest) (*gomcp.CallToolResult, error) {
		return gomcp.NewToolResultText("done"), nil
	})
}

// reader may use what of the library is not secret.
func reader(change func(deny *gatehousev1.Access)) *gatehousev1.Object {
	rules := func(names ...string) []*gatehousev1.ToolRule {
		return []*gatehousev1.ToolRule{{Server: "library", Tools: names}}
	}
	o := policy("reader", "library")
	o.GetPolicy().Allow.Resources = rules("file:///open/*")
	o.GetPolicy().Deny = &gatehousev1.Access{Tools: rules("secret*"), Prompts: rules("secret")}
	if change != nil {
		change(o.GetPolicy().GetDeny())
	}
	return o
}

// pages asks for all pages of a list, and returns what is in them and how many there were.
func (p *proxy) pages(agent, method, member string) (entries string, pages int) {
	p.t.Helper()
	params := ``
	for {
		var page struct {
			Result map[string]json.RawMessage
			Error  json.RawMessage
		}
		text := p.direct("library", agent, `{"jsonrpc":"2.0","id":1,"method":"`+method+`"`+params+`}`)
		if err := json.Unmarshal([]byte(text), &page); err != nil || page.Error != nil {
			p.t.Fatalf("%s = %s, %v", method, text, err)
		}
		entries += string(page.Result[member])
		pages++
		next := page.Result["nextCursor"]
		if next == nil || pages > 10 {
			return entries, pages
		}
		params = `,"params":{"cursor":` + string(next) + `}`
	}
}

func TestRulesHoldForAllThatAServerHas(t *testing.T) {
	control := startControlPlane(t)
	_, object := newLibrary(t)
	control.apply(object, reader(nil), policy("owner", "library"))
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr, Auth: auth.None})
	p.waitReady()
	for method, member := range map[string]string{
		"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources", "resources/templates/list": "resourceTemplates",
	} {
		all, pages := p.pages("owner", method, member)
		if !strings.Contains(all, "secret") || !strings.Contains(all, "open") || pages < 2 {
			t.Errorf("%s of the owner = %s in %d pages, want everything, one a page", method, all, pages)
		}
		some, same := p.pages("reader", method, member)
		if strings.Contains(some, "secret") || !strings.Contains(some, "open") || same != pages {
			t.Errorf("%s of the reader = %s in %d pages, want what is open in %d", method, some, same, pages)
		}
	}
	for request, want := range map[string]string{
		`"resources/read","params":{"uri":"file:///open/a/b"}`:                                                                            `"the text"`,
		`"resources/read","params":{"uri":"file:///open/other"}`:                                                                          `"the text"`,
		`"resources/read","params":{"uri":"file:///secret/a/b"}`:                                                                          `"code":-32602`,
		`"resources/read","params":{"uri":"file:///nowhere"}`:                                                                             `DENIED_BY_POLICY`,
		`"prompts/get","params":{"name":"open"}`:                                                                                          `"the prompt"`,
		`"prompts/get","params":{"name":"secret"}`:                                                                                        `DENIED_BY_POLICY`,
		`"tools/call","params":{"name":"secret"}`:                                                                                         `"isError":true`,
		`"completion/complete","params":{"ref":{"type":"ref/prompt","name":"secret"},"argument":{"name":"x","value":""}}`:                 `DENIED_BY_POLICY`,
		`"completion/complete","params":{"ref":{"type":"ref/resource","uri":"file:///secret/{path}"},"argument":{"name":"x","value":""}}`: `DENIED_BY_POLICY`,
		`"tools/list","params":{"cursor":"b3Blbg=="}`:                                                                                     `invalid cursor`,
	} {
		if got := p.direct("library", "reader", `{"jsonrpc":"2.0","id":1,"method":`+request+`}`); !strings.Contains(got, want) {
			t.Errorf("%s = %s, want %s", request, got, want)
		}
	}
}

// tune opens the stream of events of an agent's session, and returns the methods that come on it.
func (p *proxy) tune(agent string) <-chan string {
	p.t.Helper()
	send := func(method, session, body string) *http.Response {
		req, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.Addr()+"/mcp/library", strings.NewReader(body))
		if err != nil {
			p.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Gatehouse-Agent", agent)
		if session != "" {
			req.Header.Set("Mcp-Session-Id", session)
		}
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
		if err != nil || res.StatusCode != http.StatusOK {
			p.t.Fatalf("%s = %v, %v", method, res, err)
		}
		return res
	}
	res := send(http.MethodPost, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}`)
	res.Body.Close()
	stream := send(http.MethodGet, res.Header.Get("Mcp-Session-Id"), "")
	heard := make(chan string, 64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
			var message struct{ Method string }
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &message) == nil {
				heard <- message.Method
			}
		}
	}()
	p.t.Cleanup(func() { stream.Body.Close(); <-done })
	return heard
}

// hears waits for a method.
func hears(t *testing.T, who string, heard <-chan string, want string) {
	t.Helper()
	select {
	case got := <-heard:
		if got != want {
			t.Errorf("%s heard %s, want %s", who, got, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%s heard nothing, want %s", who, want)
	}
}

func TestChangesAreToldToThoseWhoSeeThem(t *testing.T) {
	control := startControlPlane(t)
	l, object := newLibrary(t)
	control.apply(object, reader(nil), policy("owner", "library"))
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr, Auth: auth.None})
	p.waitReady()
	readers, owners := p.tune("reader"), p.tune("owner")
	const tools, prompts, resources = "notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/list_changed"

	// A stream listens to the server a moment after it has begun: until then the server speaks to nobody.
	for i, reads, owns := 0, false, false; !reads || !owns; i++ {
		if i == 100 {
			t.Fatal("nobody heard anything")
		}
		l.tool(fmt.Sprintf("open-%d", i))
		reads, owns = drain(readers, 200*time.Millisecond) || reads, drain(owners, 200*time.Millisecond) || owns
	}
	drain(readers, 2*time.Second) // what is still on its way must not be taken for what comes below
	drain(owners, 2*time.Second)

	l.tool("secret-plan")
	hears(t, "the owner", owners, tools)
	l.DeletePrompts("secret")
	hears(t, "the owner", owners, prompts)
	l.DeleteResources("file:///open/a/b")
	hears(t, "the owner", owners, resources)
	hears(t, "the reader", readers, resources)

	// What the policy opens is told to the reader alone; what has nothing to do with it, to nobody.
	control.apply(reader(func(deny *gatehousev1.Access) { deny.Tools = nil }))
	hears(t, "the reader", readers, tools)
	control.apply(policy("somebody-else", "library"))
	l.DeletePrompts("open")
	hears(t, "the reader", readers, prompts)
	hears(t, "the owner", owners, prompts)
}

// drain throws away what was heard until nothing more comes for a while, and says whether there was anything.
func drain(heard <-chan string, quiet time.Duration) (some bool) {
	for {
		select {
		case <-heard:
			some = true
		case <-time.After(quiet):
			return some
		}
	}
}
