package config

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// server checks the definition of an upstream.
func (k *checker) server(s *gatehousev1.Server) {
	switch t := s.GetTransport().(type) {
	case *gatehousev1.Server_Stdio:
		k.stdio(t.Stdio)
	case *gatehousev1.Server_Http:
		k.http(t.Http)
	default:
		k.refuse("spec", "one of stdio and http is needed")
	}
	_, known := gatehousev1.SessionMode_name[int32(s.GetSession())]
	k.refuseIf(!known, "spec.session", "this is none of shared, agent, session and call")
	call := k.duration("spec.callTimeout", s.GetCallTimeout())
	most := k.duration("spec.maxCallTimeout", s.GetMaxCallTimeout())
	k.warnIf(call > most && most > 0, "spec.callTimeout", "maxCallTimeout caps this to "+s.GetMaxCallTimeout())
	k.questions(s.GetQuestions())
}

// questions checks what becomes of a server's questions.
func (k *checker) questions(q *gatehousev1.Questions) {
	for _, wrong := range table.CheckQuestions(q) {
		k.refuse(wrong.Field, wrong.Message)
	}
	k.warnIf(q.GetTier() == gatehousev1.QuestionTier_QUESTION_TIER_REPLAY && len(q.GetIdempotentTools()) == 0,
		"spec.questions.idempotentTools", "no tool may be called again, so only prompts and resources are replayed")
	k.warnIf(q != nil && q.GetTier() == gatehousev1.QuestionTier_QUESTION_TIER_UNSPECIFIED,
		"spec.questions.tier", "without a tier, questions are refused")
}

// duration checks one duration; 0 where it is absent or wrong. Texts are kept as written, so they are read here again.
func (k *checker) duration(field, text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	k.refuseIf(err != nil || d <= 0, field, strconv.Quote(text)+" is not a duration above zero, such as 60s")
	return d
}

// stdio checks a command. Nothing here looks at the machine: the command has to exist where the proxy runs.
func (k *checker) stdio(s *gatehousev1.Stdio) {
	k.refuseIf(strings.TrimSpace(s.GetCommand()) == "", "spec.stdio.command", "a command is needed")
	k.text("spec.stdio.command", s.GetCommand())
	for i, arg := range s.GetArgs() {
		k.text(at("spec.stdio.args", i), arg)
	}
	for _, name := range sortedKeys(s.GetEnv()) {
		field := "spec.stdio.env." + name
		k.refuseIf(name == "" || strings.ContainsAny(name, "=\x00"), field, `the name of a variable is not empty and holds no "="`)
		k.text(field, s.GetEnv()[name])
	}
	k.refuseIf(strings.Contains(s.GetCwd(), "\x00"), "spec.stdio.cwd", "a NUL byte is not allowed here")
}

// text checks a string that may hold references and becomes part of a process's arguments, an environment or a request.
// It returns the string with something in the place of each reference. An odd reference is a warning: it makes its own
// server unavailable, and must not stop the others.
func (k *checker) text(field, text string) string {
	plain, odd := replaceReferences(text, "1")
	k.warnIf(odd != "", field, odd)
	k.refuseIf(strings.Contains(plain, "\x00"), field, "a NUL byte is not allowed here")
	return plain
}

// http checks a URL and its headers. A line break in a header would begin another header, whatever the proxy's HTTP
// client does about it.
func (k *checker) http(h *gatehousev1.Http) {
	k.url(h.GetUrl())
	for _, name := range sortedKeys(h.GetHeaders()) {
		field := "spec.http.headers." + name
		k.refuseIf(!isToken(name), field, "this is not the name of an HTTP header")
		plain := k.text(field, h.GetHeaders()[name])
		k.refuseIf(strings.ContainsAny(plain, "\r\n"), field, "a line break is not allowed here")
	}
	_, known := gatehousev1.HttpTransport_name[int32(h.GetTransport())]
	k.refuseIf(!known, "spec.http.transport", "this is none of streamable-http and sse")
}

// url checks that the endpoint is absolute. One that begins with a reference is only known when the proxy connects.
func (k *checker) url(raw string) {
	const field = "spec.http.url"
	plain := k.text(field, raw)
	if strings.HasPrefix(raw, "${") {
		return
	}
	u, err := url.Parse(plain)
	switch {
	case raw == "":
		k.refuse(field, "a URL is needed")
	case err != nil || u.Scheme != "http" && u.Scheme != "https":
		k.refuse(field, "a URL begins with http:// or https://")
	case u.Hostname() == "":
		k.refuse(field, "the URL has no host")
	}
}

// isToken says whether s is an HTTP token (RFC 9110 §5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// replaceReferences puts with in the place of each ${VAR} and ${VAR:-default}. What is never closed and "${}" are no
// references and stay. The second result says what is odd about the last reference that is.
func replaceReferences(text, with string) (plain, odd string) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		body, after, closed := strings.Cut(rest, "}")
		b.WriteString(before)
		switch name, otherwise, _ := strings.Cut(body, ":-"); {
		case !found:
			return b.String(), odd
		case !closed:
			return b.String() + "${" + rest, `"${" has no "}" and stays as it is`
		case body == "":
			b.WriteString("${}")
			odd = `"${}" names no variable and stays as it is`
		case !isVariable(name) || strings.Contains(otherwise, "${"):
			odd = `"${` + body + `}" is neither ${VAR} nor ${VAR:-default}`
			fallthrough
		default:
			b.WriteString(with)
		}
		text = after
	}
}

// isVariable says whether s names an environment variable that any shell could set.
func isVariable(s string) bool {
	foreign := func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}
	return s != "" && (s[0] < '0' || s[0] > '9') && !strings.ContainsFunc(s, foreign)
}

// at is the path of a list's entry.
func at(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// sortedKeys makes the order of what is reported about a map the same every time.
func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
