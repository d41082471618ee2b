package gateway_test

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// askerEnv makes the test binary a legacy MCP server on stdin and stdout that asks its client; its value is a file that
// gets a line for each thing that happened.
const askerEnv = "GATEWAY_TEST_ASKER"

// asker is a legacy server whose tools and prompts ask. Its calls run beside one another, and over stdio nothing says which
// call a question is about.
type asker struct {
	journal string

	mu           sync.Mutex // guards below, and standard output
	capabilities string
	last         int
	answers      map[string]chan string
}

func newAsker(journal string) *asker {
	return &asker{journal: journal, answers: map[string]chan string{}}
}

// asked is one message as it came in.
type asked struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name         string          `json:"name"`
		Arguments    map[string]any  `json:"arguments"`
		Capabilities json.RawMessage `json:"capabilities"`
		RequestID    json.RawMessage `json:"requestId"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

func (a *asker) run() {
	a.note(fmt.Sprint("process ", os.Getpid()))
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var m asked
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			continue
		}
		switch {
		case m.Method == "notifications/cancelled":
			a.note("cancelled")
		case m.Method == "" && m.ID != nil:
			a.mu.Lock()
			c := a.answers[string(m.ID)]
			a.mu.Unlock()
			if c != nil {
				c <- string(m.Result) + string(m.Error)
			}
		case m.ID != nil:
			go a.answer(m)
		}
	}
	a.note("the end")
}

// note writes down what happened.
func (a *asker) note(what string) {
	f, err := os.OpenFile(a.journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintln(f, what)
		f.Close()
	}
}

func (a *asker) sayf(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Printf(`{"jsonrpc":"2.0",`+format+"}\n", args...)
}

// ask asks the client and waits for its answer, raw.
func (a *asker) ask(method, params string) string {
	a.mu.Lock()
	a.last++
	id, c := fmt.Sprintf(`"ask-%d"`, a.last), make(chan string, 1)
	a.answers[id] = c
	a.mu.Unlock()
	a.sayf(`"id":%s,"method":%q,"params":%s`, id, method, params)
	answer := <-c
	a.note("answer " + answer)
	return answer
}

// elicit asks for one thing.
func (a *asker) elicit(what string) string {
	return a.ask("elicitation/create", fmt.Sprintf(`{"message":%q,"requestedSchema":{"type":"object"}}`, what))
}

func (a *asker) answer(m asked) {
	switch m.Method {
	case "initialize":
		a.mu.Lock()
		a.capabilities = string(m.Params.Capabilities)
		a.mu.Unlock()
		a.sayf(`"id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"prompts":{}},"serverInfo":{"name":"asker","version":"1"}}`, m.ID)
	case "tools/list": // one tool for each capability of the client's
		a.mu.Lock()
		tools := ""
		for _, name := range []string{"elicitation", "roots", "sampling"} {
			if strings.Contains(a.capabilities, `"`+name+`"`) {
				tools += fmt.Sprintf(`,{"name":%q,"inputSchema":{"type":"object"}}`, name)
			}
		}
		a.mu.Unlock()
		a.sayf(`"id":%s,"result":{"tools":[{"name":"ask","inputSchema":{"type":"object"}}%s]}`, m.ID, tools)
	case "tools/call":
		a.note("call " + m.Params.Name)
		a.call(m)
	case "prompts/get":
		a.sayf(`"id":%s,"result":{"messages":[],"heard":%s}`, m.ID, a.elicit("for the prompt"))
	default:
		a.sayf(`"id":%s,"error":{"code":-32601,"message":"no such method"}`, m.ID)
	}
}

// call performs a tool, whose result has what it heard.
func (a *asker) call(m asked) {
	of, _ := m.Params.Arguments["of"].(string)
	var heard []string
	switch m.Params.Name {
	case "ask":
		heard = append(heard, a.elicit("who? "+of))
	case "stubborn": // takes a refusal for an answer
		a.ask("sampling/createMessage", `{"messages":[],"maxTokens":1}`)
		heard = append(heard, `"went on"`)
	case "twice":
		heard = append(heard, a.elicit("first"), a.elicit("second"))
	case "endless":
		for {
			a.elicit("and now?")
		}
	case "moody": // never asks the same
		heard = append(heard, a.elicit(rand.Text()))
	case "fickle": // asks the first time alone
		if b, _ := os.ReadFile(a.journal); strings.Count(string(b), "call fickle") == 1 {
			heard = append(heard, a.elicit("just once"))
		}
	case "all":
		heard = make([]string, 3)
		var asking sync.WaitGroup
		asking.Go(func() { heard[0] = a.elicit("at the same time") })
		asking.Go(func() { heard[1] = a.ask("roots/list", `{}`) })
		asking.Go(func() { heard[2] = a.ask("sampling/createMessage", `{"messages":[],"maxTokens":1}`) })
		asking.Wait()
	case "visit":
		if b, _ := os.ReadFile(a.journal); strings.Count(string(b), "call visit") == 1 {
			a.sayf(`"id":%s,"error":{"code":-32042,"message":"go there first","data":{"elicitations":[{"mode":"url","elicitationId":"e1","url":"https://example.com/","message":"sign in"}]}}`, m.ID)
			return
		}
	case "capabilities":
		a.mu.Lock()
		heard = append(heard, a.capabilities)
		a.mu.Unlock()
	case "pid":
		heard = append(heard, fmt.Sprint(os.Getpid()))
	}
	a.sayf(`"id":%s,"result":{"content":[],"heard":[%s]}`, m.ID, strings.Join(heard, ","))
}

// asking defines such a server with questions, and returns its journal.
func asking(t testing.TB, name string, q *gatehousev1.Questions) (*gatehousev1.Object, string) {
	t.Helper()
	exe, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(t.TempDir(), "journal")
	return edit(name, func(s *gatehousev1.Server) {
		s.Questions = q
		s.Transport = &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{
			Command: exe, Env: map[string]string{askerEnv: journal, "GORACE": "atexit_sleep_ms=0"},
		}}
	}), journal
}

// happened returns how often something stands in a journal.
func happened(t testing.TB, journal, what string) int {
	t.Helper()
	b, err := os.ReadFile(journal)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(b), what)
}
