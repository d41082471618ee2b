package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// ask performs a call of the gateway's own tools, in an era.
func (w *world) ask(name, args string, era mcp.Era) string {
	w.t.Helper()
	return w.perform(&gateway.Call{Principal: table.Everyone("anonymous"), Name: name, Args: []byte(args), Era: era}).raw
}

// What is rendered once is told twice only while it is true.
func TestRenderedListsStayTrue(t *testing.T) {
	w, m := ruled(t, "deny tools: secret")
	m.tools = catalogue(t, tool("open"), tool("secret"))
	const ofA, ofB = `{"agent_id":"a","server":"s"}`, `{"agent_id":"b","server":"s"}`
	check := func(when, args string, want ...string) {
		t.Helper()
		for range 2 {
			for _, era := range []mcp.Era{mcp.Legacy, mcp.Modern} {
				got := w.ask(gateway.GetServerTools, args, era)
				for _, name := range []string{"open", "secret", "third", "resultType"} {
					has := strings.Contains(got, `"name":"`+name+`"`)
					wanted := strings.Contains(strings.Join(want, " "), name)
					if name == "resultType" {
						has, wanted = strings.Contains(got, `"resultType":"complete"`), era == mcp.Modern
					}
					if has != wanted {
						t.Errorf("%s: tools of %s = %s, want %v", when, args, got, want)
					}
				}
			}
		}
	}
	check("at first", ofA, "open")
	check("another agent", ofB, "open", "secret")
	check("with a filter", `{"agent_id":"b","server":"s","pattern":"s*"}`, "secret")
	check("with a budget", `{"agent_id":"b","server":"s","max_schema_tokens":0}`)
	check("without it again", ofB, "open", "secret")
	m.tools = catalogue(t, tool("open"), tool("secret"), tool("third"))
	check("with another catalogue", ofA, "open", "third")
	w.apply(2, server("s"), settings(true, ""), rulesFor("a", "deny tools: third"), rulesFor("b"))
	check("under another policy", ofA, "open", "secret")
	check("under another policy, for whom it is the same", ofB, "open", "secret", "third")
}

func TestRenderedServersStayTrue(t *testing.T) {
	w, _ := ruled(t)
	servers := func() string { return w.ask(gateway.ListServers, `{"agent_id":"a"}`, mcp.Legacy) }
	if first, second := servers(), servers(); first != second || !strings.Contains(first, `{"name":"s","description":"The s."}`) {
		t.Errorf("list_servers = %s and %s, want s twice", first, second)
	}
	w.apply(2, settings(true, ""), rulesFor("a"))
	if got := servers(); strings.Contains(got, "The s.") {
		t.Errorf("list_servers = %s, want none: it is gone", got)
	}
	if got := w.ask(gateway.ListServers, `{"agent_id":"a","include_metadata":true}`, mcp.Legacy); got == "" {
		t.Error("list_servers with metadata = nothing")
	}
}

func TestLargePagesStayTrue(t *testing.T) {
	w, m := ruled(t, "deny tools: secret-*")
	var page string
	m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) { return &mcp.Reply{Result: []byte(page)}, nil }
	check := func(agent string, era mcp.Era, want string) {
		t.Helper()
		for range 2 {
			d := request("s", agent, "tools/list", "")
			d.Era = era
			if got := w.direct(d); got != want {
				t.Errorf("tools/list of %s = %.200s…, want %.200s…", agent, got, want)
			}
		}
	}
	for _, kind := range []string{"open", "secret"} {
		var tools []string
		for i := range 200 {
			tools = append(tools, tool(fmt.Sprintf("%s-%d", kind, i)))
		}
		page = `{"tools":[` + strings.Join(tools, ",") + `]}`
		want := page
		if kind == "secret" {
			want = `{"tools":[]}`
		}
		modern := `,"resultType":"complete","ttlMs":0,"cacheScope":"private"}`
		check("b", mcp.Legacy, page)
		check("a", mcp.Legacy, want)
		check("a", mcp.Modern, want[:len(want)-1]+modern)
		check("b", mcp.Modern, page[:len(page)-1]+modern)
	}
	w.apply(2, server("s"), settings(true, ""), rulesFor("a"))
	check("a", mcp.Legacy, page)
}
