package upstream_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

func TestMirrorsRefusesWhatNoClientMaySend(t *testing.T) {
	for properties, want := range map[string]string{
		`"a":{"type":"string"}`: "",
		`"a":{"type":"string","x-mcp-header":"A"},"b":{"type":["integer","null"],"x-mcp-header":"B"}`:    "",
		`"a":{"type":"object","properties":{"b":{"type":"boolean","x-mcp-header":"x!#$%&'*+-.^_|~09"}}}`: "",
		`"x-mcp-header":{"type":"string","default":{"x-mcp-header":7}}`:                                  "",
		`"a":true`: "",
		`"a":{"type":"string","x-mcp-header":""}`:                                                        "no name",
		`"a":{"type":"string","x-mcp-header":7}`:                                                         "no name",
		`"a":{"type":"string","x-mcp-header":"My Region"}`:                                               "no name",
		`"a":{"type":"string","x-mcp-header":"R:P"}`:                                                     "no name",
		`"a":{"type":"string","x-mcp-header":"Région"}`:                                                  "no name",
		`"a":{"type":"string","x-mcp-header":"R\t1"}`:                                                    "no name",
		`"a":{"type":"number","x-mcp-header":"A"}`:                                                       "no string",
		`"a":{"type":["string","number"],"x-mcp-header":"A"}`:                                            "no string",
		`"a":{"type":["null"],"x-mcp-header":"A"}`:                                                       "no string",
		`"a":{"type":"object","x-mcp-header":"A"}`:                                                       "no string",
		`"a":{"x-mcp-header":"A"}`:                                                                       "no string",
		`"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}`:              "another one",
		`"a":{"type":"string","x-mcp-header":"A","x-mcp-header":"B"}`:                                    "has two",
		`"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}`:                              "not reached",
		`"a":{"oneOf":[{"type":"string","x-mcp-header":"A"}]}`:                                           "not reached",
		`"a":{"if":{"properties":{"b":{"type":"string","x-mcp-header":"A"}}}}`:                           "not reached",
		`"a":{"$ref":"#/$defs/s","$defs":{"s":{"type":"string","x-mcp-header":"A"}}}`:                    "not reached",
		`"a":{"type":"object","additionalProperties":{"type":"string","x-mcp-header":"A"}}`:              "not reached",
		`"a":{"type":"object","properties":{"b":{"items":[{"type":"string","x-mcp-header":"A"}]}}}`:      "not reached",
		`"a":{"type":"object","patternProperties":{"b":{"type":"string","x-mcp-header":"A"}}}`:           "not reached",
		`"a":{"type":"object","properties":{"x-mcp-header":{"type":"array","x-mcp-header":"A"}}}`:        "no string",
		`"a":{"type":"object","properties":{"b":{"type":"null","x-mcp-header":"A"}},"x-mcp-header":"B"}`: "no string",
	} {
		err := upstream.Mirrors([]byte(`{"name":"x","inputSchema":{"type":"object","properties":{` + properties + `}}}`))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("Mirrors(%s) = %v, want %q", properties, err, want)
		}
	}
	if err := upstream.Mirrors([]byte(`{"name":"x","inputSchema":{"type":"string","x-mcp-header":"A"}}`)); err == nil {
		t.Error("Mirrors took an annotation of the arguments themselves")
	}
}

// mirrorTool mirrors one parameter of each type, and one that is nested.
const mirrorTool = `{"name":"x","inputSchema":{"type":"object","properties":{"s":{"type":"string","x-mcp-header":"Str"},` +
	`"i":{"type":"integer","x-mcp-header":"int"},"b":{"type":"boolean","x-mcp-header":"Bool"},` +
	`"o":{"type":"object","properties":{"n":{"type":"string","x-mcp-header":"Nested"}}}}}}`

func TestHeadersOfAnAgentAgreeWithItsArguments(t *testing.T) {
	u := one(t, upstream.Config{}, (&web{modern: true, page: mirrorTool}).start(t))
	c, err := u.Tools(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	x := c.Tool("x")
	for _, test := range []struct {
		args   string
		header map[string][]string
		want   string
	}{
		{``, nil, ""},
		{`{}`, http.Header{"Mcp-Param-Other": {"1", "2"}}, ""},
		{`{"s":"a","i":42,"b":true,"o":{"n":"é"}}`, http.Header{"Mcp-Param-Str": {" a\t"}, "Mcp-Param-Int": {"42.0"}, "Mcp-Param-Bool": {"true"}, "Mcp-Param-Nested": {"=?base64?w6k=?="}}, ""},
		{`{"i":4.2e1}`, http.Header{"Mcp-Param-Int": {"42"}}, ""},
		{`{"i":-0}`, http.Header{"Mcp-Param-Int": {"0"}}, ""},
		{`{"s":""}`, http.Header{"Mcp-Param-Str": {""}}, ""},
		{`{"s":"true"}`, http.Header{"Mcp-Param-Str": {"true"}}, ""},
		{`{"s":"=?base64?YQ=="}`, http.Header{"Mcp-Param-Str": {"=?base64?YQ=="}}, ""},
		{`{"s":null,"o":{"n":null}}`, nil, ""},
		{`{"o":7}`, nil, ""},
		{`{"s":"a"}`, nil, "missing"},
		{`{"s":null}`, http.Header{"Mcp-Param-Str": {"a"}}, "no value"},
		{`{}`, http.Header{"Mcp-Param-Str": {""}}, "no value"},
		{`{"s":"a"}`, http.Header{"Mcp-Param-Str": {"A"}}, "agree"},
		{`{"s":"1"}`, http.Header{"Mcp-Param-Str": {"1.0"}}, "agree"},
		{`{"s":"a"}`, http.Header{"Mcp-Param-Str": {"a", "a"}}, "twice"},
		{`{"s":"a","s":"b"}`, http.Header{"Mcp-Param-Str": {"b"}}, "twice"},
		{`{"s":"b","\u0073":"a"}`, http.Header{"Mcp-Param-Str": {"a"}}, "twice"},
		{`{"s":"Hello"}`, http.Header{"Mcp-Param-Str": {"=?base64?SGVsbG8?="}}, "base64"},
		{`{"s":{}}`, http.Header{"Mcp-Param-Str": {"{}"}}, "agree"},
		{`{"i":42}`, http.Header{"Mcp-Param-Int": {"0x2a"}}, "agree"},
		{`{"i":42}`, http.Header{"Mcp-Param-Int": {"43"}}, "agree"},
		{`{"i":1.5}`, http.Header{"Mcp-Param-Int": {"1.5"}}, "agree"},
		{`{"i":9007199254740993}`, http.Header{"Mcp-Param-Int": {"9007199254740993"}}, "agree"},
		{`{"i":1e999}`, http.Header{"Mcp-Param-Int": {"1e999"}}, "agree"},
		{`{"b":true}`, http.Header{"Mcp-Param-Bool": {"True"}}, "agree"},
		{`{"o":{"n":"a"}}`, http.Header{"Mcp-Param-Nested": {"b"}}, "agree"},
	} {
		err := x.CheckHeaders(test.header, []byte(test.args))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("CheckHeaders(%v, %s) = %v, want %q", test.header, test.args, err, test.want)
		}
	}
}

func TestMirroredParametersAreSentAsHeaders(t *testing.T) {
	w := &web{modern: true, page: mirrorTool}
	u := one(t, upstream.Config{}, w.start(t))
	if _, err := u.Tools(soon(t)); err != nil {
		t.Fatal(err)
	}
	mustCall(t, u, &mcp.Call{
		Method: "tools/call", Name: "x", Params: []byte(`{"name":"x","arguments":{"s":" é","i":42.0,"b":null,"o":{"n":"="}}}`),
		Header: map[string][]string{"Mcp-Param-Strange": {"as it came"}, "Mcp-Param-Int": {"7"}},
	})
	h := w.requests("tools/call")[0].header
	for name, want := range map[string]string{
		"Mcp-Param-Str": "=?base64?IMOp?=", "Mcp-Param-Int": "42", "Mcp-Param-Nested": "=", "Mcp-Param-Strange": "as it came",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
	if got, ok := h["Mcp-Param-Bool"]; ok {
		t.Errorf("header Mcp-Param-Bool = %q, want none for null", got)
	}
}

func TestToolsThatMirrorWronglyAreLeftOutWithALine(t *testing.T) {
	const page = `{"name":"good","inputSchema":{}},{"name":"bad","inputSchema":{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}}`
	for isModern, want := range map[bool]int{true: 1, false: 0} { // the older era has no such headers
		var log bytes.Buffer
		conf := upstream.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
		u := one(t, conf, (&web{modern: isModern, page: page}).start(t))
		c, err := u.Tools(soon(t))
		if err != nil || c.Tool("good") == nil || (c.Tool("bad") == nil) != isModern {
			t.Errorf("modern %v: Tools = %v, %v", isModern, c, err)
		}
		if n := strings.Count(log.String(), `tool=bad reason="reading x-mcp-header annotations: property \"a\" is no string`); n != want {
			t.Errorf("modern %v: the log names the tool %d times, want %d:\n%s", isModern, n, want, log.String())
		}
	}
}

func TestUnmirroredToolsCostNothing(t *testing.T) {
	u := one(t, upstream.Config{}, (&web{modern: true, page: `{"name":"x","inputSchema":{"type":"object"}}`}).start(t))
	c, err := u.Tools(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	x, header, args := c.Tool("x"), http.Header{"Mcp-Param-A": {"1"}}, []byte(`{"a":1}`)
	if n := testing.AllocsPerRun(100, func() { _ = x.CheckHeaders(header, args) }); n != 0 {
		t.Errorf("CheckHeaders makes %v allocations, want 0", n)
	}
}

func FuzzMirrors(f *testing.F) {
	f.Add(`{"inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}`)
	f.Add(`{"inputSchema":{"allOf":[{"properties":{"a":{"type":["integer"],"x-mcp-header":"A"}}}]}}`)
	f.Fuzz(func(t *testing.T, definition string) {
		if mcp.Check([]byte(definition)) != nil {
			return
		}
		first, again := upstream.Mirrors([]byte(definition)), upstream.Mirrors([]byte(definition))
		if (first == nil) != (again == nil) || first != nil && first.Error() != again.Error() {
			t.Errorf("Mirrors(%s) = %v, then %v", definition, first, again)
		}
	})
}
