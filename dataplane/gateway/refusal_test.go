package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// office is a configuration in which every refusal can be had.
func office() []*gatehousev1.Object {
	return []*gatehousev1.Object{
		server("everything"), server("secret"), server("broken"),
		edit("off", func(s *gatehousev1.Server) { s.Disabled = true }),
		edit("slow", func(s *gatehousev1.Server) { s.CallTimeout = "1ms" }),
		policy("researcher", []string{"everything", "absent", "off", "slow", "broken"}, nil,
			map[string][]string{"everything": {"drop_*"}}),
	}
}

// answers makes the upstreams of office.
func answers(w *world) {
	t := w.t
	w.servers["everything"] = &memory{tools: catalogue(t, tool("echo"), tool("fails"), tool("odd"), tool("text"), tool("drop_all"))}
	w.servers["everything"].answer = func(_ context.Context, c *mcp.Call) (*mcp.Reply, error) {
		switch c.Name {
		case "fails":
			return &mcp.Reply{Error: &mcp.Error{Code: -32011, Message: "no luck", Data: []byte(`{"big":9007199254740993}`)}}, nil
		case "odd":
			return nil, errors.New("a defect")
		case "text":
			return &mcp.Reply{Result: []byte(`"text"`)}, nil
		}
		return &mcp.Reply{Result: []byte(`{"content":[]}`)}, nil
	}
	w.servers["secret"] = &memory{tools: catalogue(t, tool("echo"))}
	w.servers["slow"] = &memory{tools: catalogue(t, tool("wait"))}
	w.servers["slow"].answer = func(ctx context.Context, _ *mcp.Call) (*mcp.Reply, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("server slow: %w", mcp.ErrTimeout)
	}
	w.servers["broken"] = &memory{toolsErr: fmt.Errorf("server broken exited: signal killed: %w", mcp.ErrUnavailable)}
}

func TestEveryCodeWithAndWithoutDebug(t *testing.T) {
	const rule = "agents.researcher.allow.servers"
	for _, test := range []struct {
		name, tool, args string
		code             mcp.Code
		rule             string // "" is null
		message          string
	}{
		{"denied tool", gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"drop_all"}`,
			mcp.DeniedByPolicy, "agents.researcher.deny.tools.everything[0]", "drop_all"},
		{"denied server", gateway.ExecuteTool, `{"agent_id":"researcher","server":"secret","tool":"echo"}`,
			mcp.DeniedByPolicy, "", "secret"},
		{"denied server's tools", gateway.GetServerTools, `{"agent_id":"researcher","server":"secret"}`,
			mcp.DeniedByPolicy, "", "secret"},
		{"empty tool", gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":""}`,
			mcp.DeniedByPolicy, "", ""},
		{"unknown agent", gateway.ListServers, `{"agent_id":"ghost"}`, mcp.InvalidAgentID, "", "ghost"},
		{"no agent", gateway.ExecuteTool, `{"server":"everything","tool":"echo"}`, mcp.InvalidAgentID, "", "agent_id"},
		{"not defined", gateway.ExecuteTool, `{"agent_id":"researcher","server":"absent","tool":"echo"}`,
			mcp.ServerUnavailable, rule + "[1]", "not defined"},
		{"disabled", gateway.GetServerTools, `{"agent_id":"researcher","server":"off"}`,
			mcp.ServerUnavailable, rule + "[2]", "disabled"},
		{"down", gateway.ExecuteTool, `{"agent_id":"researcher","server":"broken","tool":"echo"}`,
			mcp.ServerUnavailable, rule + "[4]", "signal killed"},
		{"down for listing", gateway.GetServerTools, `{"agent_id":"researcher","server":"broken"}`,
			mcp.ServerUnavailable, rule + "[4]", "signal killed"},
		{"no such tool", gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"nope"}`,
			mcp.ToolNotFound, rule + "[0]", "nope"},
		{"too slow", gateway.ExecuteTool, `{"agent_id":"researcher","server":"slow","tool":"wait"}`,
			mcp.Timeout, rule + "[3]", "slow"},
		{"missing argument", gateway.ExecuteTool, `{"agent_id":"researcher","tool":"echo"}`,
			mcp.InvalidArgument, "", "server is missing"},
		{"upstream's error", gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"fails"}`,
			mcp.UpstreamError, rule + "[0]", "no luck"},
		{"no result object", gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"text"}`,
			mcp.UpstreamError, rule + "[0]", "no object"},
		{"our fault", gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"odd"}`,
			mcp.Internal, rule + "[0]", "its log says more"},
	} {
		for _, debug := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/debug=%v", test.name, debug), func(t *testing.T) {
				w := build(t, gateway.Config{Debug: debug}, office()...)
				answers(w)
				got := w.call(test.tool, test.args).refusal(t)
				if got.Code != test.code || got.Revision != 1 || !strings.Contains(got.Message, test.message) {
					t.Errorf("error = %+v, want %s of revision 1 with %q", got, test.code, test.message)
				}
				if rule := deref(got.Rule); rule != test.rule && debug || rule != "" && !debug {
					t.Errorf("rule = %q, want %q with --debug alone", rule, test.rule)
				}
				if e := w.journal.last(t); e.Outcome != record.Outcome(test.code) || e.Rule != test.rule {
					t.Errorf("record: outcome %s rule %q, want %s %q", e.Outcome, e.Rule, test.code, test.rule)
				}
			})
		}
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func TestFallbackCodes(t *testing.T) {
	for _, test := range []struct {
		settings *gatehousev1.Object
		code     mcp.Code
	}{
		{settings(true, "researcher"), mcp.InvalidAgentID},
		{settings(false, "nobody"), mcp.FallbackAgentNotInRules},
		{settings(false, ""), mcp.NoFallbackConfigured},
	} {
		for _, debug := range []bool{false, true} {
			w := build(t, gateway.Config{Debug: debug}, append(office(), test.settings)...)
			got := w.call(gateway.ListServers, `{}`).refusal(t)
			if got.Code != test.code || strings.Contains(got.Message, "nobody") {
				t.Errorf("%v: error = %+v, want %s, which says nothing of the configuration", test.settings, got, test.code)
			}
			if e := w.journal.last(t); e.Allow || e.Agent != "" {
				t.Errorf("record = %+v, want a denial of nobody", e)
			}
		}
	}
}

func TestFallbackAgentIsDecidedOn(t *testing.T) {
	w := build(t, gateway.Config{}, append(office(), settings(false, "researcher"))...)
	answers(w)
	if r := w.call(gateway.ExecuteTool, `{"agent_id":"","server":"everything","tool":"echo"}`); r.IsError {
		t.Errorf("result = %s, want the upstream's", r.raw)
	}
	if e := w.journal.last(t); e.Agent != "researcher" || e.AgentAsked != "" {
		t.Errorf("record: agent %q asked %q, want researcher and none", e.Agent, e.AgentAsked)
	}
}

func TestDenialSaysNothingOfExistence(t *testing.T) {
	w := build(t, gateway.Config{Debug: true}, office()...)
	answers(w)
	for _, test := range []struct{ tool, there, absent string }{
		{gateway.ExecuteTool, `{"agent_id":"researcher","server":"secret","tool":"echo"}`,
			`{"agent_id":"researcher","server":"sacred","tool":"echo"}`},
		{gateway.GetServerTools, `{"agent_id":"researcher","server":"secret"}`, `{"agent_id":"researcher","server":"sacred"}`},
		{gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"drop_all"}`,
			`{"agent_id":"researcher","server":"everything","tool":"drop_xyz"}`},
	} {
		there := w.call(test.tool, test.there).raw
		absent := w.call(test.tool, test.absent).raw
		same := strings.NewReplacer("sacred", "secret", "drop_xyz", "drop_all").Replace(absent)
		if there != same {
			t.Errorf("a name that exists gives\n%s\nand one that does not\n%s", there, absent)
		}
	}
	if n := len(w.servers["secret"].called()); n > 0 {
		t.Errorf("%d calls reached a denied server", n)
	}
}

func TestUpstreamErrorComesWhole(t *testing.T) {
	w := build(t, gateway.Config{}, office()...)
	answers(w)
	got := w.call(gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"fails"}`).refusal(t)
	if want := `{"code":-32011,"message":"no luck","data":{"big":9007199254740993}}`; string(got.Upstream) != want {
		t.Errorf("upstream = %s, want %s", got.Upstream, want)
	}
}

func TestServerThatRefusesTheHandshakeIsUnavailable(t *testing.T) {
	w := build(t, gateway.Config{}, office()...)
	refusal := &mcp.Error{Code: -32600, Message: "not you"}
	w.servers["everything"] = &memory{toolsErr: fmt.Errorf("%w: server everything: %w", mcp.ErrUnavailable, refusal)}
	got := w.call(gateway.GetServerTools, `{"agent_id":"researcher","server":"everything"}`).refusal(t)
	if got.Code != mcp.ServerUnavailable || got.Message != "server everything: not you" || got.Upstream != nil {
		t.Errorf("error = %+v, want SERVER_UNAVAILABLE", got)
	}
}

func TestRefusalCarriesAResultTypeInTheModernEra(t *testing.T) {
	w := build(t, gateway.Config{}, office()...)
	r := w.perform(&gateway.Call{Principal: everyone(), Name: gateway.ListServers, Era: mcp.Modern})
	if r.ResultType != "complete" || r.refusal(t).Code != mcp.InvalidAgentID {
		t.Errorf("result = %s, want INVALID_AGENT_ID and resultType complete", r.raw)
	}
	if r := w.call(gateway.ListServers, `{}`); r.ResultType != "" {
		t.Errorf("result = %s, want no resultType in the legacy era", r.raw)
	}
}

func TestUnknownToolIsAProtocolError(t *testing.T) {
	w := build(t, gateway.Config{}, office()...)
	for _, name := range []string{"", "nope", gateway.GatewayStatus, "List_Servers", strings.Repeat("x", 1<<20)} {
		_, err := w.CallTool(t.Context(), &gateway.Call{Principal: everyone(), Name: name})
		var e *mcp.Error
		if !errors.As(err, &e) || e.Code != mcp.CodeInvalidParams || len(e.Message) > 200 {
			t.Errorf("CallTool(%.20s) = %v, want -32602", name, err)
		}
	}
}

func TestAPanicIsOurFaultAndEndsTheCall(t *testing.T) {
	w := build(t, gateway.Config{}, office()...)
	answers(w)
	w.servers["everything"].answer = func(context.Context, *mcp.Call) (*mcp.Reply, error) { panic("a defect") }
	got := w.call(gateway.ExecuteTool, `{"agent_id":"researcher","server":"everything","tool":"echo"}`).refusal(t)
	if got.Code != mcp.Internal || strings.Contains(got.Message, "defect") {
		t.Errorf("error = %+v, want INTERNAL without the panic's text", got)
	}
	if n := w.live.Load().Calls(); n != 0 {
		t.Errorf("%d calls under way, want 0", n)
	}
}
