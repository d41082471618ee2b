package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cli"
	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
)

// vector is one case that a decision must satisfy.
type vector struct {
	Name         string          `json:"name"`
	Rules        json.RawMessage `json:"rules"`
	AgentID      *string         `json:"agent_id"`
	DefaultAgent *string         `json:"default_agent"`
	Server       string          `json:"server"`
	Tool         *string         `json:"tool"`
	Expect       struct {
		Decision string  `json:"decision"`
		Code     *string `json:"code"`
		Rule     *string `json:"rule"`
	} `json:"expect"`
}

// decided is what explain prints.
type decided struct {
	Decision string  `json:"decision"`
	Code     *string `json:"code"`
	Rule     *string `json:"rule"`
	Agent    *string `json:"agent"`
	Revision int64   `json:"revision"`
}

// outcome is one finished run.
type outcome struct {
	exit           int
	stdout, stderr string
}

// offline runs gwctl on files alone: a control plane that it asked would refuse the connection.
func offline(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	streams := cli.IO{Env: []string{"HOME=" + t.TempDir()}, Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr}
	exit := cli.Run(t.Context(), streams, append([]string{"--control-plane", "127.0.0.1:1"}, args...))
	return outcome{exit: exit, stdout: stdout.String(), stderr: stderr.String()}
}

// write makes a file in a folder and returns its path.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExplainDecidesEveryVectorByRules(t *testing.T) {
	data, err := os.ReadFile("../dataplane/policy/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) != 168 {
		t.Fatalf("reading vectors = %d, %v, want 168", len(vectors), err)
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) { v.check(t) })
	}
}

// check runs explain on the vector's rules, and on the same policies as manifests.
func (v *vector) check(t *testing.T) {
	dir := t.TempDir()
	rules := write(t, dir, "rules.json", string(v.Rules))
	question := []string{"explain", "-o", "json", "--server=" + v.Server}
	if v.AgentID != nil {
		question = append(question, "--agent="+*v.AgentID)
	}
	if v.Tool != nil {
		question = append(question, "--tool="+*v.Tool)
	}
	byRules := append(question, "--rules", rules)
	if v.DefaultAgent != nil {
		byRules = append(byRules, "--default-agent="+*v.DefaultAgent)
	}
	got := offline(t, "", byRules...)
	if v.Expect.Decision == "reject" {
		v.checkRejected(t, got)
		return
	}
	v.checkDecision(t, got)

	defaultAgent := ""
	if v.DefaultAgent != nil {
		defaultAgent = *v.DefaultAgent
	}
	set, err := manifest.LoadRules(rules, defaultAgent)
	if err != nil {
		t.Fatal(err)
	}
	text, err := manifest.Marshal(set.Objects, manifest.YAML)
	if err != nil {
		t.Fatal(err)
	}
	v.checkDecision(t, offline(t, string(text), append(question, "-f", "-")...))
}

func (v *vector) checkDecision(t *testing.T, got outcome) {
	t.Helper()
	var d decided
	if err := json.Unmarshal([]byte(got.stdout), &d); err != nil || got.exit != 0 {
		t.Fatalf("explain = %+v, want a decision", got)
	}
	if d.Decision != v.Expect.Decision || !equal(d.Code, v.Expect.Code) || !equal(d.Rule, v.Expect.Rule) {
		t.Errorf("explain = %s, want %+v", got.stdout, v.Expect)
	}
}

// checkRejected holds that the document was refused, with the field named.
func (v *vector) checkRejected(t *testing.T, got outcome) {
	t.Helper()
	var failure struct {
		Error struct {
			Code    string            `json:"code"`
			Details manifest.Problems `json:"details"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(got.stderr), &failure); err != nil {
		t.Fatalf("explain = %+v, want an error in JSON: %v", got, err)
	}
	e := failure.Error
	if got.exit != 7 || got.stdout != "" || e.Code != "validation" || len(e.Details) != 1 || e.Details[0].Field == "" || e.Details[0].Line == 0 {
		t.Errorf("explain = %+v, want exit 7, and the field with its line", got)
	}
}

// equal compares two strings that may be null.
func equal(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

const explainRules = `{"agents": {"a": {"allow": {"servers": ["db"]}, "deny": {"tools": {"db": ["-x"]}}}}}`

func TestExplainTakesFlagValuesAsTheyStand(t *testing.T) {
	rules := write(t, t.TempDir(), "rules.json", explainRules)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--agent", "a", "--server", "db"}, "allow agents.a.allow.servers[0]"},
		{[]string{"--agent", "a", "--server", "db", "--tool=-x"}, "deny agents.a.deny.tools.db[0]"},
		{[]string{"--agent", "a", "--server", "db", "--tool", "-x"}, "deny agents.a.deny.tools.db[0]"},
		{[]string{"--agent", "a", "--server", "db", "--tool", "x,y"}, "allow agents.a.allow.servers[0]"},
		{[]string{"--agent", "a", "--server", "db", "--tool", ""}, "deny"},
		{[]string{"--agent", "", "--server", "db"}, "deny"},
		{[]string{"--agent", "a", "--server", ""}, "deny"},
	} {
		got := offline(t, "", append([]string{"explain", "-o", "json", "--rules", rules}, c.args...)...)
		var d decided
		if err := json.Unmarshal([]byte(got.stdout), &d); err != nil {
			t.Fatalf("explain %v = %+v, want a decision", c.args, got)
		}
		s := d.Decision
		if d.Rule != nil {
			s += " " + *d.Rule
		}
		if s != c.want {
			t.Errorf("explain %v = %s, want %s", c.args, s, c.want)
		}
	}
}

const explainPolicy = `apiVersion: gatehouse/v1
kind: Policy
metadata: {name: a}
spec:
  allow: {servers: [fs], resources: {fs: ["file:///*"]}}
  deny: {resources: {"f*": ["file:///secret/*"]}, prompts: {fs: [private]}}
`

func TestExplainAnswersForResourcesAndPrompts(t *testing.T) {
	file := write(t, t.TempDir(), "policy.yaml", explainPolicy)
	for _, c := range []struct{ flag, want string }{
		{"--resource=file:///a/b", "allow agents.a.allow.resources.fs[0]"},
		{"--resource=file:///secret/a/b", "deny agents.a.deny.resources.f*[0]"},
		{"--resource=http://x/", "deny"},
		{"--resource=", "deny"},
		{"--prompt=plan", "allow agents.a.allow.servers[0]"},
		{"--prompt=private", "deny agents.a.deny.prompts.fs[0]"},
		{"--prompt=", "deny"},
		{"--tool=private", "allow agents.a.allow.servers[0]"},
	} {
		got := offline(t, "", "explain", "-o", "json", "-f", file, "--agent", "a", "--server", "fs", c.flag)
		var d decided
		if err := json.Unmarshal([]byte(got.stdout), &d); err != nil {
			t.Fatalf("explain %v = %+v, want a decision", c.flag, got)
		}
		s := d.Decision
		if d.Rule != nil {
			s += " " + *d.Rule
		}
		if s != c.want {
			t.Errorf("explain %v = %s, want %s", c.flag, s, c.want)
		}
	}
}

func TestExplainExitCodeTellsDenial(t *testing.T) {
	rules := write(t, t.TempDir(), "rules.json", explainRules)
	ask := func(args ...string) outcome {
		return offline(t, "", append([]string{"explain", "--rules", rules, "--agent", "a"}, args...)...)
	}
	if got := ask("--server", "db", "--exit-code"); got.exit != 0 || !strings.Contains(got.stdout, "agents.a.allow.servers[0]") {
		t.Errorf("explain of an allowed server = %+v, want exit 0 and the rule", got)
	}
	if got := ask("--server", "other", "--exit-code"); got.exit != 2 || got.stderr != "" {
		t.Errorf("explain --exit-code of a denied server = %+v, want exit 2 and nothing on stderr", got)
	}
	if got := ask("--server", "other"); got.exit != 0 || !strings.Contains(got.stdout, "DENIED_BY_POLICY") {
		t.Errorf("explain of a denied server = %+v, want exit 0 and the code", got)
	}
}

func TestExplainRefusesFlagsThatDoNotGoTogether(t *testing.T) {
	rules := write(t, t.TempDir(), "rules.json", explainRules)
	for _, args := range [][]string{
		{"--rules", rules},
		{"--server", "db", "--default-agent", "a"},
		{"--server", "db", "--rules", rules, "--revision", "3"},
		{"--server", "db", "--rules", rules + ".missing"},
		{"--server", "db", "more"},
		{"--server", "db", "--rules", rules, "--tool", "x", "--resource", "y"},
		{"--server", "db", "--rules", rules, "--prompt", "", "--tool", ""},
	} {
		if got := offline(t, "", append([]string{"explain"}, args...)...); got.exit != 1 || got.stdout != "" || got.stderr == "" {
			t.Errorf("explain %v = %+v, want exit 1 and a message", args, got)
		}
	}
}

func TestExplainWithoutFilesAsksTheControlPlane(t *testing.T) {
	if got := offline(t, "", "explain", "--agent", "a", "--server", "db", "--timeout", "2s"); got.exit != 4 {
		t.Errorf("explain with no control plane = %+v, want exit 4", got)
	}
}
