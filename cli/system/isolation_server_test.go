package system_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The variables that make the test binary an MCP server on standard input and output, and tell it where calls that hang
// leave their marks.
const (
	serverEnv = "SYSTEM_TEST_SERVER"
	marksEnv  = "SYSTEM_TEST_MARKS"
)

// work is a call of the only tool of the servers of the isolation test. Each says its secret wherever it can.
type work struct {
	Name      string `json:"name"`
	Arguments struct {
		Kind   string `json:"kind"`
		Secret string `json:"secret"`
	} `json:"arguments"`
	Meta struct {
		ProgressToken json.RawMessage `json:"progressToken"`
	} `json:"_meta"`
	InputResponses map[string]elicited `json:"inputResponses"`
	RequestState   string              `json:"requestState"`
}

// elicited is what an agent answers to a question.
type elicited struct {
	Action  string            `json:"action"`
	Content map[string]string `json:"content"`
}

// worker is what a transport gives to a call.
type worker struct {
	marks     string // folder
	cancelled <-chan struct{}
	notify    func(method string, params any)
	ask       func(params any) elicited // nil in the modern era
	// mute says that log messages can only be told apart by who else is calling: nothing is logged after a cancellation.
	mute bool
}

type object = map[string]any

func (w *worker) progress(c *work, n, total int) {
	if c.Meta.ProgressToken != nil {
		w.notify("notifications/progress", object{"progressToken": c.Meta.ProgressToken, "progress": n, "total": total, "message": c.Arguments.Secret})
	}
}

func (w *worker) log(c *work, n int) {
	w.notify("notifications/message", object{"level": "info", "logger": "work", "data": object{"secret": c.Arguments.Secret, "n": n}})
}

// do does the work; nil is the result of a call that was cancelled.
func (w *worker) do(c *work) any {
	secret := c.Arguments.Secret
	switch c.Arguments.Kind {
	case kindTalk:
		for n := 1; n <= 3; n++ {
			w.progress(c, n, 3)
			w.log(c, n)
		}
	case kindUpdate:
		w.notify("notifications/tools/list_changed", object{})
	case kindAsk:
		return w.elicit(c)
	case kindHang:
		w.hang(c)
		return nil
	}
	return textResult(secret)
}

func textResult(text string) any {
	return object{"content": []object{{"type": "text", "text": text}}}
}

// elicit asks the agent for a word that only it knows.
func (w *worker) elicit(c *work) any {
	question := object{"message": c.Arguments.Secret, "requestedSchema": object{"type": "object", "properties": object{"word": object{"type": "string"}}}}
	given, answered := c.InputResponses["q"]
	if !answered {
		w.progress(c, 1, 2)
	}
	switch {
	case w.ask != nil:
		given = w.ask(question)
	case !answered:
		return object{"resultType": "input_required", "requestState": c.Arguments.Secret,
			"inputRequests": object{"q": object{"method": "elicitation/create", "params": question}}}
	case c.RequestState != c.Arguments.Secret:
		return textResult("state of another call: " + c.RequestState)
	}
	w.progress(c, 2, 2)
	w.log(c, 1)
	return textResult(c.Arguments.Secret + "|" + given.Content["word"])
}

// hang goes on until it is cancelled, and has something to say even then. A mark says that it does, another that it did.
func (w *worker) hang(c *work) {
	name := strings.Trim(c.Arguments.Secret, "@")
	begun := filepath.Join(w.marks, "hangs-"+name)
	if err := os.WriteFile(begun, nil, 0o600); err != nil {
		panic(err)
	}
	w.progress(c, 1, 9)
	<-w.cancelled
	w.progress(c, 2, 9)
	if !w.mute {
		w.log(c, 1)
	}
	if err := os.Rename(begun, filepath.Join(w.marks, "freed-"+name)); err != nil {
		panic(err)
	}
}

// wire is a message in any direction.
type wire struct {
	ID     json.RawMessage `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  json.RawMessage `json:"error,omitempty"`
}

// encode is a message of those members.
func encode(members object) []byte {
	members["jsonrpc"] = "2.0"
	b, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return b
}

func parse[T any](raw []byte) (v T) {
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &v); err != nil {
			panic(fmt.Sprintf("%v in %q", err, raw))
		}
	}
	return v
}

// plainAnswer is what both legacy servers say to what is no call of a tool.
func plainAnswer(m wire) []byte {
	switch m.Method {
	case "initialize":
		return encode(object{"id": m.ID, "result": object{"protocolVersion": "2025-11-25", "serverInfo": object{"name": "work", "version": "1"},
			"capabilities": object{"tools": object{}, "logging": object{}}}})
	case "tools/list":
		return encode(object{"id": m.ID, "result": object{"tools": []object{{"name": "work", "inputSchema": object{"type": "object"}}}}})
	case "logging/setLevel", "ping":
		return encode(object{"id": m.ID, "result": object{}})
	}
	return encode(object{"id": m.ID, "error": object{"code": -32601, "message": "no such method"}})
}

// lineServer is a legacy server on standard input and output.
type lineServer struct {
	marks string

	mu        sync.Mutex // guards below, and writes
	out       io.Writer
	exclusive bool                     // the client takes questions: it is one agent
	calls     map[string]chan struct{} // :: id → closed when it is cancelled
	asked     map[string]chan elicited // :: id of our question → its answer
	calling   sync.WaitGroup
}

// serveLines plays the server until its input ends, which cancels the calls that are left.
func serveLines(in io.Reader, out io.Writer) {
	s := &lineServer{marks: os.Getenv(marksEnv), out: out, calls: map[string]chan struct{}{}, asked: map[string]chan elicited{}}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		s.take(parse[wire](lines.Bytes()))
	}
	s.mu.Lock()
	for _, c := range s.calls {
		close(c)
	}
	clear(s.calls)
	s.mu.Unlock()
	s.calling.Wait()
}

func (s *lineServer) say(message []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.out.Write(append(message, '\n')) // a client that is gone closes our input as well
}

func (s *lineServer) take(m wire) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case m.Method == "" && s.asked[string(m.ID)] != nil:
		s.asked[string(m.ID)] <- parse[elicited](m.Result)
		return
	case m.Method == "notifications/cancelled":
		id := string(parse[struct{ RequestID json.RawMessage }](m.Params).RequestID)
		if c := s.calls[id]; c != nil {
			close(c)
			delete(s.calls, id)
		}
		return
	case m.ID == nil:
		return
	case m.Method == "initialize":
		s.exclusive = strings.Contains(string(m.Params), `"elicitation"`)
	case m.Method == "tools/call":
		cancelled := make(chan struct{})
		s.calls[string(m.ID)] = cancelled
		s.calling.Go(func() { s.call(m, cancelled) })
		return
	}
	go s.say(plainAnswer(m))
}

func (s *lineServer) call(m wire, cancelled <-chan struct{}) {
	w := &worker{marks: s.marks, cancelled: cancelled, mute: s.isExclusive(), ask: func(params any) elicited { return s.question(string(m.ID), params, cancelled) }}
	w.notify = func(method string, params any) { s.say(encode(object{"method": method, "params": params})) }
	c := parse[work](m.Params)
	result := w.do(&c)
	s.mu.Lock()
	delete(s.calls, string(m.ID))
	s.mu.Unlock()
	if result != nil {
		s.say(encode(object{"id": m.ID, "result": result}))
	}
}

func (s *lineServer) isExclusive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exclusive
}

// question asks with the id of the call that asks: those of different calls collide with nothing.
func (s *lineServer) question(id string, params any, cancelled <-chan struct{}) elicited {
	answer := make(chan elicited, 1)
	s.mu.Lock()
	s.asked[id] = answer
	s.mu.Unlock()
	s.say(encode(object{"id": json.RawMessage(id), "method": "elicitation/create", "params": params}))
	return await(answer, cancelled)
}

// await waits for an answer, which a call that is cancelled does not get.
func await(answer <-chan elicited, cancelled <-chan struct{}) elicited {
	select {
	case given := <-answer:
		return given
	case <-cancelled:
		return elicited{}
	}
}

// marks counts the marks of a kind.
func marks(t *testing.T, dir, kind string) int {
	t.Helper()
	return len(markNames(t, dir, kind))
}

func markNames(t *testing.T, dir, kind string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, kind+"-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
