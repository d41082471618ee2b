package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// person is an agent that notes what it is asked, and accepts.
type person struct{ asked []string }

func (p *person) Notify(string, []byte) {}

func (p *person) Ask(_ context.Context, method string, params []byte) (*mcp.Reply, error) {
	p.asked = append(p.asked, method+" "+string(params))
	return &mcp.Reply{Result: []byte(`{"action":"accept"}`)}, nil
}

// modernServer is a server of the modern era that asks one thing, and then answers with what it got.
func modernServer(t testing.TB, request string) (*world, *memory) {
	w, m := single(t)
	m.hello = &upstream.Hello{Era: mcp.Modern}
	m.answer = func(_ context.Context, c *mcp.Call) (*mcp.Reply, error) {
		if i := strings.Index(string(c.Params), `"inputResponses":`); i > 0 {
			return &mcp.Reply{Result: fmt.Appendf(nil, `{"content":[],"resultType":"complete",%s`, c.Params[i:])}, nil
		}
		return &mcp.Reply{Result: []byte(`{"resultType":"input_required","inputRequests":{"q":` + request + `}}`)}, nil
	}
	return w, m
}

func TestQuestionsOfModernServersAreWordedForOlderClients(t *testing.T) {
	form := func(properties string) string {
		return `{"method":"elicitation/create","params":{"mode":"form","message":"m","requestedSchema":{"type":"object","properties":` + properties + `}}}`
	}
	const choice = `{"c":{"type":"string","oneOf":[{"const":"a","title":"A"},{"const":"b"}]}}`
	const url = `{"method":"elicitation/create","params":{"mode":"url","message":"sign in","url":"https://example.com/"}}`
	const sampling = `{"method":"sampling/createMessage","params":{"messages":[],"tools":[],"toolChoice":{}}}`
	for _, test := range []struct{ version, capabilities, request, asked, want string }{
		{"2025-11-25", `{"elicitation":{}}`, form(choice), `"mode":"form"`, `"oneOf"`},
		{"2025-06-18", `{"elicitation":{}}`, form(choice), `{"message":"m","requestedSchema":{"type":"object","properties":{"c":{"type":"string","enum":["a","b"],"enumNames":["A","b"]}}}}`, ``},
		{"2025-06-18", `{"elicitation":{}}`, form(`{"c":{"type":"array","items":{}}}`), ``, `{"action":"decline"}`},
		{"2025-11-25", `{"elicitation":{"url":{}}}`, url, `"elicitationId":"`, ``},
		{"2025-11-25", `{"elicitation":{}}`, url, ``, `UPSTREAM_ERROR`},
		{"2025-06-18", `{"elicitation":{}}`, url, ``, `https://example.com/`},
		{"2025-11-25", `{"sampling":{}}`, sampling, `sampling/createMessage {"messages":[]}`, ``},
		{"2025-11-25", `{"sampling":{"tools":{}}}`, sampling, `"toolChoice":{}`, ``},
	} {
		w, _ := modernServer(t, test.request)
		p := new(person)
		d := request("s", "a", "tools/call", `{"name":"echo","arguments":{}}`)
		d.Stream, d.Client = p, &mcp.Client{Version: test.version, Capabilities: []byte(test.capabilities)}
		got := w.direct(d) + strings.Join(p.asked, "|")
		if !strings.Contains(strings.Join(p.asked, "|"), test.asked) || !strings.Contains(got, test.want) || (test.asked == "") != (p.asked == nil) {
			t.Errorf("%s to a client of %s with %s: it was asked %q, and got %s", test.request, test.version, test.capabilities, p.asked, got)
		}
	}
}

func TestServerMayPutACallOffAFewTimes(t *testing.T) {
	for _, sheds := range []int{2, 4} {
		w, m := single(t)
		m.answer = func(_ context.Context, c *mcp.Call) (*mcp.Reply, error) {
			if len(m.called()) > sheds {
				return &mcp.Reply{Result: []byte(`{"content":[]}`)}, nil
			}
			return &mcp.Reply{Result: fmt.Appendf(nil, `{"resultType":"input_required","requestState":"s%d"}`, len(m.called()))}, nil
		}
		got := w.direct(request("s", "a", "tools/call", `{"name":"echo"}`))
		calls := m.called()
		if sheds == 2 && (got != `{"content":[]}` || string(calls[2].Params) != `{"name":"echo","requestState":"s2"}`) {
			t.Errorf("put off twice = %s after %s, want an answer", got, calls[len(calls)-1].Params)
		}
		if sheds == 4 && (!strings.Contains(got, "put the call off 3 times") || len(calls) != 4) {
			t.Errorf("put off for ever = %s after %d calls, want an end after 4", got, len(calls))
		}
	}
}

func TestErrorsHaveACodeOfTheAgentsEra(t *testing.T) {
	for _, test := range []struct {
		era          mcp.Era
		server       mcp.Era
		method       string
		code         int64
		data, client string
		want         string
	}{
		{mcp.Modern, mcp.Legacy, "resources/read", -32002, ``, `{}`, `"code":-32602`},
		{mcp.Modern, mcp.Legacy, "tools/call", 0, ``, `{}`, `"code":-32603`},
		{mcp.Modern, mcp.Legacy, "vendor/x", 0, ``, `{}`, `"code":-32601`},
		{mcp.Modern, mcp.Legacy, "tools/call", -32021, `{"requiredCapabilities":{"sampling":{}}}`, `{}`, `"code":-32021`},
		{mcp.Modern, mcp.Legacy, "tools/call", -32021, `{"requiredCapabilities":{"sampling":{}}}`, `{"sampling":{}}`, `"code":-32603`},
		{mcp.Modern, mcp.Legacy, "tools/call", -32021, `{"requiredCapabilities":{"sampling":{},"roots":{}}}`, `{"sampling":{}}`, `"code":-32021`},
		{mcp.Legacy, mcp.Modern, "resources/read", -32602, `{"uri":"test://x"}`, `{}`, `"code":-32002`},
		{mcp.Legacy, mcp.Modern, "resources/read", -32602, `{"uri":"test://y"}`, `{}`, `"code":-32602`},
		{mcp.Legacy, mcp.Legacy, "resources/read", -32602, `{"uri":"test://x"}`, `{}`, `"code":-32602`},
		{mcp.Legacy, mcp.Modern, "tools/call", -32021, `{"requiredCapabilities":{"sampling":{}}}`, `{}`, `"isError":true`},
		{mcp.Legacy, mcp.Modern, "prompts/get", -32020, ``, `{}`, `"code":-32603`},
		{mcp.Legacy, mcp.Modern, "prompts/get", -32022, ``, `{}`, `"code":-32603`},
		{mcp.Legacy, mcp.Modern, "prompts/get", -32099, ``, `{}`, `"code":-32099`},
	} {
		w, m := single(t)
		m.hello = &upstream.Hello{Era: test.server}
		m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
			e := &mcp.Error{Code: test.code, Message: "words"}
			if test.data != "" {
				e.Data = []byte(test.data)
			}
			return &mcp.Reply{Error: e}, nil
		}
		d := request("s", "a", test.method, `{"name":"p"}`)
		if test.method == "resources/read" {
			d = request("s", "a", test.method, `{"uri":"test://x"}`)
		}
		d.Era, d.Client = test.era, &mcp.Client{Capabilities: []byte(test.client)}
		if got := w.direct(d); !strings.Contains(got, test.want) || !strings.Contains(got, "words") {
			t.Errorf("%d to %s of a %v agent with %s = %s, want %s", test.code, test.method, test.era, test.client, got, test.want)
		}
	}
}

func TestOlderAgentsGetNoShapesTheyDoNotKnow(t *testing.T) {
	const tools = `{"tools":[{"name":"a","outputSchema":{"type":"array"}},{"name":"b","outputSchema":{"type":"object","x":1}},{"name":"c"}]}`
	for _, test := range []struct {
		server               mcp.Era
		method, result, want string
	}{
		{mcp.Modern, "tools/call", `{"structuredContent":[1,"a"],"content":[]}`, `{"content":[{"type":"text","text":"[1,\"a\"]"}]}`},
		{mcp.Modern, "tools/call", `{"structuredContent":7,"content":[{"type":"text","text":"7"}]}`, `{"content":[{"type":"text","text":"7"}]}`},
		{mcp.Modern, "tools/call", `{"structuredContent":{"a":1},"content":[]}`, `{"structuredContent":{"a":1},"content":[]}`},
		{mcp.Legacy, "tools/call", `{"structuredContent":[1],"content":[]}`, `{"structuredContent":[1],"content":[]}`},
		{mcp.Modern, "tools/list", tools, `{"tools":[{"name":"a"},{"name":"b","outputSchema":{"type":"object","x":1}},{"name":"c"}]}`},
		{mcp.Legacy, "tools/list", tools, tools},
	} {
		w, m := single(t)
		m.hello = &upstream.Hello{Era: test.server}
		m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) {
			return &mcp.Reply{Result: []byte(test.result)}, nil
		}
		d := request("s", "a", test.method, `{"name":"echo"}`)
		if got := w.direct(d); got != test.want {
			t.Errorf("%s of a %v server = %s, want %s", test.method, test.server, got, test.want)
		}
	}
}
