package table_test

import (
	"strings"
	"testing"
	"time"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

const (
	refuse = gatehousev1.QuestionTier_QUESTION_TIER_REFUSE
	answer = gatehousev1.QuestionTier_QUESTION_TIER_ANSWER
	replay = gatehousev1.QuestionTier_QUESTION_TIER_REPLAY
	park   = gatehousev1.QuestionTier_QUESTION_TIER_PARK
)

// asking is a server with questions.
func asking(q *gatehousev1.Questions) *gatehousev1.Object {
	s := stdio("true")
	s.Questions = q
	return server("s", s)
}

func TestServersGetTheirQuestions(t *testing.T) {
	for _, tt := range []struct {
		questions *gatehousev1.Questions
		tier      gatehousev1.QuestionTier
		park      time.Duration
		again     string // of the tools get_a, get_b and set, those that may be called again
	}{
		{nil, refuse, 5 * time.Minute, ""},
		{&gatehousev1.Questions{}, refuse, 5 * time.Minute, ""},
		{&gatehousev1.Questions{Tier: park, ParkTimeout: "90s"}, park, 90 * time.Second, ""},
		{&gatehousev1.Questions{Tier: replay, IdempotentTools: []string{"get_*"}}, replay, 5 * time.Minute, "get_a get_b"},
		{&gatehousev1.Questions{Tier: replay, IdempotentTools: []string{"set", "get_a"}}, replay, 5 * time.Minute, "get_a set"},
	} {
		got, err := one(asking(tt.questions))
		if err != nil {
			t.Fatal(err)
		}
		var again []string
		q := &got.Server("s").Questions
		for _, tool := range []string{"get_a", "get_b", "set"} {
			if q.MayRepeat(tool) {
				again = append(again, tool)
			}
		}
		if q.Tier != tt.tier || q.ParkTimeout != tt.park || strings.Join(again, " ") != tt.again {
			t.Errorf("questions of %v = %v, %v, %v, want %v, %v, %s", tt.questions, q.Tier, q.ParkTimeout, again, tt.tier, tt.park, tt.again)
		}
	}
}

func TestQuestionsHaveKeys(t *testing.T) {
	got, err := one(asking(&gatehousev1.Questions{Tier: park, Keys: []*gatehousev1.QuestionKey{
		{Key: "user_name", Message: "*your name?"}, {Key: "where", Method: "roots/list"}, {Key: "else", Method: "elicitation/create"},
	}}))
	if err != nil {
		t.Fatal(err)
	}
	q := &got.Server("s").Questions
	for question, want := range map[[2]string]string{
		{"elicitation/create", "What is your name?"}: "user_name",
		{"elicitation/create", "How old are you?"}:   "else",
		{"roots/list", ""}:                           "where",
		{"sampling/createMessage", ""}:               "",
	} {
		if got := q.Key(question[0], question[1]); got != want {
			t.Errorf("Key(%q) = %q, want %q", question, got, want)
		}
	}
}

func TestBuildRefusesQuestionsItCannotRead(t *testing.T) {
	for field, q := range map[string]*gatehousev1.Questions{
		"spec.questions.tier":            {Tier: 77},
		"spec.questions.parkTimeout":     {Tier: park, ParkTimeout: "soon"},
		"spec.questions.roots[0].uri":    {Tier: answer, Roots: []*gatehousev1.Root{{Uri: "/tmp"}}},
		"spec.questions.idempotentTools": {Tier: park, IdempotentTools: []string{"x"}},
		"spec.questions.keys":            {Tier: answer, Keys: []*gatehousev1.QuestionKey{{Key: "a", Message: "b"}}},
		"spec.questions.keys[0].key":     {Tier: park, Keys: []*gatehousev1.QuestionKey{{Message: "b"}}},
		"spec.questions.keys[1].key":     {Tier: park, Keys: []*gatehousev1.QuestionKey{{Key: "rx", Message: "b"}, {Key: "r12", Message: "b"}}},
		"spec.questions.keys[0].method":  {Tier: park, Keys: []*gatehousev1.QuestionKey{{Key: "a", Method: "ping"}}},
		"spec.questions.keys[0].message": {Tier: replay, Keys: []*gatehousev1.QuestionKey{{Key: "a"}}},
	} {
		if _, err := one(asking(q)); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Compile(%v) = %v, want an error that names %s", q, err, field)
		}
	}
}

// TestKeyChangesWithWhatIsAnswered has a connection end only where it was opened with other capabilities.
func TestKeyChangesWithWhatIsAnswered(t *testing.T) {
	key := func(q *gatehousev1.Questions) string {
		got, err := one(asking(q))
		if err != nil {
			t.Fatal(err)
		}
		return got.Server("s").Key
	}
	none := key(nil)
	for _, q := range []*gatehousev1.Questions{{Tier: refuse}, {Tier: park}, {Tier: park, ParkTimeout: "1s"}, {Tier: replay}} {
		if key(q) != none {
			t.Errorf("the key of %v differs from that of none", q)
		}
	}
	roots := key(&gatehousev1.Questions{Tier: answer, Roots: []*gatehousev1.Root{{Uri: "file:///a"}}})
	if answers := key(&gatehousev1.Questions{Tier: answer}); answers == none || answers == roots || roots == none {
		t.Error("the key does not tell what is answered")
	}
}
