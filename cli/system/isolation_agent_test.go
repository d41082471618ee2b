package system_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// The kinds of calls.
const (
	kindPlain   = "plain"   // a result
	kindTalk    = "talk"    // progress and log messages
	kindUpdate  = "update"  // news of the server, beside the call
	kindAsk     = "ask"     // a question in the middle
	kindHang    = "hang"    // cancelled once it has reported progress
	kindExecute = "execute" // a plain one through execute_tool
	kindLate    = "late"    // one through execute_tool that hangs, and runs out of time
)

// secrets finds those of all calls.
var secrets = regexp.MustCompile(`@[^@"]+@`)

// isolated is an agent that believes only what is its own.
type isolated struct {
	n      int
	modern bool
	url    string // of the gateways
	key    string
	name   string // as policies know it
	http   *http.Client
	// sessions :: server → session of a legacy agent
	sessions map[string]string
}

// call is one call of an agent's, and what was heard of it so far.
type call struct {
	server, kind, secret string
	id                   int
	progress             float64
	logs                 int
	done                 bool // the answer came
}

// run makes the calls, and says what was wrong with each.
func (a *isolated) run(ctx context.Context, calls int, wrong func(format string, args ...any)) (cancelled int) {
	if err := a.greet(ctx); err != nil {
		wrong("agent %d: %v", a.n, err)
		return 0
	}
	defer a.leave(ctx)
	for i := 1; i <= calls && ctx.Err() == nil; i++ {
		c := a.choose(i)
		if err := a.perform(ctx, c); err != nil {
			wrong("agent %d (modern: %v), call %d, %s of %s: %v", a.n, a.modern, i, c.kind, c.server, err)
		}
		if c.kind == kindHang { // one that runs out of time may do so before the server has heard of it
			cancelled++
		}
	}
	return cancelled
}

// choose is which call an agent makes as its i-th. Agents are out of step with one another.
func (a *isolated) choose(i int) *call {
	kinds := []string{kindPlain, kindTalk, kindAsk, kindHang, kindExecute, kindLate}
	return &call{id: i, kind: kinds[(a.n+i)%6], server: isolationServers[(a.n*2+i/6)%3], secret: fmt.Sprintf("@a%d.c%d@", a.n, i)}
}

// greet opens the sessions of a legacy agent, which wants to hear everything.
func (a *isolated) greet(ctx context.Context) error {
	if a.modern {
		return nil
	}
	for _, server := range isolationServers {
		resp, err := a.post(ctx, "/mcp/"+server, server, object{"id": 0, "method": "initialize", "params": object{"protocolVersion": "2025-11-25",
			"capabilities": object{"elicitation": object{}}, "clientInfo": object{"name": a.name, "version": "1"}}})
		if err != nil {
			return err
		}
		resp.Body.Close()
		if a.sessions[server] = resp.Header.Get("Mcp-Session-Id"); a.sessions[server] == "" {
			return fmt.Errorf("initialize at %s: status %s and no session", server, resp.Status)
		}
		if err := a.send(ctx, server, object{"method": "notifications/initialized"}, http.StatusAccepted); err != nil {
			return err
		}
		if err := a.send(ctx, server, object{"id": 0, "method": "logging/setLevel", "params": object{"level": "debug"}}, http.StatusOK); err != nil {
			return err
		}
	}
	return nil
}

// leave ends the sessions of a legacy agent.
func (a *isolated) leave(ctx context.Context) {
	for server, session := range a.sessions {
		r, _ := http.NewRequestWithContext(ctx, http.MethodDelete, a.url+"/mcp/"+server, nil)
		r.Header.Set("Mcp-Session-Id", session)
		a.identify(r)
		if resp, err := a.http.Do(r); err == nil {
			resp.Body.Close()
		}
	}
	a.http.CloseIdleConnections()
}

func (a *isolated) identify(r *http.Request) {
	r.Header.Set("Authorization", "Bearer "+a.key)
	r.Header.Set("Gatehouse-Agent", a.name)
}

// post sends one message.
func (a *isolated) post(ctx context.Context, path, server string, message object) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+path, bytes.NewReader(encode(message)))
	if err != nil {
		return nil, err
	}
	a.identify(r)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	switch {
	case a.modern:
		params, _ := message["params"].(object)
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", fmt.Sprint(message["method"]))
		r.Header.Set("Mcp-Name", fmt.Sprint(params["name"]))
	case a.sessions[server] != "":
		r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
		if path != "/mcp" {
			r.Header.Set("Mcp-Session-Id", a.sessions[server])
		}
	}
	return a.http.Do(r)
}

// send is post where only the status is of interest.
func (a *isolated) send(ctx context.Context, server string, message object, status int) error {
	resp, err := a.post(ctx, "/mcp/"+server, server, message)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%v was answered %s %.300s", message["method"], resp.Status, b)
	}
	return err
}

// perform makes a call and checks all that comes.
func (a *isolated) perform(ctx context.Context, c *call) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	path, params := a.params(c)
	answer, err := a.exchange(ctx, cancel, c, path, params)
	if err == nil && answer.ResultType == "input_required" {
		c.done = false
		if params["inputResponses"], params["requestState"], err = answer.respond(c); err == nil {
			answer, err = a.exchange(ctx, cancel, c, path, params)
		}
	}
	if err != nil {
		return err
	}
	return c.check(answer, a.mayMissLogs(c))
}

// params are those of a call, and where it goes to.
func (a *isolated) params(c *call) (path string, params object) {
	args := object{"kind": c.kind, "secret": c.secret}
	execute := object{"agent_id": a.name, "server": c.server, "tool": "work", "args": args}
	switch c.kind {
	case kindLate:
		args["kind"], execute["timeout_ms"] = kindHang, 100
		fallthrough
	case kindExecute:
		return "/mcp", object{"name": "execute_tool", "arguments": execute, "_meta": a.meta()}
	}
	return "/mcp/" + c.server, object{"name": "work", "arguments": args, "_meta": a.meta()}
}

// meta asks for progress under the same token as every other call, and in the modern era says who asks.
func (a *isolated) meta() object {
	m := object{"progressToken": 1}
	if a.modern {
		m["io.modelcontextprotocol/protocolVersion"] = "2026-07-28"
		m["io.modelcontextprotocol/clientCapabilities"] = object{"elicitation": object{}}
		m["io.modelcontextprotocol/clientInfo"] = object{"name": a.name, "version": "1"}
		m["io.modelcontextprotocol/logLevel"] = "debug"
	}
	return m
}

// mayMissLogs says whether nobody can tell whose the log messages are: those of a pipe that agents share.
func (a *isolated) mayMissLogs(c *call) bool { return a.modern && c.server == "stdio" }

// answered is a result.
type answered struct {
	ResultType    string `json:"resultType"`
	IsError       bool   `json:"isError"`
	Content       []struct{ Text string }
	RequestState  string `json:"requestState"`
	InputRequests map[string]struct {
		Params struct{ Message string } `json:"params"`
	} `json:"inputRequests"`
}

// respond answers the question of a modern server.
func (r *answered) respond(c *call) (responses, state any, err error) {
	for name, q := range r.InputRequests {
		if len(r.InputRequests) == 1 && q.Params.Message == c.secret {
			return object{name: reveal(c)}, r.RequestState, nil
		}
	}
	return nil, nil, fmt.Errorf("asked %+v, want the question of %s", r.InputRequests, c.secret)
}

// reveal is the agent's answer to a question of that call.
func reveal(c *call) object {
	return object{"action": "accept", "content": object{"word": "re" + c.secret}}
}

// exchange sends a request and reads what comes until the end.
func (a *isolated) exchange(ctx context.Context, cancel func(), c *call, path string, params object) (r answered, err error) {
	resp, err := a.post(ctx, path, c.server, object{"id": c.id, "method": "tools/call", "params": params})
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return r, err
		}
		return r, a.hear(ctx, cancel, c, b, &r)
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
			if err := a.hear(ctx, cancel, c, data, &r); err != nil {
				return r, err
			}
		}
	}
	if c.kind == kindHang && c.progress == 1 {
		return r, nil // that was the point
	}
	return r, lines.Err()
}

// hear takes one message.
func (a *isolated) hear(ctx context.Context, cancel func(), c *call, data []byte, r *answered) error {
	for _, s := range secrets.FindAllString(string(data), -1) {
		if s != c.secret {
			return fmt.Errorf("heard of another call: %s", data)
		}
	}
	var m wire
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("%w in %q", err, data)
	}
	switch {
	case c.done:
		return fmt.Errorf("heard %s after the answer", data)
	case m.Method == "notifications/progress":
		return a.progressed(ctx, cancel, c, m.Params)
	case m.Method == "notifications/message":
		c.logs++
		return nil
	case m.Method == "elicitation/create":
		return a.send(ctx, c.server, object{"id": m.ID, "result": reveal(c)}, http.StatusAccepted)
	case m.Method != "" || string(m.ID) != fmt.Sprint(c.id) || m.Result == nil:
		return fmt.Errorf("heard %s", data)
	}
	c.done = true
	return json.Unmarshal(m.Result, r)
}

// progressed takes a report, and cancels calls that hang.
func (a *isolated) progressed(ctx context.Context, cancel func(), c *call, params []byte) error {
	var p struct {
		ProgressToken json.RawMessage
		Progress      float64
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return err
	}
	if string(p.ProgressToken) != "1" || p.Progress != c.progress+1 {
		return fmt.Errorf("progress %s after %v", params, c.progress)
	}
	c.progress = p.Progress
	switch {
	case c.kind != kindHang || c.progress > 1:
	case a.modern:
		cancel()
	default:
		return a.send(ctx, c.server, object{"method": "notifications/cancelled", "params": object{"requestId": c.id}}, http.StatusAccepted)
	}
	return nil
}

// check holds what was heard against what had to be heard.
func (c *call) check(r answered, mayMissLogs bool) error {
	text, progress, logs := c.secret, 0.0, 0
	switch c.kind {
	case kindHang:
		if c.done || c.progress < 1 {
			return fmt.Errorf("cancelled after progress %v, answered: %v", c.progress, c.done)
		}
		return nil
	case kindLate:
		if !r.IsError || len(r.Content) != 1 || !strings.Contains(r.Content[0].Text, `"TIMEOUT"`) {
			return fmt.Errorf("answered %+v, want TIMEOUT", r)
		}
		return nil
	case kindTalk:
		progress, logs = 3, 3
	case kindAsk:
		text, progress, logs = c.secret+"|re"+c.secret, 2, 1
	}
	if mayMissLogs {
		logs = min(logs, c.logs)
	}
	if !c.done || r.IsError || len(r.Content) != 1 || r.Content[0].Text != text {
		return fmt.Errorf("answered (%v) %+v, want %s", c.done, r, text)
	}
	if c.progress != progress || c.logs != logs {
		return fmt.Errorf("heard progress up to %v and %d log messages, want %v and %d", c.progress, c.logs, progress, logs)
	}
	return nil
}
