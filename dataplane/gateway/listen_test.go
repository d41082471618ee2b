package gateway_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// events is what an upstream has to say on a stream of changes, in its own words.
var events = [][2]string{
	{"notifications/subscriptions/acknowledged", `{"_meta":{"io.modelcontextprotocol/subscriptionId":9},"notifications":{"toolsListChanged":true}}`},
	{"notifications/tools/list_changed", ``},
	{"notifications/prompts/list_changed", `{}`},
	{"notifications/resources/updated", `{"uri":"a"}`},
	{"notifications/resources/updated", `{"uri":"b"}`},
	{"notifications/progress", `{"progressToken":1}`},
	{"notifications/message", `{"level":"info"}`},
}

func TestSubscriptionHearsWhatItAskedFor(t *testing.T) {
	const id = `"_meta":{"io.modelcontextprotocol/subscriptionId":"l"`
	const params = `{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a"]}}`
	tools, updated := `notifications/tools/list_changed {`+id+`}}`, `notifications/resources/updated {"uri":"a",`+id+`}}`
	for _, test := range []struct {
		agent, server mcp.Era
		want          string
	}{
		{mcp.Modern, mcp.Modern, `notifications/subscriptions/acknowledged {"notifications":{"toolsListChanged":true},` + id + `}}|` + tools + `|` + updated},
		{mcp.Modern, mcp.Legacy, `notifications/subscriptions/acknowledged ` + params[:len(params)-1] + `,` + id + `}}|` + tools + `|` + updated},
		{mcp.Legacy, mcp.Legacy, `notifications/tools/list_changed |notifications/prompts/list_changed {}|notifications/resources/updated {"uri":"b"}|notifications/message {"level":"info"}`},
	} {
		w, m := ruled(t)
		m.hello = &upstream.Hello{Era: test.server, Result: []byte(`{}`)}
		m.says = events
		ctx, cancel := context.WithCancel(t.Context())
		m.said = cancel // the agent leaves once it has heard all
		l := new(listener)
		d := request("s", "a", "subscriptions/listen", params)
		d.ID, d.Era, d.Stream, d.URIs = []byte(`"l"`), test.agent, l, []string{"b"}
		if reply, err := w.Direct(ctx, d); err == nil {
			t.Errorf("Direct = %+v, want the context's error", reply)
			reply.Close()
		}
		if calls := m.called(); test.agent != test.server && (len(calls) != 2 || test.server == mcp.Legacy && string(calls[1].Params) != `{"uri":"a"}`) {
			t.Errorf("a %v server got %v, want a hello and a subscription", test.server, calls)
		}
		if got := strings.Join(l.heard, "|"); got != test.want {
			t.Errorf("%v agent of a %v server heard\n%s, want\n%s", test.agent, test.server, got, test.want)
		}
	}
}

func TestSubscriptionEndsWithItsTable(t *testing.T) {
	w, m := single(t)
	m.hello = &upstream.Hello{Era: mcp.Modern, Result: []byte(`{}`)}
	m.said = func() { w.apply(2, server("s")) }
	d := request("s", "a", "subscriptions/listen", `{"notifications":{}}`)
	d.ID, d.Era, d.Stream = []byte(`7`), mcp.Modern, new(listener)
	want := `{"_meta":{"io.modelcontextprotocol/subscriptionId":7},"resultType":"complete"}`
	if got := w.direct(d); got != want {
		t.Errorf("Direct = %s, want %s", got, want)
	}
}

func TestSubscriptionNeedsToSayWhatItWants(t *testing.T) {
	w, m := single(t)
	m.hello = &upstream.Hello{Era: mcp.Modern, Result: []byte(`{}`)}
	for _, params := range []string{`{}`, `{"notifications":7}`, `{"notifications":{"toolsListChanged":true,"ToolsListChanged":false}}`} {
		d := request("s", "a", "subscriptions/listen", params)
		d.Era, d.Stream = mcp.Modern, new(listener)
		if got := w.direct(d); !strings.Contains(got, "INVALID_ARGUMENT") {
			t.Errorf("listen with %s = %s, want INVALID_ARGUMENT", params, got)
		}
	}
}

func TestSubscriptionThatTheServerRefusesFails(t *testing.T) {
	w, m := single(t)
	m.hello = &upstream.Hello{Era: mcp.Modern, Result: []byte(`{}`)}
	m.refuses = &mcp.Error{Code: mcp.CodeMethodNotFound, Message: "nothing changes here"}
	d := request("s", "a", "subscriptions/listen", `{"notifications":{}}`)
	d.Era, d.Stream = mcp.Modern, new(listener)
	if got, want := w.direct(d), `{"code":-32601,"message":"nothing changes here"}`; got != want {
		t.Errorf("listen = %s, want %s", got, want)
	}
}
