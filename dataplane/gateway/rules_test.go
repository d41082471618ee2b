package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// rulesFor is the policy of an agent that may use the servers s and twin, with rules for s as "deny resources: file:///secret/*".
func rulesFor(agent string, rules ...string) *gatehousev1.Object {
	o := policy(agent, []string{"s", "twin"}, nil, nil)
	p := o.GetPolicy()
	for _, text := range rules {
		side := p.Allow
		if strings.HasPrefix(text, "deny ") {
			side = p.Deny
		}
		head, names, _ := strings.Cut(text, ": ")
		all := map[string]*[]*gatehousev1.ToolRule{"tools": &side.Tools, "resources": &side.Resources, "prompts": &side.Prompts}
		to := all[head[strings.Index(head, " ")+1:]]
		*to = append(*to, &gatehousev1.ToolRule{Server: "s", Tools: strings.Split(names, " ")})
	}
	return o
}

// ruled is a server s, and agents that may use it: a by rules, b without.
func ruled(t testing.TB, rules ...string) (*world, *memory) {
	w := build(t, gateway.Config{Debug: true}, server("s"), server("twin"), settings(true, ""), rulesFor("a", rules...), rulesFor("b"))
	m := &memory{tools: catalogue(t, tool("echo")), hello: &upstream.Hello{Era: mcp.Legacy, Result: []byte(`{}`)}}
	w.servers["s"], w.servers["twin"] = m, m
	return w, m
}

// Each row fails if the rules of its kind are not asked: the decision of every method, and the rule that made it.
func TestDirectAsksTheRulesOfEachMethod(t *testing.T) {
	const (
		denied  = "agents.a.deny.resources.s[0]"
		allowed = "agents.a.allow.resources.s[0]"
		hidden  = "agents.a.deny.prompts.s[0]"
		shown   = "agents.a.allow.prompts.s[0]"
	)
	w, m := ruled(t, "allow resources: file:///*", "deny resources: file:///secret/*", "allow prompts: p*", "deny prompts: private")
	for _, test := range []struct {
		method, params string
		allow          bool
		rule           string
	}{
		{"resources/read", `{"uri":"file:///a/b"}`, true, allowed},
		{"resources/read", `{"uri":"file:///secret/a/b"}`, false, denied},
		{"resources/read", `{"uri":"http://x/"}`, false, ""},
		{"resources/read", `{"uri":""}`, false, ""},
		{"resources/read", `{}`, false, ""},
		{"resources/subscribe", `{"uri":"file:///a"}`, true, allowed},
		{"resources/subscribe", `{"uri":"file:///secret/a"}`, false, denied},
		{"resources/unsubscribe", `{"uri":"file:///a"}`, true, allowed},
		{"resources/unsubscribe", `{"uri":"file:///secret/a"}`, false, denied},
		{"prompts/get", `{"name":"plan"}`, true, shown},
		{"prompts/get", `{"name":"private"}`, false, hidden},
		{"prompts/get", `{"name":"other"}`, false, ""},
		{"completion/complete", `{"ref":{"type":"ref/prompt","name":"plan"}}`, true, shown},
		{"completion/complete", `{"ref":{"type":"ref/prompt","name":"private"}}`, false, hidden},
		{"completion/complete", `{"ref":{"type":"ref/prompt","uri":"file:///a"}}`, false, ""},
		{"completion/complete", `{"ref":{"type":"ref/resource","uri":"file:///{path}"}}`, true, allowed},
		{"completion/complete", `{"ref":{"type":"ref/resource","uri":"file:///secret/{path}"}}`, false, denied},
		{"completion/complete", `{"ref":{"type":"ref/resource","name":"plan"}}`, false, ""},
		{"tools/call", `{"name":"plan"}`, true, "agents.a.allow.servers[0]"},
	} {
		sent := len(m.called())
		got := w.direct(request("s", "a", test.method, test.params))
		refused := strings.Contains(got, `"data":{"error":{"code":"DENIED_BY_POLICY"`) && strings.Contains(got, `"code":-32602`)
		if refused == test.allow {
			t.Errorf("%s %s = %s, want allow %v", test.method, test.params, got, test.allow)
		}
		if !test.allow && len(m.called()) != sent {
			t.Errorf("%s %s reached the server", test.method, test.params)
		}
		e := w.journal.last(t)
		if e.Rule != test.rule || e.Allow != test.allow || e.Method != test.method {
			t.Errorf("record of %s %s = %+v, want allow %v by %s", test.method, test.params, e, test.allow, test.rule)
		}
		if e.Tool != "" && test.method != "tools/call" {
			t.Errorf("record of %s has the tool %q, want none", test.method, e.Tool)
		}
	}
}

func TestDirectWithoutRulesGrantsWithTheServer(t *testing.T) {
	w, _ := ruled(t, "deny resources: *")
	for method, params := range map[string]string{
		"resources/read": `{"uri":"any://thing"}`, "prompts/get": `{"name":"x"}`,
		"completion/complete": `{"ref":{"type":"ref/resource","uri":"x"}}`,
	} {
		if got := w.direct(request("s", "b", method, params)); !strings.Contains(got, `"content":[]`) {
			t.Errorf("%s = %s, want the server's answer", method, got)
		}
		if e := w.journal.last(t); e.Rule != "agents.b.allow.servers[0]" {
			t.Errorf("record of %s = %+v, want the implicit grant", method, e)
		}
	}
	if got := w.direct(request("s", "a", "prompts/get", `{"name":"x"}`)); !strings.Contains(got, `"content":[]`) {
		t.Errorf("prompts/get = %s, want an answer: rules for resources say nothing of prompts", got)
	}
}

func TestCompletionMustSayWhatItIsFor(t *testing.T) {
	w, m := ruled(t)
	for _, params := range []string{
		``, `{}`, `{"ref":7}`, `{"ref":{}}`, `{"ref":{"type":"ref/tool","name":"x"}}`,
		`{"ref":{"type":"ref/prompt","name":"x","name":"y"}}`, `{"ref":{"type":"ref/prompt","name":"x","Name":"y"}}`,
		`{"ref":{"type":"ref/prompt","name":"x"},"Ref":{}}`,
	} {
		if got := w.direct(request("s", "a", "completion/complete", params)); !strings.Contains(got, "INVALID_ARGUMENT") {
			t.Errorf("completion/complete %s = %s, want INVALID_ARGUMENT", params, got)
		}
	}
	if got := w.direct(request("t", "a", "completion/complete", `{}`)); !strings.Contains(got, "DENIED_BY_POLICY") {
		t.Errorf("completion/complete of a hidden server = %s, want DENIED_BY_POLICY before anything else", got)
	}
	if n := len(m.called()); n != 0 {
		t.Errorf("%d requests reached the server, want none", n)
	}
}

func TestDirectListsWhatTheAgentMayUse(t *testing.T) {
	w, m := ruled(t, "deny tools: drop", "allow resources: file:///open/* file:///{path}", "deny prompts: private*")
	for method, test := range map[string]struct{ page, want string }{
		"tools/list": {
			`{"tools":[{"name":"drop"},{"name":"keep"}],"_meta":{"x":1}}`, `{"tools":[{"name":"keep"}],"_meta":{"x":1}}`,
		},
		"resources/list": {
			`{"resources":[{"name":"n","uri":"file:///open/a/b"},{"uri":"file:///shut"},{"uri":7},{"name":"file:///open/a"}]}`,
			`{"resources":[{"name":"n","uri":"file:///open/a/b"}]}`,
		},
		"resources/templates/list": {
			`{"resourceTemplates":[{"uriTemplate":"file:///{path}"},{"uriTemplate":"db:///{row}"},{"uri":"file:///open/a"}]}`,
			`{"resourceTemplates":[{"uriTemplate":"file:///{path}"}]}`,
		},
		"prompts/list": {
			`{"prompts":[{"name":"private/one"},{"name":"plan","uri":"x"}]}`, `{"prompts":[{"name":"plan","uri":"x"}]}`,
		},
	} {
		m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
			return &mcp.Reply{Result: []byte(test.page)}, nil
		}
		if got := w.direct(request("s", "a", method, "")); got != test.want {
			t.Errorf("%s = %s, want %s", method, got, test.want)
		}
		if strings.HasPrefix(method, "resources/") {
			continue // a page with entries that have no URI, which nobody is shown
		}
		if got := w.direct(request("s", "b", method, "")); got != test.page {
			t.Errorf("%s of an agent without rules = %s, want %s", method, got, test.page)
		}
	}
}

// turn asks for the page at a cursor, and returns the page, and what the server was asked.
func turn(t *testing.T, w *world, m *memory, d *gateway.Direct, cursor string) (page struct {
	Next  *string `json:"nextCursor"`
	Tools []any   `json:"tools"`
}, asked, raw string) {
	t.Helper()
	if cursor != "" {
		d.Params = fmt.Appendf(nil, `{"cursor":%s}`, cursor)
	}
	raw = w.direct(d)
	if err := json.Unmarshal([]byte(raw), &page); err != nil {
		t.Fatalf("page = %s: %v", raw, err)
	}
	if calls := m.called(); len(calls) > 0 {
		asked = string(calls[len(calls)-1].Params)
	}
	return page, asked, raw
}

func TestCursorsAreSealedOnTheirWay(t *testing.T) {
	for _, method := range []string{"tools/list", "resources/list", "resources/templates/list", "prompts/list"} {
		for _, theirs := range []string{`""`, `"page 2"`, `"\u0041/\\"`} {
			w, m := ruled(t, "deny tools: *")
			m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
				return &mcp.Reply{Result: []byte(`{"tools":[{"name":"x"}],"nextCursor":` + theirs + `}`)}, nil
			}
			first, _, raw := turn(t, w, m, request("s", "a", method, ""), "")
			if first.Next == nil || *first.Next == "" || len(theirs) > 2 && strings.Contains(raw, theirs[1:len(theirs)-1]) {
				t.Errorf("%s = %s, want a sealed cursor", method, raw)
				continue
			}
			if method == "tools/list" && len(first.Tools) != 0 {
				t.Errorf("page = %s, want a page of which all is hidden", raw)
			}
			// Another proxy with the same key takes it as well.
			other, n := ruled(t)
			n.answer = m.answer
			if _, asked, raw := turn(t, other, n, request("s", "a", method, ""), `"`+*first.Next+`"`); asked != `{"cursor":`+theirs+`}` {
				t.Errorf("%s: server got %s (%s), want its own cursor %s", method, asked, raw, theirs)
			}
		}
	}
}

func TestCursorsOpenForNobodyElse(t *testing.T) {
	w, m := ruled(t)
	m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
		return &mcp.Reply{Result: []byte(`{"tools":[],"prompts":[],"nextCursor":"2"}`)}, nil
	}
	first, _, _ := turn(t, w, m, request("s", "a", "tools/list", ""), "")
	cursor := `"` + *first.Next + `"`
	stranger := request("s", "a", "tools/list", "")
	stranger.Principal = table.Everyone("somebody else")
	for name, d := range map[string]*gateway.Direct{
		"another list": request("s", "a", "prompts/list", ""), "another agent": request("s", "b", "tools/list", ""),
		"another caller": stranger, "another server": request("twin", "a", "tools/list", ""),
	} {
		if _, _, raw := turn(t, w, m, d, cursor); !strings.Contains(raw, "invalid cursor: ask for the first page again") {
			t.Errorf("cursor of %s = %s, want invalid cursor", name, raw)
		}
	}
	for _, made := range []string{`"2"`, `""`, `2`, `null`, `{}`, `"` + (*first.Next)[1:] + `"`} {
		_, _, raw := turn(t, w, m, request("s", "a", "tools/list", ""), made)
		if !strings.Contains(raw, `"code":-32602,"message":"invalid cursor`) {
			t.Errorf("cursor %s = %s, want invalid cursor", made, raw)
		}
	}
	if n := len(m.called()); n != 1 {
		t.Errorf("server got %d requests, want the first alone", n)
	}
	if e := w.journal.last(t); e.Outcome != record.Outcome(mcp.InvalidArgument) {
		t.Errorf("record = %+v, want INVALID_ARGUMENT", e)
	}
}

func TestCursorsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := build(t, gateway.Config{}, server("s"), settings(true, ""), rulesFor("a"))
		m := &memory{answer: func(context.Context, *mcp.Call) (*mcp.Reply, error) {
			return &mcp.Reply{Result: []byte(`{"tools":[],"nextCursor":"2"}`)}, nil
		}}
		w.servers["s"] = m
		first, _, _ := turn(t, w, m, request("s", "a", "tools/list", ""), "")
		for _, wait := range []time.Duration{11 * time.Hour, 2 * time.Hour} {
			time.Sleep(wait)
			_, _, raw := turn(t, w, m, request("s", "a", "tools/list", ""), `"`+*first.Next+`"`)
			if got, want := strings.Contains(raw, "invalid cursor"), wait == 2*time.Hour; got != want {
				t.Errorf("after %v more, the page is %s", wait, raw)
			}
		}
	})
}

func TestNothingIsToldOfHiddenResources(t *testing.T) {
	const notification = "notifications/resources/updated"
	for _, era := range []mcp.Era{mcp.Legacy, mcp.Modern} {
		w, m := ruled(t, "deny resources: secret*")
		m.hello = &upstream.Hello{Era: mcp.Modern, Result: []byte(`{}`)}
		m.says = [][2]string{{notification, `{"uri":"secret/a"}`}, {notification, `{"uri":"open"}`}, {notification, ``}}
		ctx, cancel := context.WithCancel(t.Context())
		m.said = cancel
		l := new(listener)
		d := request("s", "a", "subscriptions/listen", `{"notifications":{"resourceSubscriptions":["secret/a","open"]}}`)
		if era == mcp.Legacy {
			d.Params, d.URIs = nil, []string{"secret/a", "open"}
		}
		var asked string
		m.listens = func(c *mcp.Call) { asked = string(c.Params) }
		d.ID, d.Era, d.Stream = []byte(`1`), era, l
		if reply, err := w.Direct(ctx, d); err == nil {
			t.Errorf("Direct = %+v, want the context's error", reply)
			reply.Close()
		}
		if got := strings.Join(l.heard, "|"); len(l.heard) != 1 || !strings.Contains(got, `"uri":"open"`) {
			t.Errorf("%v agent heard %s, want the open resource alone", era, got)
		}
		if !strings.Contains(asked, `"resourceSubscriptions":["open"]`) {
			t.Errorf("server was asked %s for a %v agent, want the open resource alone", asked, era)
		}
	}
}

func TestCallsAreToldNothingOfHiddenResources(t *testing.T) {
	w, m := ruled(t, "deny resources: secret*")
	m.answer = func(_ context.Context, c *mcp.Call) (*mcp.Reply, error) {
		c.Stream.Notify("notifications/resources/updated", []byte(`{"uri":"secret/a"}`))
		c.Stream.Notify("notifications/resources/updated", []byte(`{"uri":"open"}`))
		return &mcp.Reply{Result: []byte(`{}`)}, nil
	}
	l := new(listener)
	d := request("s", "a", "tools/call", `{"name":"x"}`)
	d.Stream = l
	w.direct(d)
	if got, want := strings.Join(l.heard, "|"), `notifications/resources/updated {"uri":"open"}`; got != want {
		t.Errorf("agent heard %s, want %s", got, want)
	}
}

// On the stream of a call nobody has looked at the list before, so whether the change can be seen cannot be told.
func TestCallsAreToldOfListsWithoutRulesAlone(t *testing.T) {
	w, m := ruled(t, "deny prompts: secret*")
	m.answer = func(_ context.Context, c *mcp.Call) (*mcp.Reply, error) {
		c.Stream.Notify("notifications/prompts/list_changed", nil)
		c.Stream.Notify("notifications/tools/list_changed", nil)
		return &mcp.Reply{Result: []byte(`{}`)}, nil
	}
	for agent, want := range map[string]string{
		"a": "notifications/tools/list_changed ", "b": "notifications/prompts/list_changed |notifications/tools/list_changed ",
	} {
		l := new(listener)
		d := request("s", agent, "tools/call", `{"name":"x"}`)
		d.Stream = l
		w.direct(d)
		if got := strings.Join(l.heard, "|"); got != want {
			t.Errorf("agent %s heard %s, want %s", agent, got, want)
		}
	}
}
