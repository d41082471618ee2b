package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// witness is an agent that is told what was refused in its name.
type witness struct {
	agent
	refused []string
}

func (w *witness) Refused(method string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = append(w.refused, method)
}

func TestGatewayAnswersFromTheDefinition(t *testing.T) {
	definition := func(q *gatehousev1.Questions) *gatehousev1.Server {
		s := child("legacy")
		q.Tier = gatehousev1.QuestionTier_QUESTION_TIER_ANSWER
		s.Questions = q
		return s
	}
	roots := []*gatehousev1.Root{{Uri: "file:///srv", Name: `a "name"`}, {Uri: "file:///tmp"}}
	for _, tt := range []struct {
		questions *gatehousev1.Questions
		declared  string
		want      []string
	}{
		{
			&gatehousev1.Questions{Roots: roots}, `\"capabilities\":{\"elicitation\":{},\"roots\":{}}`,
			[]string{`{\"action\":\"decline\"}`, `{\"roots\":[{\"uri\":\"file:///srv\",\"name\":\"a \\\"name\\\"\"},{\"uri\":\"file:///tmp\"}]}`, `-32601`},
		},
		{&gatehousev1.Questions{Elicitation: "cancel"}, `\"capabilities\":{\"elicitation\":{}}`, []string{`{\"action\":\"cancel\"}`, `-32601`, `-32601`}},
	} {
		u := one(t, upstream.Config{}, definition(tt.questions))
		if got := mustCall(t, u, tool("greeting")); !strings.Contains(got, tt.declared) {
			t.Errorf("initialize had %s, want %s in it", got, tt.declared)
		}
		c, w := tool("poll"), new(witness)
		c.Stream = w
		answers := strings.Split(mustCall(t, u, c), `","`)
		for i, want := range tt.want {
			if !strings.Contains(answers[i], want) {
				t.Errorf("answer %d = %s, want %s in it", i, answers[i], want)
			}
		}
		if got := strings.Count(strings.Join(tt.want, ""), "-32601"); len(w.refused) != got {
			t.Errorf("the call was told that %v were refused, want %d of them", w.refused, got)
		}
		// A session of an agent's own is asked for by what the agent declared, and the agent answers.
		a := &agent{answer: func(context.Context, string, string) (*mcp.Reply, error) {
			return &mcp.Reply{Result: []byte(`{"mine":1}`)}, nil
		}}
		own := tool("poll")
		own.Stream, own.Client, own.Session = a, willing(), "s1"
		if got := mustCall(t, u, own); strings.Count(got, `{\"mine\":1}`) != 3 {
			t.Errorf("an agent's own session got %s, want the agent's answers", got)
		}
	}
}

func TestCallLearnsWhatItsServerWasRefused(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	c, w := tool("poll"), new(witness)
	c.Stream = w
	mustCall(t, u, c)
	if want := []string{"elicitation/create", "roots/list", "sampling/createMessage"}; !slices.Equal(w.refused, want) {
		t.Errorf("refused = %v, want %v", w.refused, want)
	}
}

// lent is a call with a profile, by an agent.
func lent(name, agent, capabilities string) *mcp.Call {
	c := tool(name)
	c.Agent, c.Profile, c.Alone = agent, []byte(capabilities), true
	return c
}

func TestSessionsAreLentByAgentAndProfile(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	const elicitation, sampling = `{"elicitation":{}}`, `{"sampling":{}}`
	pid := func(agent, capabilities string) string { return mustCall(t, u, lent("pid", agent, capabilities)) }
	a := pid("a", elicitation)
	if again := pid("a", elicitation); again != a {
		t.Errorf("two calls one after the other reached processes %s and %s, want one", a, again)
	}
	if b, other := pid("b", elicitation), pid("a", sampling); b == a || other == a || b == other {
		t.Errorf("another agent and another profile reached processes %s and %s, want neither %s nor one", b, other, a)
	}
	if got := mustCall(t, u, lent("greeting", "a", sampling)); !strings.Contains(got, `\"capabilities\":{\"sampling\":{}}`) {
		t.Errorf("initialize had %s, want the profile", got)
	}
}

func TestCallsAtTheSameTimeAreLentASessionEach(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	const n = 5
	var (
		calls  sync.WaitGroup
		asking sync.WaitGroup
		mu     sync.Mutex
		pids   = map[string]bool{}
	)
	asking.Add(n)
	for i := range n {
		calls.Go(func() {
			mine := fmt.Sprintf(`{"of":%d}`, i)
			c := lent("ask", "a", `{"sampling":{}}`)
			c.Stream = &agent{answer: func(context.Context, string, string) (*mcp.Reply, error) {
				asking.Done()
				asking.Wait() // until all are asked
				return &mcp.Reply{Result: []byte(mine)}, nil
			}}
			if got, want := mustCall(t, u, c), fmt.Sprintf(`{\"of\":%d}`, i); !strings.Contains(got, want) {
				t.Errorf("call %d got %s, want its own answer", i, got)
			}
			pid := mustCall(t, u, lent("pid", fmt.Sprint("x", i), `{"sampling":{}}`))
			mu.Lock()
			defer mu.Unlock()
			pids[pid] = true
		})
	}
	calls.Wait()
	if len(pids) != n {
		t.Errorf("%d agents had %d processes, want one each", n, len(pids))
	}
}

func TestSessionOfACallThatWasGivenUpIsNotLentAgain(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	before := mustCall(t, u, lent("pid", "a", `{"sampling":{}}`))
	ctx, cancel := context.WithCancel(soon(t))
	c := lent("ask", "a", `{"sampling":{}}`)
	c.Stream = &agent{answer: func(ctx context.Context, _, _ string) (*mcp.Reply, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	if _, err := u.Call(ctx, c); !errors.Is(err, context.Canceled) {
		t.Fatalf("Call = %v, want context canceled", err)
	}
	if after := mustCall(t, u, lent("pid", "a", `{"sampling":{}}`)); after == before {
		t.Errorf("the next call reached process %s again", after)
	}
}

func TestModeWithoutKeptSessionsLendsNewOnes(t *testing.T) {
	s := child("legacy")
	s.Session = gatehousev1.SessionMode_SESSION_MODE_CALL
	u := one(t, upstream.Config{}, s)
	one, two := mustCall(t, u, lent("pid", "a", `{}`)), mustCall(t, u, lent("pid", "a", `{}`))
	if one == two {
		t.Errorf("both calls reached process %s", one)
	}
}
