package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
)

// listing is the result of get_server_tools.
type listing struct {
	Tools          []json.RawMessage `json:"tools"`
	Server         string            `json:"server"`
	TotalAvailable int               `json:"total_available"`
	Returned       int               `json:"returned"`
	TokensUsed     int               `json:"tokens_used"`
	Truncated      bool              `json:"truncated"`
}

// names lists the tools' names in order, with spaces between them.
func (l listing) names(t testing.TB) string {
	t.Helper()
	all := make([]string, len(l.Tools))
	for i, raw := range l.Tools {
		var named struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(raw, &named); err != nil {
			t.Fatalf("tool %s: %v", raw, err)
		}
		all[i] = named.Name
	}
	return strings.Join(all, " ")
}

func (w *world) list(more string) listing {
	w.t.Helper()
	r := w.call(gateway.GetServerTools, `{"agent_id":"researcher","server":"everything"`+more+`}`)
	if r.IsError {
		w.t.Fatalf("get_server_tools %s = %s", more, r.raw)
	}
	var l listing
	if err := json.Unmarshal(r.StructuredContent, &l); err != nil {
		w.t.Fatal(err)
	}
	return l
}

// fat is a definition of exactly that many tokens.
func fat(name string, tokens int) string {
	raw := fmt.Sprintf(`{"name":%q,"description":""}`, name)
	return strings.Replace(raw, `""}`, `"`+strings.Repeat("x", tokens*4-len(raw))+`"}`, 1)
}

// shop is a server whose tools cost 100, 10, 20, 30 and 50 tokens, the last of which the agent may not use.
func shop(t testing.TB) *world {
	w := build(t, gateway.Config{}, server("everything"),
		policy("researcher", []string{"everything"}, nil, map[string][]string{"everything": {"hidden"}}))
	w.servers["everything"] = &memory{tools: catalogue(t,
		fat("get_all", 100), fat("get_one", 10), fat("put_one", 20), fat("get_two", 30), fat("hidden", 50))}
	return w
}

func TestToolsFilters(t *testing.T) {
	w := shop(t)
	for _, test := range []struct {
		more, names string
		tokens      int
		truncated   bool
	}{
		{``, "get_all get_one put_one get_two", 160, false},
		{`,"names":null,"pattern":null,"max_schema_tokens":null`, "get_all get_one put_one get_two", 160, false},
		{`,"names":"put_one, get_one ,,nope,hidden"`, "get_one put_one", 30, false},
		{`,"names":["put_one","get_one","hidden"]`, "get_one put_one", 30, false},
		{`,"names":" , "`, "get_all get_one put_one get_two", 160, false},
		{`,"names":[]`, "get_all get_one put_one get_two", 160, false},
		{`,"pattern":"get_*"`, "get_all get_one get_two", 140, false},
		{`,"pattern":"?et_[!a]*"`, "get_one get_two", 40, false},
		{`,"pattern":""`, "", 0, false},
		{`,"pattern":"get"`, "", 0, false},
		{`,"names":"get_one,put_one","pattern":"get_*"`, "get_one", 10, false},
		{`,"max_schema_tokens":59`, "get_one put_one", 30, true},
		{`,"max_schema_tokens":60`, "get_one put_one get_two", 60, true},
		{`,"max_schema_tokens":160`, "get_all get_one put_one get_two", 160, false},
		{`,"max_schema_tokens":0`, "", 0, true},
		{`,"max_schema_tokens":1e99`, "get_all get_one put_one get_two", 160, false},
		{`,"max_schema_tokens":10,"pattern":"get_one"`, "get_one", 10, false},
		{`,"max_schema_tokens":9,"names":"get_one"`, "", 0, true},
	} {
		l := w.list(test.more)
		if got := l.names(t); got != test.names || l.TokensUsed != test.tokens || l.Truncated != test.truncated {
			t.Errorf("%s: %q, %d tokens, truncated %v, want %q, %d, %v",
				test.more, got, l.TokensUsed, l.Truncated, test.names, test.tokens, test.truncated)
		}
		if l.TotalAvailable != 4 || l.Returned != len(l.Tools) || l.Server != "everything" {
			t.Errorf("%s: total %d, returned %d of %s, want 4 and %d", test.more, l.TotalAvailable, l.Returned, l.Server, len(l.Tools))
		}
	}
}

func TestToolsComeAsTheUpstreamSentThem(t *testing.T) {
	raw := `{"z":9007199254740993,"name":"echo","inputSchema":{"type":"object","x-odd":[1.0,"\u00e4\n\\\""]},"annotations":{"a":null}}`
	w := build(t, gateway.Config{}, server("everything"), policy("researcher", []string{"*"}, nil, nil))
	w.servers["everything"] = &memory{tools: catalogue(t, raw)}
	if l := w.list(``); string(l.Tools[0]) != raw || l.TokensUsed != (len(raw)+3)/4 {
		t.Errorf("tool = %s of %d tokens, want %s of %d", l.Tools[0], l.TokensUsed, raw, (len(raw)+3)/4)
	}
}

func TestToolsOfAServerWithoutAnyAreNone(t *testing.T) {
	w := build(t, gateway.Config{}, server("everything"), policy("researcher", []string{"*"}, nil, nil))
	w.servers["everything"] = &memory{tools: catalogue(t)}
	r := w.call(gateway.GetServerTools, `{"agent_id":"researcher","server":"everything"}`)
	want := `{"tools":[],"server":"everything","total_available":0,"returned":0,"tokens_used":0,"truncated":false}`
	if string(r.StructuredContent) != want {
		t.Errorf("result = %s, want %s", r.StructuredContent, want)
	}
	if e := w.journal.last(t); !e.Allow || e.Outcome != record.OK || e.Server != "everything" || e.Tool != "" {
		t.Errorf("record = %+v, want an allowed reading of everything", e)
	}
}

func TestToolsRefuseWrongArguments(t *testing.T) {
	w := shop(t)
	for _, test := range []struct{ more, message string }{
		{`,"names":7`, "names must be a string or an array of strings"},
		{`,"names":["a",7]`, "names must be a string or an array of strings"},
		{`,"pattern":[]`, "pattern must be a string"},
		{`,"pattern":"` + strings.Repeat("*", 2000) + `"`, "at most 1024 bytes"},
		{`,"max_schema_tokens":-1`, "max_schema_tokens must not be negative"},
		{`,"max_schema_tokens":"5"`, "max_schema_tokens must be a whole number"},
		{`,"patern":"*"`, `unknown argument "patern"`},
	} {
		got := w.call(gateway.GetServerTools, `{"agent_id":"researcher","server":"everything"`+test.more+`}`).refusal(t)
		if got.Code != mcp.InvalidArgument || !strings.Contains(got.Message, test.message) {
			t.Errorf("%.60s: error = %+v, want INVALID_ARGUMENT with %q", test.more, got, test.message)
		}
	}
}
