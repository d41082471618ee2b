package gateway_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

const (
	refuses = gatehousev1.QuestionTier_QUESTION_TIER_REFUSE
	replies = gatehousev1.QuestionTier_QUESTION_TIER_ANSWER
	replays = gatehousev1.QuestionTier_QUESTION_TIER_REPLAY
	parks   = gatehousev1.QuestionTier_QUESTION_TIER_PARK
)

// everything is what an agent declares that takes all questions.
const everything = `{"elicitation":{},"roots":{"listChanged":true},"sampling":{}}`

// tiered is one legacy server that asks, as s, and agents a and b that may use all of it.
func tiered(t testing.TB, q *gatehousev1.Questions, change func(*gateway.Config)) (*world, string) {
	t.TempDir() // made before the pool, so that it goes after the servers
	var journal string
	t.Cleanup(func() { checkGone(t, journal) })
	w, pool := overPool(t)
	c := gateway.Config{
		Live: w.live, Auth: w.auth, Records: w.journal,
		Upstream: func(s *table.Server) gateway.Upstream { return pool.Upstream(s) },
	}
	if change != nil {
		change(&c)
	}
	w.Gateway = gateway.New(c)
	t.Cleanup(w.Close)
	w.pool = pool
	var o *gatehousev1.Object
	o, journal = asking(t, "s", q)
	w.serve(o, policy("a", []string{"*"}, nil, nil), policy("b", []string{"*"}, nil, nil))
	return w, journal
}

// serve makes these objects the live table, of a gateway over a pool.
func (w *world) serve(objects ...*gatehousev1.Object) {
	w.t.Helper()
	w.apply(3, objects...)
	w.pool.Prepare(w.live.Load())
}

// checkGone wants no process of a server to be left.
func checkGone(t testing.TB, journal string) {
	t.Helper()
	b, err := os.ReadFile(journal)
	if err != nil {
		return // none was started
	}
	for line := range strings.Lines(string(b)) {
		var pid int
		if n, _ := fmt.Sscanf(line, "process %d", &pid); n == 1 && syscall.Kill(pid, 0) == nil {
			t.Errorf("process %d of a server is left", pid)
		}
	}
}

// modern is a call of a modern agent's that declares capabilities.
func modern(tool, arguments, capabilities string) *gateway.Direct {
	d := request("s", "a", "tools/call", fmt.Sprintf(`{"name":%q,"arguments":%s}`, tool, arguments))
	d.Args = []byte(arguments)
	return asModern(d, capabilities)
}

func asModern(d *gateway.Direct, capabilities string) *gateway.Direct {
	d.Era, d.Client = mcp.Modern, &mcp.Client{Capabilities: []byte(capabilities), Version: mcp.ModernVersion}
	return d
}

// round is what a modern agent gets: a question, a result or an error.
type round struct {
	raw           string
	ResultType    string                     `json:"resultType"`
	InputRequests map[string]json.RawMessage `json:"inputRequests"`
	RequestState  string                     `json:"requestState"`
	Heard         json.RawMessage            `json:"heard"`
}

// rounds performs a request and reads what came.
func (w *world) round(d *gateway.Direct) round {
	w.t.Helper()
	r := round{raw: w.direct(d)}
	if err := json.Unmarshal([]byte(r.raw), &r); err != nil {
		w.t.Fatalf("%s: %v", r.raw, err)
	}
	return r
}

// retry is the request once more, with answers to the questions of a round; each stands for its key.
func retry(d *gateway.Direct, r round, responses map[string]string) *gateway.Direct {
	again := *d
	var parts []string
	for key, answer := range responses {
		parts = append(parts, fmt.Sprintf(`%q:%s`, key, answer))
	}
	state, _ := json.Marshal(r.RequestState)
	again.Params = fmt.Appendf(nil, `%s,"inputResponses":{%s},"requestState":%s}`,
		strings.TrimSuffix(string(d.Params), "}"), strings.Join(parts, ","), state)
	return &again
}

// accept is an answer to an elicitation.
func accept(name string) string {
	return fmt.Sprintf(`{"action":"accept","content":{"name":%q}}`, name)
}

func (r round) mustAsk(t testing.TB, n int) round {
	t.Helper()
	if r.ResultType != "input_required" || len(r.InputRequests) != n || r.RequestState == "" {
		t.Fatalf("result = %s, want %d questions and a state", r.raw, n)
	}
	return r
}

func (r round) mustHear(t testing.TB, want string) {
	t.Helper()
	if r.ResultType != "complete" || string(r.Heard) != want {
		t.Fatalf("result = %s, want it complete, with %s heard", r.raw, want)
	}
}

// questionsFor are those of a tier with nothing else said, where all tools may be called again.
func questionsFor(tier gatehousev1.QuestionTier) *gatehousev1.Questions {
	q := &gatehousev1.Questions{Tier: tier}
	if tier == replays {
		q.IdempotentTools = []string{"*"}
	}
	return q
}

func TestRefusedQuestionFailsTheCall(t *testing.T) {
	w, journal := tiered(t, nil, nil)
	for _, test := range []struct{ tool, capabilities, want string }{
		{"ask", `{}`, `"code":-32021,"message":"server \"s\" asks elicitation/create, and this client did not declare that it takes such requests","data":{"requiredCapabilities":{"elicitation":{}}}`},
		{"ask", everything, `does not reach agents of MCP 2026-07-28: its definition has such questions refused (spec.questions.tier)`},
		{"stubborn", `{"elicitation":{}}`, `"data":{"requiredCapabilities":{"sampling":{}}}`},
		{"stubborn", everything, `"code":"UPSTREAM_ERROR"`},
		{"capabilities", everything, `"heard":[{}]`}, // nothing was declared
	} {
		if got := w.direct(modern(test.tool, `{}`, test.capabilities)); !strings.Contains(got, test.want) {
			t.Errorf("%s with %s = %s, want %s", test.tool, test.capabilities, got, test.want)
		}
	}
	if n := happened(t, journal, `"code":-32601`); n != 4 {
		t.Errorf("the server was refused %d times with -32601, want 4", n)
	}
	prompt := asModern(request("s", "a", "prompts/get", `{"name":"p"}`), everything)
	if got := w.direct(prompt); !strings.Contains(got, `"code":-32602`) || !strings.Contains(got, `"data":{"error":{"code":"UPSTREAM_ERROR"`) {
		t.Errorf("prompts/get = %s, want -32602 with the reason in its data", got)
	}
}

func TestAnswerComesFromTheDefinition(t *testing.T) {
	q := &gatehousev1.Questions{Tier: replies, Roots: []*gatehousev1.Root{{Uri: "file:///srv"}}}
	w, _ := tiered(t, q, nil)
	for _, capabilities := range []string{`{}`, everything} {
		w.round(modern("ask", `{}`, capabilities)).mustHear(t, `[{"action":"decline"}]`)
		w.round(modern("capabilities", `{}`, capabilities)).mustHear(t, `[{"elicitation":{},"roots":{}}]`)
	}
	if got := w.direct(modern("stubborn", `{}`, `{}`)); !strings.Contains(got, "-32021") {
		t.Errorf("a question that is not answered = %s, want -32021", got)
	}
	if r := w.call(gateway.ExecuteTool, `{"agent_id":"a","server":"s","tool":"ask"}`); !strings.Contains(r.raw, `"heard":[{"action":"decline"}]`) {
		t.Errorf("execute_tool = %s, want the same answer", r.raw)
	}
}

// TestBothTiersCarryQuestions has what replaying and parking have in common.
func TestBothTiersCarryQuestions(t *testing.T) {
	for _, tier := range []gatehousev1.QuestionTier{replays, parks} {
		t.Run(tier.String(), func(t *testing.T) {
			w, journal := tiered(t, questionsFor(tier), nil)
			d := modern("twice", `{"n":1.0}`, everything)
			first := w.round(d).mustAsk(t, 1)
			if got, want := string(first.InputRequests["r1"]), `{"method":"elicitation/create","params":{"message":"first","requestedSchema":{"type":"object"}}}`; got != want {
				t.Errorf("question = %s, want %s", got, want)
			}
			second := w.round(retry(d, first, map[string]string{"r1": accept("one"), "zz": `{}`})).mustAsk(t, 1)
			if second.RequestState == first.RequestState || second.InputRequests["r2"] == nil {
				t.Errorf("second round = %s, want another state and key", second.raw)
			}
			last := w.round(retry(d, second, map[string]string{"r2": `{"action":"decline"}`}))
			last.mustHear(t, `[{"action":"accept","content":{"name":"one"}},{"action":"decline"}]`)
			if n, want := happened(t, journal, "call twice"), map[gatehousev1.QuestionTier]int{replays: 3, parks: 1}[tier]; n != want {
				t.Errorf("the tool ran %d times, want %d", n, want)
			}
			checkTogether(t, w)
			checkStates(t, w)
			checkAskedAgain(t, w)
			checkProfile(t, w)
			prompt := asModern(request("s", "a", "prompts/get", `{"name":"p"}`), everything)
			asks := w.round(prompt).mustAsk(t, 1)
			w.round(retry(prompt, asks, map[string]string{"r1": `{"action":"cancel"}`})).mustHear(t, `{"action":"cancel"}`)
		})
	}
}

// TestQuestionsGetTheKeysOfTheDefinition also has questions at the same time that would all get the same key.
func TestQuestionsGetTheKeysOfTheDefinition(t *testing.T) {
	for _, tier := range []gatehousev1.QuestionTier{replays, parks} {
		t.Run(tier.String(), func(t *testing.T) {
			q := questionsFor(tier)
			q.Keys = []*gatehousev1.QuestionKey{{Key: "one", Message: "fir*"}, {Key: "any", Message: "*"}}
			w, _ := tiered(t, q, nil)
			d := modern("twice", `{}`, everything)
			first := w.round(d).mustAsk(t, 1)
			second := w.round(retry(d, first, map[string]string{"one": accept("one"), "r1": `{}`})).mustAsk(t, 1)
			last := w.round(retry(d, second, map[string]string{"any": `{"action":"decline"}`}))
			last.mustHear(t, `[{"action":"accept","content":{"name":"one"}},{"action":"decline"}]`)
			checkTogether(t, w)
		})
	}
}

// checkTogether has three questions at the same time go to the agent together, as far as the server was quick to ask them.
func checkTogether(t *testing.T, w *world) {
	t.Helper()
	d := modern("all", `{}`, everything)
	r := w.round(d)
	for n := 0; r.ResultType == "input_required" && n < 3; n++ {
		responses := map[string]string{}
		for key, question := range r.InputRequests {
			for method, answer := range map[string]string{
				"elicitation/create": accept("x"), "roots/list": `{"roots":[]}`,
				"sampling/createMessage": `{"role":"assistant","content":{"type":"text","text":"t"},"model":"m"}`,
			} {
				if strings.Contains(string(question), method) {
					responses[key] = answer
				}
			}
		}
		r = w.round(retry(d, r, responses))
	}
	r.mustHear(t, `[`+accept("x")+`,{"roots":[]},{"role":"assistant","content":{"type":"text","text":"t"},"model":"m"}]`)
}

// checkStates has a state open for its own call of its own caller alone.
func checkStates(t *testing.T, w *world) {
	t.Helper()
	d := modern("ask", `{"of":"me"}`, everything)
	r := w.round(d).mustAsk(t, 1)
	yes := map[string]string{"r1": accept("x")}
	for what, change := range map[string]func(*gateway.Direct){
		"another agent":     func(d *gateway.Direct) { d.Agent = "b" },
		"another principal": func(d *gateway.Direct) { d.Principal = table.Everyone("other") },
		"other arguments":   func(d *gateway.Direct) { d.Args = []byte(`{"of":"you"}`) },
		"another tool":      func(d *gateway.Direct) { d.Subject = "twice" },
		"a changed state": func(d *gateway.Direct) {
			d.Params = []byte(strings.Replace(string(d.Params), `"requestState":"`, `"requestState":"A`, 1))
		},
		"a state of no string": func(d *gateway.Direct) { d.Params = []byte(`{"name":"ask","arguments":{"of":"me"},"requestState":7}`) },
	} {
		wrong := retry(d, r, yes)
		change(wrong)
		if got := w.direct(wrong); !strings.Contains(got, `"code":-32602`) || !strings.Contains(got, `"code":"INVALID_ARGUMENT"`) {
			t.Errorf("%s = %s, want -32602 and INVALID_ARGUMENT", what, got)
		}
	}
	w.round(retry(d, r, yes)).mustHear(t, `[`+accept("x")+`]`)
}

// checkAskedAgain has an answer that is missing or wrong be asked for again.
func checkAskedAgain(t *testing.T, w *world) {
	t.Helper()
	d := modern("ask", `{"of":"them"}`, everything)
	r := w.round(d).mustAsk(t, 1)
	for _, wrong := range []map[string]string{{}, {"wrong": accept("x")}, {"r1": `12345`}, {"r1": `{"action":"perhaps"}`}, {"r1": `{"action":"accept","content":1}`}} {
		r = w.round(retry(d, r, wrong)).mustAsk(t, 1)
	}
	w.round(retry(d, r, map[string]string{"r1": accept("x")})).mustHear(t, `[`+accept("x")+`]`)
	r = w.round(d).mustAsk(t, 1)
	broken := retry(d, r, nil)
	broken.Params = []byte(strings.Replace(string(broken.Params), `"inputResponses":{}`, `"inputResponses":[]`, 1))
	if got := w.direct(broken); !strings.Contains(got, `"code":-32602`) {
		t.Errorf("inputResponses of a list = %s, want -32602", got)
	}
}

// checkProfile has a server see what the agent declared, of what can be relayed.
func checkProfile(t *testing.T, w *world) {
	t.Helper()
	for declared, want := range map[string]string{
		everything: `[{"elicitation":{},"roots":{},"sampling":{}}]`,
		`{"sampling":{"tools":{},"x":1},"experimental":{}}`: `[{"sampling":{"tools":{}}}]`,
		`{"elicitation":{"url":{},"form":{}}}`:              `[{"elicitation":{"form":{},"url":{}}}]`,
		`{"tasks":{}}`:                                      `[{}]`,
	} {
		w.round(modern("capabilities", `{}`, declared)).mustHear(t, want)
	}
	if got := w.direct(asModern(request("s", "a", "tools/list", ""), `{"roots":{}}`)); !strings.Contains(got, `"name":"roots"`) || strings.Contains(got, `"name":"sampling"`) {
		t.Errorf("tools/list = %s, want what the server shows to a client with roots", got)
	}
	if got := w.direct(modern("stubborn", `{}`, `{"elicitation":{}}`)); !strings.Contains(got, `"requiredCapabilities":{"sampling":{}}`) {
		t.Errorf("a question that the agent does not take = %s, want -32021", got)
	}
}

func TestReplayIsForToolsThatMayRunAgain(t *testing.T) {
	w, journal := tiered(t, &gatehousev1.Questions{Tier: replays, IdempotentTools: []string{"moo*", "fick*", "endless"}}, nil)
	if got := w.direct(modern("ask", `{}`, everything)); !strings.Contains(got, "spec.questions.idempotentTools") {
		t.Errorf("a tool that is not listed = %s, want a refusal", got)
	}
	if n := happened(t, journal, "call ask"); n != 1 {
		t.Errorf("the tool ran %d times, want 1", n)
	}
	for _, tool := range []string{"moody", "fickle"} {
		d := modern(tool, `{}`, everything)
		r := w.round(d).mustAsk(t, 1)
		if got := w.direct(retry(d, r, map[string]string{"r1": accept("x")})); !strings.Contains(got, "did not ask again what it had asked before") {
			t.Errorf("%s = %s, want it to fail", tool, got)
		}
	}
	d := modern("endless", `{}`, everything)
	r := w.round(d)
	for n := 1; r.ResultType == "input_required"; n++ {
		if n > 10 {
			t.Fatalf("round %d = %s, want an end", n, r.raw)
		}
		r = w.round(retry(d, r, map[string]string{fmt.Sprint("r", n): accept("x")}))
	}
	if !strings.Contains(r.raw, "asked more than 10 times") {
		t.Errorf("an endless call ended with %s", r.raw)
	}
}

func TestServerThatSendsItsUserAwayFirst(t *testing.T) {
	for _, tier := range []gatehousev1.QuestionTier{refuses, replays, parks} {
		t.Run(tier.String(), func(t *testing.T) {
			w, journal := tiered(t, questionsFor(tier), nil)
			d := modern("visit", `{}`, `{"elicitation":{"url":{}}}`)
			r := w.round(d).mustAsk(t, 1)
			if got, want := string(r.InputRequests["r1"]), `{"method":"elicitation/create","params":{"mode":"url","url":"https://example.com/","message":"sign in"}}`; got != want {
				t.Errorf("question = %s, want %s", got, want)
			}
			if got := w.direct(retry(d, r, map[string]string{"r1": `{"action":"decline"}`})); !strings.Contains(got, "the user did not go") {
				t.Errorf("declined = %s, want a refusal", got)
			}
			w.round(retry(d, r, map[string]string{"r1": `{"action":"accept"}`})).mustHear(t, `[]`)
			if n := happened(t, journal, "call visit"); n != 2 {
				t.Errorf("the tool was called %d times, want 2", n)
			}
		})
	}
	w, _ := tiered(t, nil, nil)
	if got := w.direct(modern("visit", `{}`, `{"elicitation":{}}`)); !strings.Contains(got, `"requiredCapabilities":{"elicitation":{"url":{}}}`) {
		t.Errorf("an agent that knows no URLs = %s, want -32021", got)
	}
}

// later polls until a condition holds.
func later(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("still not true: %s", what)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}
