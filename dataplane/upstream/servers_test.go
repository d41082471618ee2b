package upstream_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	mcpgo "github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// play runs one of the servers of this file on standard input and output until its input ends.
func play(name string) int {
	switch name {
	case "mcpgo":
		return playMCPGo()
	case "mute":
		return playMute()
	}
	newScripted(name).run()
	return 0
}

// playMCPGo is a server made with mcp-go, which speaks both eras.
func playMCPGo() int {
	s := server.NewMCPServer("mcpgo", "1", server.WithToolCapabilities(true))
	s.AddTool(mcpgo.NewTool("echo", mcpgo.WithString("message")),
		func(_ context.Context, r mcpgo.CallToolRequest) (*mcpgo.CallToolResult, error) {
			return mcpgo.NewToolResultText(r.GetString("message", "")), nil
		})
	if err := server.ServeStdio(s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// playMute ignores its input's end and SIGTERM, and never says anything.
func playMute() int {
	signal.Ignore(syscall.SIGTERM)
	fmt.Fprintln(os.Stderr, "I am mute")
	select {}
}

// odd are results that a typed path would damage.
var odd = map[string]string{
	"image":      `{"content":[{"type":"image","data":"aGk=","mimeType":"image/png","vendor":{"z":1,"a":2}}]}`,
	"resource":   `{"content":[{"type":"resource","resource":{"uri":"test://x","mimeType":"text/plain","text":"hi","extra":null}}]}`,
	"structured": `{"structuredContent":{"z":9007199254740993,"a":[1.0,1e400,-0]},"content":[]}`,
	"meta":       `{"_meta":{"example/n":18446744073709551617},"content":[{"type":"text","text":"<&>\u0041\ud83d\ude00"}]}`,
	"error":      `{"isError":true,"content":[{"type":"text","text":"no"}]}`,
	"unknown":    `{ "vendorThing" : {"b" : 1, "a" : [ ] } , "content" : [{"type":"hologram","x":1}], "isError":false }`,
	"empty":      `{}`,
}

// scripted is a server written without any SDK, so that it can misbehave.
type scripted struct {
	kind string
	mu   sync.Mutex // guards standard output
	wg   sync.WaitGroup
	args map[string]string

	stateMu  sync.Mutex
	waiting  map[string]chan struct{} // id → closed when the call is cancelled
	tools    int
	greeting string // the params of initialize
	answered chan string
}

func newScripted(kind string) *scripted {
	return &scripted{kind: kind, waiting: map[string]chan struct{}{}, tools: 1, answered: make(chan string, 8)}
}

type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func (s *scripted) run() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			fmt.Fprintln(os.Stderr, "bad line", string(line))
			os.Exit(3)
		}
		s.serve(r)
	}
}

func (s *scripted) serve(r request) {
	switch {
	case r.Method == "server/discover":
		s.discover(r)
	case r.Method == "initialize":
		s.greeting = string(r.Params)
		s.initialize(r)
	case r.Method == "tools/list":
		s.list(r)
	case r.Method == "tools/call":
		go s.call(r)
	case r.Method == "subscriptions/listen":
		s.sayf(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":%s}}}`, r.ID)
	case r.Method == "notifications/cancelled":
		s.cancelled(r)
	case r.Method == "" && r.ID != nil:
		s.answered <- string(r.ID) + " " + string(r.Result) + string(r.Error)
	}
}

// count adds one byte to the file that a variable names, if it is set.
func count(variable string) {
	if path := os.Getenv(variable); path != "" {
		f, _ := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		f.WriteString("x")
		f.Close()
	}
}

func (s *scripted) discover(r request) {
	count("PROBES")
	switch s.kind {
	case "modern":
		s.resultf(r.ID, `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}}}`)
	case "halfmodern": // answers the probe, yet does not speak the version
		s.resultf(r.ID, `{"supportedVersions":["2025-11-25"],"capabilities":{}}`)
	case "touchy": // ends at the first thing that it does not know
		os.Exit(9)
	case "silent":
	case "latemodern":
		s.stateMu.Lock()
		s.waiting["discover"] = make(chan struct{})
		s.stateMu.Unlock()
		go func() { // answers only once initialize came
			<-s.waiting["discover"]
			s.resultf(r.ID, `{"supportedVersions":["2026-07-28"],"capabilities":{}}`)
		}()
	default:
		s.sayf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`, r.ID)
	}
}

func (s *scripted) initialize(r request) {
	switch s.kind {
	case "modern":
		s.sayf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`, r.ID)
	case "latemodern":
		s.sayf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`, r.ID)
		s.stateMu.Lock()
		close(s.waiting["discover"])
		s.stateMu.Unlock()
	case "ancient":
		s.resultf(r.ID, `{"protocolVersion":"1999-01-01","capabilities":{},"serverInfo":{"name":"x","version":"1"}}`)
	default:
		s.resultf(r.ID, `{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"x","version":"1"}}`)
	}
}

// list pages through five tools, two on each page, after those that list_changed has added.
func (s *scripted) list(r request) {
	var p struct {
		Cursor *string `json:"cursor"`
	}
	json.Unmarshal(r.Params, &p)
	count("LISTS")
	if s.kind == "looping" {
		s.resultf(r.ID, `{"tools":[],"nextCursor":"again"}`)
		return
	}
	page := 0
	if p.Cursor != nil {
		page = len(*p.Cursor) + 1
	}
	s.stateMu.Lock()
	n := s.tools
	s.stateMu.Unlock()
	tools := fmt.Sprintf(`{"name":"p%d", "inputSchema": {"$schema":"x","oneOf":[{}],"big":9007199254740993},"vendor":[1, 2]},{"name":"q%d"}`, page, page)
	next := fmt.Sprintf(`,"nextCursor":%q`, strings.Repeat("x", page))
	if page == 2 {
		tools, next = fmt.Sprintf(`{"name":"last%d"},{"title":"no name"},{"name":"p0","second":true}`, n), ""
	}
	s.resultf(r.ID, `{"tools":[%s]%s}`, tools, next)
}

func (s *scripted) call(r request) {
	var p struct {
		Name      string            `json:"name"`
		Arguments map[string]string `json:"arguments"`
	}
	json.Unmarshal(r.Params, &p)
	if s.kind == "sized" {
		s.sayf("%s", sizedAnswer(r))
		return
	}
	if result, ok := odd[p.Name]; ok {
		s.resultf(r.ID, "%s", result)
		return
	}
	switch p.Name {
	case "params": // what arrived, as text
		text, _ := json.Marshal(string(r.Params))
		s.resultf(r.ID, `{"got":%s}`, text)
	case "pid":
		s.resultf(r.ID, `%d`, os.Getpid())
	case "env":
		text, _ := json.Marshal(os.Environ())
		s.resultf(r.ID, "%s", text)
	case "hang":
		s.hang(r)
	case "hanging": // how many calls of hang are under way
		s.stateMu.Lock()
		n := len(s.waiting)
		s.stateMu.Unlock()
		s.resultf(r.ID, `%d`, n)
	case "fault":
		s.sayf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32099,"message":"custom","data":{"n":9007199254740993}}}`, r.ID)
	case "big":
		s.resultf(r.ID, `"%s"`, strings.Repeat("x", 3<<20))
	case "biglast": // the id at the end, as the TypeScript SDK writes it
		s.sayf(`{"result":"%s","jsonrpc":"2.0","id":%s}`, strings.Repeat("x", 3<<20), r.ID)
	case "wrongid":
		s.sayf(`{"jsonrpc":"2.0","id":987654321,"result":{}}`)
		s.sayf(`{"jsonrpc":"2.0","id":"1","result":{}}`)
		s.resultf(r.ID, `"right"`)
	case "garbage":
		s.sayf(`{"jsonrpc":"2.0","id":%s,"result":{"a":}}`, r.ID)
	case "chatty":
		s.sayf(`Server started!`)
		s.sayf(``)
		s.resultf(r.ID, `"fine"`)
	case "greeting":
		text, _ := json.Marshal(s.greeting)
		s.resultf(r.ID, "%s", text)
	case "tell": // progress under the call's token, and what belongs to no call in particular
		var p struct {
			Meta struct {
				ProgressToken json.RawMessage `json:"progressToken"`
			} `json:"_meta"`
		}
		json.Unmarshal(r.Params, &p)
		for i := range 500 {
			s.sayf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d}}`, p.Meta.ProgressToken, i)
		}
		s.sayf(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}`)
		s.resultf(r.ID, `"told"`)
	case "update":
		s.sayf(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x:1"}}`)
		s.resultf(r.ID, `"updated"`)
	case "withdraw": // asks, and then does not want to know
		s.sayf(`{"jsonrpc":"2.0","id":"w","method":"roots/list"}`)
		s.sayf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"w"}}`)
		s.sayf(`{"jsonrpc":"2.0","id":"p","method":"ping"}`)
		s.resultf(r.ID, "%q", <-s.answered)
	case "ask":
		s.sayf(`{"jsonrpc":"2.0","id":"s1","method":"ping"}`)
		s.sayf(`{"jsonrpc":"2.0","id":77,"method":"sampling/createMessage","params":{}}`)
		one, two := <-s.answered, <-s.answered
		text, _ := json.Marshal([]string{one, two})
		s.resultf(r.ID, "%s", text)
	case "poll": // asks all that there is to ask, one after the other
		var all []string
		for i, method := range []string{"elicitation/create", "roots/list", "sampling/createMessage"} {
			s.sayf(`{"jsonrpc":"2.0","id":"q%d","method":%q,"params":{}}`, i, method)
			all = append(all, <-s.answered)
		}
		text, _ := json.Marshal(all)
		s.resultf(r.ID, "%s", text)
	case "change":
		s.stateMu.Lock()
		s.tools++
		s.stateMu.Unlock()
		s.sayf(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		s.resultf(r.ID, `"changed"`)
	case "gate": // answers once the file is there
		for {
			if _, err := os.Stat(os.Getenv("GATE")); err == nil {
				break
			}
			<-time.After(2 * time.Millisecond)
		}
		s.resultf(r.ID, `%d`, os.Getpid())
	case "grandchild":
		cmd := exec.Command("sleep", "1000")
		cmd.Stdout = os.Stdout
		if err := cmd.Start(); err != nil {
			s.resultf(r.ID, `0`)
			return
		}
		s.resultf(r.ID, `%d`, cmd.Process.Pid)
	case "die":
		fmt.Fprintln(os.Stderr, "about to die of "+os.Getenv("SECRET"))
		os.Exit(7)
	default:
		s.sayf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"unknown tool"}}`, r.ID)
	}
}

// hang answers when it is cancelled.
func (s *scripted) hang(r request) {
	c := make(chan struct{})
	s.stateMu.Lock()
	s.waiting[string(r.ID)] = c
	s.stateMu.Unlock()
	s.sayf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`)
	<-c
	s.resultf(r.ID, `"cancelled"`)
}

func (s *scripted) cancelled(r request) {
	var p struct {
		RequestID json.RawMessage `json:"requestId"`
	}
	json.Unmarshal(r.Params, &p)
	if path := os.Getenv("CANCELS"); path != "" {
		os.WriteFile(path, []byte(p.RequestID), 0o600)
	}
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	if c := s.waiting[string(p.RequestID)]; c != nil {
		close(c)
		delete(s.waiting, string(p.RequestID))
	}
}

func (s *scripted) resultf(id json.RawMessage, format string, args ...any) {
	s.sayf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, id, fmt.Sprintf(format, args...))
}

func (s *scripted) sayf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(os.Stdout, format+"\n", args...)
}
