package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
)

// violated writes violations as "servers/a spec.stdio.command".
func violated(violations []config.Violation) string {
	var out []string
	for _, v := range violations {
		out = append(out, v.Object+" "+v.Field)
	}
	return strings.Join(out, ", ")
}

// warned writes warnings the same way.
func warned(warnings []*gatehousev1.Warning) string {
	var out []string
	for _, w := range warnings {
		out = append(out, w.GetObject()+" "+w.GetField())
	}
	return strings.Join(out, ", ")
}

// with is the server after a change.
func with(s *gatehousev1.Server, change func(*gatehousev1.Server)) *gatehousev1.Object {
	change(s)
	return serverOf("s", s)
}

func TestValidateAcceptsWhatTheContractShows(t *testing.T) {
	everything := stdio("npx", "-y", "@modelcontextprotocol/server-everything@2026.8.31")
	everything.GetStdio().Env = map[string]string{"KEY": "${KEY}"}
	everything.CallTimeout, everything.MaxCallTimeout = "60s", "10m"
	web := http("https://example.com/mcp")
	web.GetHttp().Headers = map[string]string{"Authorization": "Bearer ${API_TOKEN}", "X-Region": "${REGION:-eu west}"}
	c := configOf(
		serverOf("everything", everything), serverOf("web", web), server("Brave Search"), server("db[1]"), server("münchen"),
		serverOf("late", http("${BASE_URL}/mcp")), serverOf("port", http("http://${HOST:-localhost}:${PORT}/mcp")),
		policy("researcher", "allow everything", "allow internal-*", "allow everything: echo, get_*", "deny everything: drop_*"),
		policy("team.backend_2-A", "allow *"), settings(&gatehousev1.Settings{}), credential("laptop", digest, "researcher"),
	)
	violations, warnings := config.Validate(c)
	if len(violations)+len(warnings) != 0 {
		t.Errorf("Validate = %v and %v, want nothing", violations, warnings)
	}
}

// wrong is one object and where Validate has to point.
type wrong struct {
	object *gatehousev1.Object
	want   string
}

// check validates the object alone.
func (w wrong) check(t *testing.T) {
	t.Helper()
	violations, _ := config.Validate(configOf(w.object))
	if got := violated(violations); got != w.want {
		t.Errorf("Validate(%v) = %q, want %q", w.object, got, w.want)
	}
	if slices.ContainsFunc(violations, func(v config.Violation) bool { return v.Message == "" }) {
		t.Errorf("Validate(%v) has a violation without a message", w.object)
	}
}

// The tiers whose fields are tried.
const (
	answer = gatehousev1.QuestionTier_QUESTION_TIER_ANSWER
	replay = gatehousev1.QuestionTier_QUESTION_TIER_REPLAY
	park   = gatehousev1.QuestionTier_QUESTION_TIER_PARK
)

// asking is a server with questions.
func asking(q *gatehousev1.Questions) *gatehousev1.Object {
	return with(stdio("true"), func(s *gatehousev1.Server) { s.Questions = q })
}

func TestValidateWarnsOfQuestionsThatDoLittle(t *testing.T) {
	for _, tt := range []struct {
		questions *gatehousev1.Questions
		want      string
	}{
		{&gatehousev1.Questions{}, "servers/s spec.questions.tier"},
		{&gatehousev1.Questions{Tier: replay}, "servers/s spec.questions.idempotentTools"},
		{&gatehousev1.Questions{Tier: replay, IdempotentTools: []string{"get_*"}}, ""},
		{&gatehousev1.Questions{Tier: answer, Elicitation: "cancel", Roots: []*gatehousev1.Root{{Uri: "file:///a", Name: "a"}}}, ""},
		{&gatehousev1.Questions{Tier: park, ParkTimeout: "90s"}, ""},
	} {
		violations, warnings := config.Validate(configOf(asking(tt.questions)))
		if got := warned(warnings); got != tt.want || len(violations) > 0 {
			t.Errorf("Validate(%v) = %v and warnings %q, want warnings %q alone", tt.questions, violations, got, tt.want)
		}
	}
}

func TestValidateNamesTheFieldOfAServer(t *testing.T) {
	labelled := server("s")
	labelled.Labels = map[string]string{"a=b": "x", "fine/key": "y"}
	headers := func(name, value string) *gatehousev1.Object {
		return with(http("http://x"), func(s *gatehousev1.Server) { s.GetHttp().Headers = map[string]string{name: value} })
	}
	env := func(name, value string) *gatehousev1.Object {
		return with(stdio("true"), func(s *gatehousev1.Server) { s.GetStdio().Env = map[string]string{name: value} })
	}
	for _, tt := range []wrong{
		{labelled, "servers/s metadata.labels.a=b"},
		{server(""), "servers/ metadata.name"},
		{server(strings.Repeat("x", 129)), "servers/" + strings.Repeat("x", 129) + " metadata.name"},
		{server("a/b"), "servers/a/b metadata.name"},
		{server(".."), "servers/.. metadata.name"},
		{server(" a"), "servers/ a metadata.name"},
		{server("a\x00"), "servers/a\x00 metadata.name"},
		{serverOf("s", &gatehousev1.Server{}), "servers/s spec"},
		{serverOf("s", stdio("")), "servers/s spec.stdio.command"},
		{serverOf("s", stdio(" ")), "servers/s spec.stdio.command"},
		{serverOf("s", stdio("true", "fine", "a\x00b")), "servers/s spec.stdio.args[1]"},
		{env("A=B", "x"), "servers/s spec.stdio.env.A=B"},
		{env("", "x"), "servers/s spec.stdio.env."},
		{env("A", "\x00"), "servers/s spec.stdio.env.A"},
		{with(stdio("true"), func(s *gatehousev1.Server) { s.GetStdio().Cwd = "\x00" }), "servers/s spec.stdio.cwd"},
		{serverOf("s", http("")), "servers/s spec.http.url"},
		{serverOf("s", http("example.com/mcp")), "servers/s spec.http.url"},
		{serverOf("s", http("file:///etc/passwd")), "servers/s spec.http.url"},
		{serverOf("s", http("http://")), "servers/s spec.http.url"},
		{serverOf("s", http("https://:443/mcp")), "servers/s spec.http.url"},
		{serverOf("s", http("http://a b/")), "servers/s spec.http.url"},
		{headers("Bad Name", "x"), "servers/s spec.http.headers.Bad Name"},
		{headers("", "x"), "servers/s spec.http.headers."},
		{headers("X", "a\r\nY: b"), "servers/s spec.http.headers.X"},
		{with(http("http://x"), func(s *gatehousev1.Server) { s.GetHttp().Transport = 9 }), "servers/s spec.http.transport"},
		{with(stdio("true"), func(s *gatehousev1.Server) { s.Session = 9 }), "servers/s spec.session"},
		{with(stdio("true"), func(s *gatehousev1.Server) { s.CallTimeout = "60" }), "servers/s spec.callTimeout"},
		{with(stdio("true"), func(s *gatehousev1.Server) { s.MaxCallTimeout = "0s" }), "servers/s spec.maxCallTimeout"},
		{asking(&gatehousev1.Questions{Tier: 9}), "servers/s spec.questions.tier"},
		{asking(&gatehousev1.Questions{Tier: park, ParkTimeout: "5"}), "servers/s spec.questions.parkTimeout"},
		{asking(&gatehousev1.Questions{Tier: park, ParkTimeout: "-1s"}), "servers/s spec.questions.parkTimeout"},
		{asking(&gatehousev1.Questions{Tier: replay, ParkTimeout: "5m"}), "servers/s spec.questions.parkTimeout"},
		{asking(&gatehousev1.Questions{IdempotentTools: []string{"x"}}), "servers/s spec.questions.idempotentTools"},
		{asking(&gatehousev1.Questions{Tier: replay, IdempotentTools: []string{"x", ""}}), "servers/s spec.questions.idempotentTools[1]"},
		{asking(&gatehousev1.Questions{Tier: park, Elicitation: "decline"}), "servers/s spec.questions.elicitation"},
		{asking(&gatehousev1.Questions{Tier: answer, Elicitation: "accept"}), "servers/s spec.questions.elicitation"},
		{asking(&gatehousev1.Questions{Tier: answer, Roots: []*gatehousev1.Root{{Uri: "file:///a"}, {Uri: "https://b"}}}), "servers/s spec.questions.roots[1].uri"},
		{asking(&gatehousev1.Questions{Tier: park, Roots: []*gatehousev1.Root{{Uri: "file:///a"}}}), "servers/s spec.questions.roots"},
	} {
		tt.check(t)
	}
}

func TestValidateNamesTheFieldOfOtherObjects(t *testing.T) {
	late := credential("k", digest, "p")
	late.GetCredential().Expires = &timestamppb.Timestamp{Nanos: -1}
	for _, tt := range []wrong{
		{&gatehousev1.Object{Name: "x"}, "/x kind"},
		{policy(""), "policies/ metadata.name"},
		{policy("a b"), "policies/a b metadata.name"},
		{policy("a\n"), "policies/a\n metadata.name"},
		{policy("dev-*"), "policies/dev-* metadata.name"},
		{policy(strings.Repeat("x", 129)), "policies/" + strings.Repeat("x", 129) + " metadata.name"},
		{policy("p", "allow s*", "allow s*: x", "allow s*: y"), "policies/p spec.allow.tools.s*"},
		{policy("p", "allow *", "deny *: "+strings.Repeat("x", 1025)), "policies/p spec.deny.tools.*[0]"},
		{policy("p", "deny s*: x", "deny s*: y"), "policies/p spec.deny.tools.s*"},
		{policy("p", "deny resources s*: x", "deny resources s*: y"), "policies/p spec.deny.resources.s*"},
		{policy("p", "allow s*", "allow prompts s*: x", "allow prompts s*: y"), "policies/p spec.allow.prompts.s*"},
		{policy("p", "deny resources *: "+strings.Repeat("x", 1025)), "policies/p spec.deny.resources.*[0]"},
		{&gatehousev1.Object{Name: "other", Spec: settings(nil).GetSpec()}, "settings/other metadata.name"},
		{settings(&gatehousev1.Settings{DefaultAgent: "a b"}), "settings/default spec.defaultAgent"},
		{credential("a b", digest, "p"), "credentials/a b metadata.name"},
		{credential("k", "9f86", "p"), "credentials/k spec.apiKey.sha256"},
		{credential("k", strings.ToUpper(digest), "p"), "credentials/k spec.apiKey.sha256"},
		{credential("k", strings.Repeat("g", 64), "p"), "credentials/k spec.apiKey.sha256"},
		{credential("k", digest), "credentials/k spec.agents"},
		{credential("k", digest, "p", ""), "credentials/k spec.agents[1]"},
		{late, "credentials/k spec.expires"},
	} {
		tt.check(t)
	}
}

// An operator mends a file in one go, so everything is reported at once, in the order of the objects.
func TestValidateReportsEverything(t *testing.T) {
	c := configOf(serverOf("b", http("ftp://x")), serverOf("a", stdio("")), policy("a b"), credential("k", "x"))
	violations, _ := config.Validate(c)
	want := "servers/a spec.stdio.command, servers/b spec.http.url, policies/a b metadata.name, credentials/k spec.apiKey.sha256, credentials/k spec.agents"
	if got := violated(violations); got != want {
		t.Errorf("Validate = %q, want %q", got, want)
	}
	err := error(&config.InvalidError{Violations: violations})
	if !strings.Contains(err.Error(), "spec.stdio.command") || !strings.Contains(err.Error(), "4 more") {
		t.Errorf("Error() = %q, want the first one and the number of others", err)
	}
}

func TestValidateRefusesTwoOfAName(t *testing.T) {
	c := configOf(server("a"), server("a"), credential("k", digest, "p"), credential("l", digest, "p"))
	violations, _ := config.Validate(c)
	if got, want := violated(violations), "servers/a metadata.name, credentials/l spec.apiKey.sha256"; got != want {
		t.Errorf("Validate = %q, want %q", got, want)
	}
}

func TestValidateWarnsAndGoesOn(t *testing.T) {
	no := false
	guest := func(agent string, deny *bool) *gatehousev1.Object {
		return settings(&gatehousev1.Settings{DefaultAgent: agent, DenyOnMissingAgent: deny})
	}
	tests := []struct {
		objects []*gatehousev1.Object
		want    string
	}{
		{[]*gatehousev1.Object{policy("p", "allow db", "allow mail", "deny x", "allow *")}, "policies/p spec.allow.servers[1], policies/p spec.deny.servers[0]"},
		{[]*gatehousev1.Object{policy("p", "allow *", "allow mail: x", "deny x*: y", "deny mail: z")}, "policies/p spec.allow.tools.mail, policies/p spec.deny.tools.mail"},
		{[]*gatehousev1.Object{policy("p", "allow db", "allow db: ")}, "policies/p spec.allow.tools.db"},
		{[]*gatehousev1.Object{policy("p", "allow d*", "allow db: x")}, ""},
		{[]*gatehousev1.Object{policy("p", "allow x*", "allow db: x")}, "policies/p spec.allow.tools.db"},
		{[]*gatehousev1.Object{policy("p", "allow *", "deny resources mail: x", "allow prompts web: y")},
			"policies/p spec.allow.prompts.web, policies/p spec.deny.resources.mail"},
		{[]*gatehousev1.Object{policy("p", "allow db", "allow resources db: ")}, "policies/p spec.allow.resources.db"},
		{[]*gatehousev1.Object{policy("p", "allow x*", "allow prompts db: x")}, "policies/p spec.allow.prompts.db"},
		{[]*gatehousev1.Object{policy("p", "allow ")}, "policies/p spec.allow.servers[0]"},
		{[]*gatehousev1.Object{credential("k", digest, "p", "q"), policy("p")}, "credentials/k spec.agents[1]"},
		{[]*gatehousev1.Object{guest("", nil)}, ""},
		{[]*gatehousev1.Object{guest("", &no)}, "settings/default spec.defaultAgent"},
		{[]*gatehousev1.Object{guest("", &no), policy("default")}, ""},
		{[]*gatehousev1.Object{guest("p", &no), policy("p")}, ""},
		{[]*gatehousev1.Object{guest("p", &no)}, "settings/default spec.defaultAgent"},
		{[]*gatehousev1.Object{guest("p", nil), policy("p")}, "settings/default spec.defaultAgent"},
		{[]*gatehousev1.Object{with(stdio("true"), func(s *gatehousev1.Server) { s.CallTimeout, s.MaxCallTimeout = "2m", "1m" })}, "servers/s spec.callTimeout"},
	}
	for _, tt := range tests {
		violations, warnings := config.Validate(configOf(append(tt.objects, server("db"))...))
		if got := warned(warnings); len(violations) != 0 || got != tt.want {
			t.Errorf("Validate(%v) = %v and %q, want %q", tt.objects, violations, got, tt.want)
		}
	}
}

// A newer gwctl may write fields that this control plane does not know, and one of them may be a deny.
func TestValidateRefusesFieldsItDoesNotKnow(t *testing.T) {
	o := policy("p", "allow *: x")
	field := protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1)
	o.GetPolicy().GetAllow().GetTools()[0].ProtoReflect().SetUnknown(field)
	violations, _ := config.Validate(configOf(o))
	if got, want := violated(violations), "policies/p spec"; got != want {
		t.Errorf("Validate = %q, want %q", got, want)
	}
}

// A reference that nobody can resolve makes its own server unavailable, later and alone.
func TestOddReferencesAreWarnings(t *testing.T) {
	for arg, odd := range map[string]bool{
		"${VAR}": false, "${_V1:-}": false, "${VAR:-a:-b}${B}": false, "$VAR $$ {x}": false, "${VAR:-$5}": false,
		"${}": true, "${VAR": true, "${1X}": true, "${a b}": true, "${input:key}": true, "${A:-${B}}": true, "${VAR:default}": true,
	} {
		violations, warnings := config.Validate(configOf(serverOf("s", stdio("true", arg))))
		if len(violations) != 0 || (warned(warnings) == "servers/s spec.stdio.args[0]") != odd {
			t.Errorf("Validate(%q) = %v and %v, want a warning: %t", arg, violations, warnings, odd)
		}
	}
}

// What Validate accepts, every proxy takes: there is no configuration that passes here and is refused there.
func FuzzValidateAgreesWithProxies(f *testing.F) {
	for _, o := range slices.Concat(all().GetObjects(), []*gatehousev1.Object{policy("p", "allow *: x", "allow *: y")}) {
		f.Add([]byte(encoded(f, configOf(o))))
	}
	f.Add([]byte(encoded(f, all())))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &gatehousev1.Config{}
		if proto.Unmarshal(b, c) != nil {
			t.Skip("not a configuration")
		}
		config.Sort(c)
		violations, _ := config.Validate(c)
		_, err := config.Resolve(record(1), c, identity())
		if len(violations) == 0 && err != nil {
			t.Errorf("Validate = nothing, Resolve = %v; want them to agree", err)
		}
		if access := config.Access(c, c, nil); len(access) != 0 {
			t.Errorf("Access of equal configurations = %s, want nothing", accessed(access))
		}
		if next, changes, err := config.Merge(c, &gatehousev1.ApplyRequest{}); len(violations) == 0 && (err != nil || len(changes) != 0 || refs(next) != refs(c)) {
			t.Errorf("Merge of nothing = %s, %v; want no change", changed(changes), err)
		}
	})
}

// bulk is a configuration of a hundred servers and a thousand agents.
func bulk() *gatehousev1.Config {
	c := &gatehousev1.Config{}
	for i := range 100 {
		c.Objects = append(c.Objects, server(fmt.Sprintf("server-%d", i)))
	}
	for i := range 1000 {
		c.Objects = append(c.Objects, policy(fmt.Sprintf("agent-%d", i), "allow server-1", "allow server-2: query, list_*", "deny *: drop_*"))
	}
	config.Sort(c)
	return c
}

// BenchmarkApply is all that a change costs before it is stored.
func BenchmarkApply(b *testing.B) {
	base := bulk()
	req := &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{policy("agent-1", "allow server-3")}}
	b.ReportAllocs()
	for b.Loop() {
		next, _, err := config.Merge(base, req)
		if err != nil {
			b.Fatal(err)
		}
		if violations, _ := config.Validate(next); len(violations) != 0 {
			b.Fatal(violations)
		}
		if _, err := config.Resolve(record(2), next, identity()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAccess compares two configurations that differ in every policy.
func BenchmarkAccess(b *testing.B) {
	before, after := bulk(), bulk()
	for _, o := range after.GetObjects() {
		if p := o.GetPolicy(); p != nil {
			p.Allow.Servers = []string{"*"}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		config.Access(before, after, nil)
	}
}
