package gateway_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

const (
	modernTasks = `{"supportedVersions":["2026-07-28"],"capabilities":{"extensions":{"io.modelcontextprotocol/tasks":{},"x/y":{}}}}`
	legacyTasks = `{"protocolVersion":"2025-11-25","capabilities":{"tasks":{"list":{}},"tools":{}},"serverInfo":{"name":"n","version":"1"}}`
	declared    = `{"extensions":{"io.modelcontextprotocol/tasks":{}}}`
)

// tasking is a world of two agents and a server that keeps tasks as an era does. Its tasks are called t1, and tx, which is
// none of the agents'.
func tasking(t *testing.T, era mcp.Era) (*world, *memory) {
	w := build(t, gateway.Config{}, server("s"), settings(true, ""),
		policy("a", []string{"s"}, nil, map[string][]string{"s": {"no"}}), policy("b", []string{"s"}, nil, nil))
	m := &memory{hello: &upstream.Hello{Era: era, Result: []byte(modernTasks)}}
	if era == mcp.Legacy {
		m.hello.Result = []byte(legacyTasks)
	}
	m.answer = func(_ context.Context, c *mcp.Call) (*mcp.Reply, error) {
		answers := map[string]string{
			"tools/call":   `{"resultType":"task","taskId":"t1","status":"working","ttlMs":1.0}`,
			"tasks/get":    `{"resultType":"complete","taskId":"t1","status":"completed","result":{"taskId":"t1"}}`,
			"tasks/list":   `{"tasks":[{"taskId":"tx"}, {"taskId":"t1","z":1}]}`,
			"tasks/result": `{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t1"}}}`,
		}
		if era == mcp.Legacy {
			answers["tools/call"] = `{"task":{"taskId":"t1","status":"working"},"_meta":{"a/b":1}}`
			answers["tasks/get"] = `{"taskId":"t1","status":"working"}`
		}
		if result, ok := answers[c.Method]; ok {
			return &mcp.Reply{Result: []byte(result)}, nil
		}
		return &mcp.Reply{Result: []byte(`{"resultType":"complete"}`)}, nil
	}
	w.servers["s"] = m
	return w, m
}

// ask is a request of an agent that takes part in tasks as its era does.
func ask(era mcp.Era, agent, method, params string) *gateway.Direct {
	d := request("s", agent, method, params)
	if d.Era = era; era == mcp.Modern {
		d.Client = &mcp.Client{Capabilities: []byte(declared), Version: mcp.ModernVersion}
	} else {
		d.Session = "session of " + agent
	}
	return d
}

// taskIn is the raw id of the task in a result.
func taskIn(t *testing.T, result string) string {
	t.Helper()
	var v struct {
		TaskID json.RawMessage `json:"taskId"`
		Task   struct {
			TaskID json.RawMessage `json:"taskId"`
		} `json:"task"`
	}
	if err := json.Unmarshal([]byte(result), &v); err != nil || v.TaskID == nil && v.Task.TaskID == nil {
		t.Fatalf("result = %s, %v, want a task", result, err)
	}
	return string(v.TaskID) + string(v.Task.TaskID)
}

func TestTasksOfTheExtensionAreTheAgentsAlone(t *testing.T) {
	w, m := tasking(t, mcp.Modern)
	made := w.direct(ask(mcp.Modern, "a", "tools/call", `{"name":"slow"}`))
	id := taskIn(t, made)
	if want := `{"resultType":"task","taskId":` + id + `,"status":"working","ttlMs":1.0}`; made != want || id == `"t1"` {
		t.Errorf("tools/call = %s, want %s", made, want)
	}
	got := w.direct(ask(mcp.Modern, "a", "tasks/get", `{"taskId":`+id+`}`))
	if want := `{"resultType":"complete","taskId":` + id + `,"status":"completed","result":{"taskId":"t1"}}`; got != want {
		t.Errorf("tasks/get = %s, want %s", got, want)
	}
	calls := m.called()
	if c := calls[len(calls)-1]; string(c.Params) != `{"taskId":"t1"}` || c.Name != "t1" || c.Own {
		t.Errorf("server got %s under the name %q, want its own id", c.Params, c.Name)
	}
	if got := w.direct(ask(mcp.Modern, "a", "tasks/update", `{"taskId":`+id+`,"inputResponses":{"k":{"n":1e400}}}`)); got != `{"resultType":"complete"}` {
		t.Errorf("tasks/update = %s", got)
	}
	if c := m.called(); string(c[len(c)-1].Params) != `{"taskId":"t1","inputResponses":{"k":{"n":1e400}}}` {
		t.Errorf("server got %s", c[len(c)-1].Params)
	}
	refusedTasks(t, w, m, mcp.Modern, id)
}

// refusedTasks holds that an id is of no use to others.
func refusedTasks(t *testing.T, w *world, m *memory, era mcp.Era, id string) {
	t.Helper()
	before := sent(m)
	stranger := ask(era, "a", "tasks/get", `{"taskId":`+id+`}`)
	stranger.Principal = table.Everyone("somebody else")
	silent := ask(era, "a", "tasks/get", `{"taskId":`+id+`}`)
	silent.Client, silent.Session = nil, ""
	want := map[string]string{"another era": "-32601", "silent": "-32602"}
	if era == mcp.Modern {
		want["silent"] = `"code":-32021,"message":"the request needs the extension io.modelcontextprotocol/tasks, which it does not declare","data":{"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}`
	}
	for name, d := range map[string]*gateway.Direct{
		"principal":   stranger,
		"agent":       ask(era, "b", "tasks/get", `{"taskId":`+id+`}`),
		"raw":         ask(era, "a", "tasks/cancel", `{"taskId":"t1"}`),
		"none":        ask(era, "a", "tasks/cancel", `{}`),
		"two":         ask(era, "a", "tasks/get", `{"taskId":`+id+`,"taskId":"t1"}`),
		"another era": ask(1-era, "a", "tasks/get", `{"taskId":`+id+`}`),
		"silent":      silent,
	} {
		code, ok := want[name]
		if !ok {
			code = "-32602"
		}
		if got := w.direct(d); !strings.Contains(got, code) {
			t.Errorf("task of another %s: %s, want %s", name, got, code)
		}
	}
	if n := sent(m); n != before {
		t.Errorf("server got %d requests about tasks that were not theirs", n-before)
	}
}

func TestTaskGoesWithItsTool(t *testing.T) {
	w, _ := tasking(t, mcp.Modern)
	id := taskIn(t, w.direct(ask(mcp.Modern, "b", "tools/call", `{"name":"no"}`)))
	if got := w.direct(ask(mcp.Modern, "b", "tasks/get", `{"taskId":`+id+`}`)); !strings.Contains(got, "completed") {
		t.Errorf("tasks/get = %s, want the task", got)
	}
	w.apply(2, server("s"), settings(true, ""), policy("b", []string{"s"}, nil, map[string][]string{"s": {"no"}}))
	if got := w.direct(ask(mcp.Modern, "b", "tasks/get", `{"taskId":`+id+`}`)); !strings.Contains(got, "DENIED_BY_POLICY") {
		t.Errorf("tasks/get after the tool was denied = %s, want DENIED_BY_POLICY", got)
	}
}

func TestTasksOfTheCoreAreTheAgentsAlone(t *testing.T) {
	w, m := tasking(t, mcp.Legacy)
	made := w.direct(ask(mcp.Legacy, "a", "tools/call", `{"name":"slow","task":{"ttl":1.0}}`))
	id := taskIn(t, made)
	if want := `{"task":{"taskId":` + id + `,"status":"working"},"_meta":{"a/b":1}}`; made != want || id == `"t1"` {
		t.Errorf("tools/call = %s, want %s", made, want)
	}
	calls := m.called()
	if c := calls[len(calls)-1]; string(c.Params) != `{"name":"slow","task":{"ttl":1.0}}` || !c.Own {
		t.Errorf("server got %s on a session of the agent's own = %v", c.Params, c.Own)
	}
	for method, want := range map[string]string{
		"tasks/get":    `{"taskId":` + id + `,"status":"working"}`,
		"tasks/result": `{"content":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":` + id + `}}}`,
		"tasks/list":   `{"tasks":[{"taskId":` + id + `,"z":1}]}`,
	} {
		params := `{"taskId":` + id + `}`
		if method == "tasks/list" {
			params = `{}`
		}
		if got := w.direct(ask(mcp.Legacy, "a", method, params)); got != want {
			t.Errorf("%s = %s, want %s", method, got, want)
		}
	}
	if got := w.direct(ask(mcp.Legacy, "b", "tasks/list", `{}`)); got != `{"tasks":[]}` {
		t.Errorf("tasks/list of another agent = %s, want none", got)
	}
	refusedTasks(t, w, m, mcp.Legacy, id)
}

func TestNewsOfTasksReachTheirAgentAlone(t *testing.T) {
	w, m := tasking(t, mcp.Legacy)
	id := taskIn(t, w.direct(ask(mcp.Legacy, "a", "tools/call", `{"name":"slow","task":{}}`)))
	inner := m.answer
	m.answer = func(ctx context.Context, c *mcp.Call) (*mcp.Reply, error) {
		for _, task := range []string{"t1", "tx"} {
			c.Stream.Notify("notifications/tasks/status", []byte(`{"taskId":"`+task+`","status":"working"}`))
		}
		c.Stream.Notify("notifications/tasks", []byte(`{"taskId":"t1"}`))
		reply, err := c.Stream.Ask(ctx, "elicitation/create", []byte(`{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t1"}}}`))
		if err != nil || string(reply.Result) != `{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t1"}}}` {
			t.Errorf("answer = %s, %v, want the server's own id", reply.Result, err)
		}
		return inner(ctx, c)
	}
	for _, agent := range []string{"a", "b"} {
		l := &related{id: id}
		d := ask(mcp.Legacy, agent, "tools/call", `{"name":"slow"}`)
		if d.Stream = l; agent == "b" {
			m.answer = func(ctx context.Context, c *mcp.Call) (*mcp.Reply, error) {
				c.Stream.Notify("notifications/tasks/status", []byte(`{"taskId":"t1","status":"working"}`))
				return inner(ctx, c)
			}
		}
		w.direct(d)
		want := `notifications/tasks/status {"taskId":` + id + `,"status":"working"}|ask {"_meta":{"io.modelcontextprotocol/related-task":{"taskId":` + id + `}}}`
		if agent == "b" {
			want = ""
		}
		if got := strings.Join(l.heard, "|"); got != want {
			t.Errorf("agent %s heard %s, want %s", agent, got, want)
		}
	}
}

// related answers with the related task of the question.
type related struct {
	listener
	id string
}

func (r *related) Ask(_ context.Context, _ string, params []byte) (*mcp.Reply, error) {
	r.heard = append(r.heard, "ask "+string(params))
	return &mcp.Reply{Result: []byte(`{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":` + r.id + `}}}`)}, nil
}

func TestSubscriptionsToTasksUseTheAgentsNames(t *testing.T) {
	w, m := tasking(t, mcp.Modern)
	id := taskIn(t, w.direct(ask(mcp.Modern, "a", "tools/call", `{"name":"slow"}`)))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m.says = [][2]string{
		{"notifications/subscriptions/acknowledged", `{"notifications":{"taskIds":["t1","tx"]}}`},
		{"notifications/tasks", `{"taskId":"t1","status":"working"}`},
		{"notifications/tasks", `{"taskId":"tx","status":"working"}`},
		{"notifications/tasks/status", `{"taskId":"t1","status":"working"}`},
	}
	m.said = cancel
	l := new(listener)
	d := ask(mcp.Modern, "a", "subscriptions/listen", `{"notifications":{"taskIds":[`+id+`]}}`)
	d.Stream, d.ID = l, []byte(`7`)
	if _, err := w.Direct(ctx, d); err == nil {
		t.Error("subscription ended well, want its end with the agent")
	}
	tag := `"_meta":{"io.modelcontextprotocol/subscriptionId":7}}`
	want := `notifications/subscriptions/acknowledged {"notifications":{"taskIds":[` + id + `]},` + tag + `|notifications/tasks {"taskId":` + id + `,"status":"working",` + tag
	if got := strings.Join(l.heard, "|"); got != want {
		t.Errorf("agent heard %s, want %s", got, want)
	}
	d = ask(mcp.Modern, "b", "subscriptions/listen", `{"notifications":{"taskIds":[`+id+`]}}`)
	if d.Stream = l; !strings.Contains(w.direct(d), "-32602") {
		t.Error("another agent could subscribe to the task")
	}
}

func TestTasksDoNotCrossTheEras(t *testing.T) {
	w, m := tasking(t, mcp.Legacy)
	got := w.direct(ask(mcp.Modern, "a", "server/discover", `{}`))
	if strings.Contains(got, "tasks") || !strings.Contains(got, `"tools":{}`) {
		t.Errorf("server/discover = %s, want no tasks", got)
	}
	m.answer = func(_ context.Context, c *mcp.Call) (*mcp.Reply, error) {
		return &mcp.Reply{Result: []byte(`{"tools":[{"name":"must","execution":{"taskSupport":"required"}},{"name":"may","execution":{"taskSupport":"optional"}}],"params":` + string(c.Params) + `}`)}, nil
	}
	for era, want := range map[mcp.Era]string{mcp.Legacy: `{"name":"must"`, mcp.Modern: `"tools":[{"name":"may"`} {
		if got := w.direct(ask(era, "a", "tools/list", `{}`)); !strings.Contains(got, want) || era == mcp.Modern && strings.Contains(got, "must") {
			t.Errorf("tools/list of an agent of the %v era = %s, want %s", era, got, want)
		}
	}
	d := ask(mcp.Modern, "a", "tools/call", `{"name":"may","task":{"ttl":1},"x":2}`)
	if got := w.direct(d); !strings.Contains(got, `"params":{"name":"may","x":2}`) {
		t.Errorf("tools/call = %s, want it without the task that the agent cannot have meant", got)
	}
	w, _ = tasking(t, mcp.Modern)
	got = w.direct(ask(mcp.Legacy, "a", "initialize", `{"protocolVersion":"2025-11-25"}`))
	if strings.Contains(got, "tasks") || !strings.Contains(got, `"x/y":{}`) {
		t.Errorf("initialize = %s, want no tasks, and the other extension", got)
	}
	if got := w.direct(ask(mcp.Legacy, "a", "tasks/result", `{"taskId":"t1"}`)); !strings.Contains(got, "-32601") {
		t.Errorf("tasks/result = %s, want -32601", got)
	}
}

func TestNotificationsOfAgentsPass(t *testing.T) {
	w, m := tasking(t, mcp.Legacy)
	d := ask(mcp.Legacy, "a", "notifications/vendor", `{"a":1e400,"_meta":{"v/x":1}}`)
	d.Notification = true
	w.direct(d)
	if c := m.called()[0]; c.Method != "notifications/vendor" || string(c.Params) != `{"a":1e400,"_meta":{"v/x":1}}` {
		t.Errorf("server got %s %s", c.Method, c.Params)
	}
}

// The proxy remembers a bounded number of tasks, and of sessions that have some.
func TestRememberedTasksAreBounded(t *testing.T) {
	w, m := tasking(t, mcp.Legacy)
	n := 0
	m.answer = func(_ context.Context, c *mcp.Call) (*mcp.Reply, error) {
		if c.Method == "tasks/list" {
			return &mcp.Reply{Result: []byte(`{"tasks":[{"taskId":"t0"},{"taskId":"t299"}]}`)}, nil
		}
		defer func() { n++ }()
		id, _ := json.Marshal(n)
		return &mcp.Reply{Result: []byte(`{"task":{"taskId":"t` + string(id) + `"}}`)}, nil
	}
	for range 300 {
		w.direct(ask(mcp.Legacy, "a", "tools/call", `{"name":"slow","task":{}}`))
	}
	if got := w.direct(ask(mcp.Legacy, "a", "tasks/list", `{}`)); strings.Count(got, "taskId") != 1 {
		t.Errorf("tasks/list = %s, want the newest task alone", got)
	}
	for range 1024 {
		d := ask(mcp.Legacy, "a", "tools/call", `{"name":"slow","task":{}}`)
		n, d.Session = 0, d.Session+string(rune('a'+n%26))+t.Name()
		d.Session += strings.Repeat("x", len(m.called())%2048)
		w.direct(d)
	}
	if got := w.direct(ask(mcp.Legacy, "a", "tasks/list", `{}`)); strings.Count(got, "taskId") != 0 {
		t.Errorf("tasks/list = %s, want none after many sessions", got)
	}
}
