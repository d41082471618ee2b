package table

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// defaultParkTimeout is how long a parked call waits for its agent where the definition says nothing.
const defaultParkTimeout = 5 * time.Minute

// Questions say what becomes of what a legacy server asks in the middle of a modern agent's call. The zero value refuses.
type Questions struct {
	// Tier is one of the four, never unspecified after Build.
	Tier gatehousev1.QuestionTier
	// ParkTimeout is how long a parked call waits for its agent.
	ParkTimeout time.Duration

	again []*policy.Pattern // the tools that may be called again
	keys  []questionKey
}

// questionKey names the questions of a method, where it is not empty, whose message fits, where there is a pattern.
type questionKey struct {
	key, method string
	message     *policy.Pattern
}

// Key is the key that the definition gives to a question of a method with a message; empty where it gives none.
func (q *Questions) Key(method, message string) string {
	for _, k := range q.keys {
		if (k.method == "" || k.method == method) && (k.message == nil || k.message.Match(message)) {
			return k.key
		}
	}
	return ""
}

// MayRepeat says whether the tier replay may call a tool of that name more than once.
func (q *Questions) MayRepeat(tool string) bool {
	return slices.ContainsFunc(q.again, func(p *policy.Pattern) bool { return p.Match(tool) })
}

// readQuestions sets what becomes of questions.
func (s *Server) readQuestions() error {
	q := s.Spec.GetQuestions()
	if wrong := CheckQuestions(q); len(wrong) > 0 {
		return s.refuse(wrong[0].Field, wrong[0].Message)
	}
	s.Questions = Questions{Tier: tierOf(q), ParkTimeout: defaultParkTimeout}
	if text := q.GetParkTimeout(); text != "" {
		var err error
		if s.Questions.ParkTimeout, err = s.timeout("spec.questions.parkTimeout", text, 0); err != nil {
			return err
		}
	}
	for _, pattern := range q.GetIdempotentTools() {
		s.Questions.again = append(s.Questions.again, policy.NewPattern(pattern))
	}
	for _, k := range q.GetKeys() {
		named := questionKey{key: k.GetKey(), method: k.GetMethod()}
		if k.GetMessage() != "" {
			named.message = policy.NewPattern(k.GetMessage())
		}
		s.Questions.keys = append(s.Questions.keys, named)
	}
	return nil
}

// tierOf is the tier of a definition: refuse where it names none.
func tierOf(q *gatehousev1.Questions) gatehousev1.QuestionTier {
	if t := q.GetTier(); t != gatehousev1.QuestionTier_QUESTION_TIER_UNSPECIFIED {
		return t
	}
	return gatehousev1.QuestionTier_QUESTION_TIER_REFUSE
}

// CheckQuestions says all that is wrong with what a definition says of questions; each names its field, and no object. A
// field of another tier is wrong: whoever wrote it believes that it does something.
func CheckQuestions(q *gatehousev1.Questions) (wrong []policy.FieldError) {
	const at = "spec.questions."
	refuseIf := func(bad bool, field, message string) {
		if bad {
			wrong = append(wrong, policy.FieldError{Field: at + field, Message: message})
		}
	}
	_, known := gatehousev1.QuestionTier_name[int32(q.GetTier())]
	refuseIf(!known, "tier", "this is none of refuse, answer, replay and park")
	isAnswer := q.GetTier() == gatehousev1.QuestionTier_QUESTION_TIER_ANSWER
	isReplay := q.GetTier() == gatehousev1.QuestionTier_QUESTION_TIER_REPLAY
	isPark := q.GetTier() == gatehousev1.QuestionTier_QUESTION_TIER_PARK
	refuseIf(len(q.GetRoots()) > 0 && !isAnswer, "roots", "roots belong to the tier answer")
	refuseIf(q.GetElicitation() != "" && !isAnswer, "elicitation", "elicitation belongs to the tier answer")
	refuseIf(len(q.GetIdempotentTools()) > 0 && !isReplay, "idempotentTools", "idempotentTools belongs to the tier replay")
	refuseIf(q.GetParkTimeout() != "" && !isPark, "parkTimeout", "parkTimeout belongs to the tier park")
	refuseIf(!slices.Contains([]string{"", "decline", "cancel"}, q.GetElicitation()), "elicitation", "this is neither decline nor cancel")
	for i, r := range q.GetRoots() {
		refuseIf(!isFile(r.GetUri()), fmt.Sprintf("roots[%d].uri", i), `the URI of a root begins with "file://"`)
	}
	for i, name := range q.GetIdempotentTools() {
		refuseIf(name == "", fmt.Sprintf("idempotentTools[%d]", i), "a tool's name or a glob is needed")
	}
	refuseIf(len(q.GetKeys()) > 0 && !isReplay && !isPark, "keys", "keys belong to the tiers replay and park")
	for i, k := range q.GetKeys() {
		checkKey(k, func(bad bool, field, message string) { refuseIf(bad, fmt.Sprintf("keys[%d].%s", i, field), message) })
	}
	if text := q.GetParkTimeout(); text != "" {
		d, err := time.ParseDuration(text)
		refuseIf(err != nil || d <= 0, "parkTimeout", fmt.Sprintf("%q is not a duration above zero, such as 5m", text))
	}
	return wrong
}

// checkKey says what is wrong with the key of a question.
func checkKey(k *gatehousev1.QuestionKey, refuseIf func(bad bool, field, message string)) {
	refuseIf(k.GetKey() == "" || isOurs(k.GetKey()), "key", "a key is needed, other than r1, r2 and so on, which the proxy gives")
	refuseIf(!slices.Contains(questionMethods(), k.GetMethod()), "method", "this is none of elicitation/create, sampling/createMessage and roots/list")
	refuseIf(k.GetMethod() == "" && k.GetMessage() == "", "message", "a message or a method is needed: else every question would fit")
	refuseIf(!slices.Contains(questionMethods()[:2], k.GetMethod()) && k.GetMessage() != "", "message", "only elicitations have a message")
}

// questionMethods are what a server may ask; empty stands for each.
func questionMethods() []string {
	return []string{"", "elicitation/create", "sampling/createMessage", "roots/list"}
}

// isOurs says whether a key has the form of those that the proxy gives.
func isOurs(key string) bool {
	number, ok := strings.CutPrefix(key, "r")
	return ok && strings.Trim(number, "0123456789") == ""
}

// isFile says whether a URI may be a root's: other schemes are kept for later by the protocol (MCP 2025-11-25,
// client/roots).
func isFile(uri string) bool {
	const scheme = "file://"
	return strings.HasPrefix(uri, scheme) && len(uri) > len(scheme) && !strings.ContainsFunc(uri, func(r rune) bool { return r < ' ' })
}

// answering is the part of a definition that a session is opened with: what the tier "answer" declares to the server.
// Other tiers declare what agents do, on sessions of their own.
func answering(q *gatehousev1.Questions) *gatehousev1.Questions {
	if tierOf(q) != gatehousev1.QuestionTier_QUESTION_TIER_ANSWER {
		return nil
	}
	return &gatehousev1.Questions{Tier: q.GetTier(), Roots: q.GetRoots(), Elicitation: q.GetElicitation()}
}
