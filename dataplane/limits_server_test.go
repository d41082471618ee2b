package dataplane_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestMemoryOfAPrincipalIsBounded(t *testing.T) {
	const size = 1 << 20
	big := talker(t, map[string]func(http.ResponseWriter, *http.Request, string){
		"big": func(w http.ResponseWriter, _ *http.Request, id string) {
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}`, id, strings.Repeat("x", size))
		},
	})
	p, _ := limited(t, "held=2500KiB,spill=32MiB", big)
	call := `{"server":"MemoryOfAPrincipalIsBounded","tool":"big"}`
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"execute_tool","arguments":` + call + `}}`
	var deaf []net.Conn // agents that read nothing
	for range 2 {
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(1)
		for range 8 { // more than the connection's buffers hold
			fmt.Fprint(c, head("POST /mcp", fmt.Sprintf("Content-Length: %d", len(body)))+body)
		}
		deaf = append(deaf, c)
	}
	eventually(t, "a third answer is refused", func() bool { return strings.Contains(p.call("k", "execute_tool", call).body, `"code":"RATE_LIMITED"`) })
	if got := p.call("k", "execute_tool", echo).body; !strings.Contains(got, `"content"`) {
		t.Errorf("small answer beside = %.300s", got)
	}
	if got := p.call("k2", "execute_tool", call).body; len(got) < size {
		t.Errorf("answer to another principal = %.300s", got)
	}
	large := strings.Repeat(" ", 1500<<10)
	if status, text := p.raw(head("POST /mcp", fmt.Sprintf("Content-Length: %d", len(large))) + large).answer(); status != http.StatusTooManyRequests || !strings.Contains(text, `"code":"RATE_LIMITED"`) {
		t.Errorf("large body beside = %d %.300s, want 429 and RATE_LIMITED", status, text)
	}
	for _, c := range deaf {
		c.Close()
	}
	eventually(t, "memory is given back", func() bool { return len(p.call("k", "execute_tool", call).body) > size })
}

func TestCataloguesAreBounded(t *testing.T) {
	list := func(n int, description string) func(http.ResponseWriter, *http.Request, string) {
		return func(w http.ResponseWriter, _ *http.Request, id string) {
			tools := make([]string, n)
			for i := range tools {
				tools[i] = fmt.Sprintf(`{"name":"t%d","description":%q,"inputSchema":{}}`, i, description)
			}
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"tools":[%s]}}`, id, strings.Join(tools, ","))
		}
	}
	for name, c := range map[string]struct {
		list    func(http.ResponseWriter, *http.Request, string)
		message string
	}{
		"tools":     {list(6, ""), "more than 5 tools"},
		"catalogue": {list(4, strings.Repeat("d", 300)), "more than 1000 bytes"},
		"":          {list(3, "d"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := limited(t, "tools=5,catalogue=1000", talker(t, map[string]func(http.ResponseWriter, *http.Request, string){"tools/list": c.list}))
			got := p.call("k", "get_server_tools", `{"server":"CataloguesAreBounded"}`).body
			if refused := strings.Contains(got, `"code":"UPSTREAM_ERROR"`) && strings.Contains(got, c.message); refused != (name != "") {
				t.Errorf("get_server_tools = %.300s, want it refused for %q: %v", got, c.message, name != "")
			}
			if name != "" {
				p.refusals(name, 1)
			}
		})
	}
}

func TestSessionsWithAServerAreBounded(t *testing.T) {
	perCall := child("percall")
	perCall.GetServer().Session = gatehousev1.SessionMode_SESSION_MODE_CALL
	p, _ := limited(t, "server-sessions=1", perCall)
	stuck := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"execute_tool","arguments":{"server":"percall","tool":"stuck","timeout_ms":60000}}}`
	eventually(t, "another call is refused", func() bool {
		// Sent each time: where the call before still has the session, this one is refused instead.
		p.raw(head("POST /mcp", fmt.Sprintf("Content-Length: %d", len(stuck))) + stuck)
		got := p.call("k", "execute_tool", `{"server":"percall","tool":"echo"}`).body
		return strings.Contains(got, `"code":"SERVER_UNAVAILABLE"`) && strings.Contains(got, "all are in use")
	})
}

func TestConnectingIsBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, _ := limited(t, "connect-timeout=200ms", remote("silent", "http://"+l.Addr().String()+"/mcp"))
	if got := p.call("k", "execute_tool", `{"server":"silent","tool":"x"}`).body; !strings.Contains(got, `"code":"SERVER_UNAVAILABLE"`) || !strings.Contains(got, "within 200ms") {
		t.Errorf("call = %.300s, want SERVER_UNAVAILABLE and the time", got)
	}
}

// On a pipe, a line is what a body is elsewhere.
func TestLinesAreBounded(t *testing.T) {
	control := startControlPlane(t)
	control.apply(child("everything"), policy("alice", "everything"))
	var l dataplane.Limits
	if err := l.Set("body=200"); err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, dataplane.Config{ControlPlane: control.addr, Auth: auth.None, Limits: l})
	p.waitReady()
	in, agent := io.Pipe()
	answers, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- p.Stdio(t.Context(), in, out) }()
	go fmt.Fprintf(agent, "%s\n%s\n", strings.Repeat(" ", 250), pingBody)
	lines := bufio.NewScanner(answers)
	for _, want := range []string{`"code":-32600`, `"result":{}`} {
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Errorf("answer = %s, %v, want %s", lines.Text(), lines.Err(), want)
		}
	}
	agent.Close()
	if err := <-done; err != nil {
		t.Errorf("Stdio = %v, want nil", err)
	}
}
