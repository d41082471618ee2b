package manifest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

const marshalled = `apiVersion: gatehouse/v1
kind: Server
metadata:
  name: everything
  labels:
    team: platform
spec:
  description: Reference server with a bit of everything
  stdio:
    command: npx
    args:
      - "-y"
      - everything@1
    env:
      KEY: ${KEY}
    cwd: /srv
  session: shared
  callTimeout: "60s"
  maxCallTimeout: "10m"
---
apiVersion: gatehouse/v1
kind: Policy
metadata:
  name: backend
spec:
  allow:
    servers:
      - postgres
      - internal-*
    tools:
      postgres:
        - query
        - list_*
  deny:
    tools:
      postgres:
        - drop_*
---
apiVersion: gatehouse/v1
kind: Settings
metadata:
  name: default
spec:
  denyOnMissingAgent: true
---
apiVersion: gatehouse/v1
kind: Credential
metadata:
  name: laptop
spec:
  apiKey:
    sha256: "9f86"
  agents:
    - researcher
    - admin
  expires: "2027-02-20T00:00:00Z"
---
apiVersion: gatehouse/v1
kind: Server
metadata:
  name: web
spec:
  http:
    url: https://example.com/mcp
    headers:
      Authorization: Bearer ${API_TOKEN}
    transport: streamable-http
`

func TestMarshalKeepsEveryKindOfRule(t *testing.T) {
	const written = `apiVersion: gatehouse/v1
kind: Policy
metadata:
  name: a
spec:
  allow:
    servers:
      - fs
    resources:
      files-*:
        - file:///srv/*
        - file:///{path}
      fs: []
  deny:
    prompts:
      fs:
        - private/*
`
	objects := load(t, written).Objects
	checkObjects(t, objects, `[{"name":"a","policy":{
		"allow":{"servers":["fs"],"resources":[{"server":"files-*","tools":["file:///srv/*","file:///{path}"]},{"server":"fs"}]},
		"deny":{"prompts":[{"server":"fs","tools":["private/*"]}]}}}]`)
	for _, format := range []string{manifest.YAML, manifest.JSON} {
		text, err := manifest.Marshal(objects, format)
		if err != nil {
			t.Fatal(err)
		}
		if format == manifest.YAML && string(text) != written {
			t.Errorf("Marshal =\n%s\nwant\n%s", text, written)
		}
		if again := load(t, string(text)).Objects; len(again) != 1 || !proto.Equal(again[0], objects[0]) {
			t.Errorf("Load of what Marshal wrote as %s = %v, want %v", format, again, objects)
		}
	}
}

func TestMarshalWritesWhatLoadReads(t *testing.T) {
	set := load(t, contract)
	for _, format := range []string{manifest.YAML, manifest.JSON} {
		text, err := manifest.Marshal(set.Objects, format)
		if err != nil {
			t.Fatal(err)
		}
		if format == manifest.YAML && string(text) != marshalled {
			t.Errorf("Marshal =\n%s\nwant\n%s", text, marshalled)
		}
		checkObjects(t, load(t, string(text)).Objects, contractObjects)
	}
}

// load reads a manifest from memory.
func load(t *testing.T, text string) *manifest.Set {
	t.Helper()
	set, err := manifest.Load([]string{"-"}, strings.NewReader(text))
	if err != nil {
		t.Fatalf("Load(%s) = %v, want no error", text, err)
	}
	return set
}

func TestDocumentLeavesOutWhatIsEmptyButNotRules(t *testing.T) {
	for in, want := range map[string]string{
		`{"kind": "Policy", "spec": {"allow": {"servers": [], "tools": {"s": []}}, "deny": {}}}`:                                                                     `{"allow":{"tools":{"s":[]}},"deny":{}}`,
		`{"kind": "Settings", "spec": {"denyOnMissingAgent": false, "defaultAgent": ""}}`:                                                                            `{"denyOnMissingAgent":false}`,
		`{"kind": "Settings", "spec": {}}`:                                                                                                                           `{}`,
		`{"kind": "Server", "spec": {"stdio": {"command": "a<b&c", "args": []}}}`:                                                                                    `{"stdio":{"command":"a<b&c"}}`,
		`{"kind": "Server", "spec": {"questions": {}}}`:                                                                                                              `{"questions":{}}`,
		`{"kind": "Server", "spec": {"questions": {"parkTimeout": "90s", "tier": "park"}}}`:                                                                          `{"questions":{"tier":"park","parkTimeout":"90s"}}`,
		`{"kind": "Server", "spec": {"questions": {"tier": "park", "keys": [{"message": "m*", "key": "a"}, {"key": "b", "method": "roots/list"}]}}}`:                 `{"questions":{"tier":"park","keys":[{"key":"a","message":"m*"},{"key":"b","method":"roots/list"}]}}`,
		`{"kind": "Server", "spec": {"questions": {"tier": "replay", "idempotentTools": ["get_*", "x"]}}}`:                                                           `{"questions":{"tier":"replay","idempotentTools":["get_*","x"]}}`,
		`{"kind": "Server", "spec": {"questions": {"tier": "answer", "elicitation": "cancel", "roots": [{"name": "n", "uri": "file:///a"}, {"uri": "file:///b"}]}}}`: `{"questions":{"tier":"answer","roots":[{"uri":"file:///a","name":"n"},{"uri":"file:///b"}],"elicitation":"cancel"}}`,
		`{"kind": "Server", "spec": {"disabled": true, "session": "call"}}`:                                                                                          `{"session":"call","disabled":true}`,
	} {
		set := load(t, strings.Replace(in, "{", `{"apiVersion": "gatehouse/v1", "metadata": {"name": "default"}, `, 1))
		doc, err := manifest.NewDocument(set.Objects[0])
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		enc := json.NewEncoder(&got)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(doc.Spec); err != nil || strings.TrimSpace(got.String()) != want {
			t.Errorf("spec of %s = %s, %v, want %s", in, got.String(), err, want)
		}
	}
}

func TestMarshalRefusesWhatItCannotWrite(t *testing.T) {
	if _, err := manifest.Marshal([]*gatehousev1.Object{{Name: "x"}}, manifest.JSON); err == nil {
		t.Error("Marshal of an object without a spec = nil, want an error")
	}
	if _, err := manifest.Marshal(load(t, contract).Objects, "toml"); err == nil {
		t.Error(`Marshal(toml) = nil, want an error`)
	}
}

func TestEncodeYAMLWritesEveryForm(t *testing.T) {
	in := `{"b": [], "a": {}, "list": [[1, 2.50, []], {"k": null, "l": [true]}, "x"], "yes": "no", "nested": {"empty": ""}}`
	want := `b: []
a: {}
list:
  - - 1
    - 2.50
    - []
  - k: null
    l:
      - true
  - x
"yes": "no"
nested:
  empty: ""
`
	got, err := manifest.EncodeYAML(json.RawMessage(in))
	if err != nil || string(got) != want {
		t.Errorf("EncodeYAML(%s) =\n%s%v, want\n%s", in, got, err, want)
	}
	if got, err := manifest.EncodeYAML("x: y"); err != nil || string(got) != "\"x: y\"\n" {
		t.Errorf("EncodeYAML(x: y) = %s, %v, want it in quotes", got, err)
	}
}

// FuzzMarshal holds that any text comes back from a manifest as it was, wherever it stands.
func FuzzMarshal(f *testing.F) {
	for _, s := range []string{
		"", "a", "1e3", "0x1F", "~", "null", "2001-01-01", "a\nb", "a\n", "\n a", " x", "x ", "a: b", "a #b", "\t", "\u2028",
		"\u0085", "\x01", "😀", "- a", "'", `"`, `\`, "*a", "&b", "!x", "%", "@", "`", "|", ">", "{a", "[a", "yes", "on", ".5",
		"12:30:45", "---", "...", "a\n---\nb", "${X:-a: b}", "a\tb", "\x7f", "\u00a0", "\ufffd", ".inf", "<<", "=", "\ufeff", "\r",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			t.Skip("protobuf strings are UTF-8")
		}
		stdio := &gatehousev1.Stdio{Command: value, Args: []string{value, key, value}, Env: map[string]string{key: value}}
		server := &gatehousev1.Server{Description: value, Transport: &gatehousev1.Server_Stdio{Stdio: stdio}}
		object := &gatehousev1.Object{
			Name: value, Labels: map[string]string{key: value}, Spec: &gatehousev1.Object_Server{Server: server},
		}
		for _, format := range []string{manifest.YAML, manifest.JSON} {
			text, err := manifest.Marshal([]*gatehousev1.Object{object}, format)
			if err != nil {
				t.Fatal(err)
			}
			if set := load(t, string(text)); len(set.Objects) != 1 || !proto.Equal(set.Objects[0], object) {
				t.Errorf("Load(Marshal(%v)) = %v\n%s", object, set.Objects, text)
			}
		}
	})
}

func TestEncodeYAMLBoundsDepth(t *testing.T) {
	nested := func(n int) json.RawMessage {
		return json.RawMessage(strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n))
	}
	if _, err := manifest.EncodeYAML(nested(900)); err != nil {
		t.Errorf("EncodeYAML of 900 levels = %v, want no error", err)
	}
	if _, err := manifest.EncodeYAML(nested(1100)); err == nil || !strings.Contains(err.Error(), "nested deeper than 1000") {
		t.Errorf("EncodeYAML of 1100 levels = %v, want an error that says so", err)
	}
}
