package gateway_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// mirroring is a tool with one parameter that travels in a header.
func mirroring(header string) string {
	return `{"name":"m","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"` + header + `"}}}}`
}

func TestHeadersThatDisagreeWithTheBodyAreRefused(t *testing.T) {
	w, m := single(t)
	m.tools = catalogue(t, mirroring("Region"), tool("echo"))
	for _, test := range []struct {
		args, header string
		era          mcp.Era
		want         string
	}{
		{`{"region":"eu"}`, "eu", mcp.Modern, `{"content":[],"resultType":"complete"}`},
		{`{"region":"eu"}`, "us", mcp.Modern, `"code":-32020`},
		{`{"region":"eu"}`, "", mcp.Modern, `"code":-32020`},
		{`{"region":"eu"}`, "us", mcp.Legacy, `{"content":[]}`}, // where the header means nothing
	} {
		d := request("s", "a", "tools/call", `{"name":"m","arguments":`+test.args+`}`)
		d.Era, d.Args, d.Header = test.era, []byte(test.args), map[string][]string{}
		if test.header != "" {
			d.Header["Mcp-Param-Region"] = []string{test.header}
		}
		before := len(m.called())
		got := w.direct(d)
		if !strings.Contains(got, test.want) {
			t.Errorf("%v call of %s with header %q = %s, want %s", test.era, test.args, test.header, got, test.want)
		}
		refused := strings.Contains(got, "error")
		if sent := len(m.called()) > before; sent == refused {
			t.Errorf("%v call of %s with header %q was sent = %v", test.era, test.args, test.header, sent)
		}
		if e := w.journal.last(t); refused && e.Outcome != record.Outcome(mcp.InvalidArgument) {
			t.Errorf("outcome = %v, want %v", e.Outcome, mcp.InvalidArgument)
		}
	}
}

// What the agent was told last may be newer than what the gateway knows.
func TestHeadersAreHeldAgainstTheNewestCatalogue(t *testing.T) {
	w, m := single(t)
	m.tools, m.fresh = catalogue(t, mirroring("Old")), catalogue(t, mirroring("New"))
	d := request("s", "a", "tools/call", `{"name":"m","arguments":{"region":"eu"}}`)
	d.Era, d.Args, d.Header = mcp.Modern, []byte(`{"region":"eu"}`), map[string][]string{"Mcp-Param-New": {"eu"}}
	if got := w.direct(d); !strings.Contains(got, `"content"`) || m.refreshed != 1 {
		t.Errorf("call = %s after reading the catalogue %d times again, want a result after once", got, m.refreshed)
	}
}

func TestStrangeParamHeadersPass(t *testing.T) {
	w, m := single(t)
	d := request("s", "a", "tools/call", `{"name":"echo"}`)
	d.Era, d.Header = mcp.Modern, map[string][]string{"Mcp-Param-Tenant": {"t1"}, "Authorization": {"Bearer secret"}}
	w.direct(d)
	if h := m.called()[0].Header; len(h) != 1 || h["Mcp-Param-Tenant"][0] != "t1" {
		t.Errorf("upstream got headers %v, want Mcp-Param-Tenant alone", h)
	}
}

func TestCallFailsWhereTheHeadersCannotBeChecked(t *testing.T) {
	w, m := single(t)
	m.toolsErr = errors.Join(mcp.ErrUnavailable, errors.New("down"))
	d := request("s", "a", "tools/call", `{"name":"echo"}`)
	d.Era, d.Header = mcp.Modern, map[string][]string{}
	if got := w.direct(d); !strings.Contains(got, "SERVER_UNAVAILABLE") || len(m.called()) > 0 {
		t.Errorf("call = %s, want SERVER_UNAVAILABLE and nothing sent", got)
	}
}

func TestWronglyMirroringToolsAreHiddenWhereHeadersCount(t *testing.T) {
	w, m := single(t)
	page := `{"tools":[` + mirroring("Region") + `,` + mirroring("not a token") + `]}`
	m.answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) { return &mcp.Reply{Result: []byte(page)}, nil }
	for mirrors, want := range map[bool]string{false: page, true: `{"tools":[` + mirroring("Region") + `]}`} {
		m.hello = &upstream.Hello{Mirrors: mirrors}
		if got := w.direct(request("s", "a", "tools/list", "")); got != want {
			t.Errorf("tools/list of a server that wants headers (%v) = %s, want %s", mirrors, got, want)
		}
	}
}
