package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// credential lets key act as agents, until it expires; the zero time is never.
func credential(name, key string, expires time.Time, agents ...string) *gatehousev1.Object {
	sum := sha256.Sum256([]byte(key))
	spec := &gatehousev1.Credential{ApiKey: &gatehousev1.ApiKey{Sha256: hex.EncodeToString(sum[:])}, Agents: agents}
	if !expires.IsZero() {
		spec.Expires = timestamppb.New(expires)
	}
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Credential{Credential: spec}}
}

// as performs a call with a key, as the front would.
func (w *world) as(key, name, args string) *result {
	w.t.Helper()
	header := "Bearer " + key
	p, err := w.auth.Authenticate(header)
	if err != nil {
		w.t.Fatalf("Authenticate(%s) = %v", key, err)
	}
	return w.perform(&gateway.Call{Principal: p, Authorization: header, Name: name, Args: []byte(args)})
}

// staff is two agents, one key for the first, one for both, and one for a policy that does not exist.
func staff(t testing.TB) *world {
	w := build(t, gateway.Config{}, server("everything"), settings(false, "admin"),
		policy("researcher", []string{"everything"}, nil, nil), policy("admin", []string{"everything"}, nil, nil),
		credential("one", "gwk_one", time.Time{}, "researcher"),
		credential("both", "gwk_both", time.Time{}, "researcher", "admin"),
		credential("rest", "gwk_rest", time.Time{}, "researcher", "ghost"))
	w.servers["everything"] = &memory{tools: catalogue(t, tool("echo"))}
	return w
}

func TestAgentOfACall(t *testing.T) {
	w := staff(t)
	for _, test := range []struct {
		key, asked, agent string
		code              mcp.Code
	}{
		{"gwk_one", "", "researcher", ""},                      // the only one it may be
		{"gwk_one", "researcher", "researcher", ""},            // as asked
		{"gwk_one", "admin", "", mcp.InvalidAgentID},           // not listed
		{"gwk_one", "Researcher", "", mcp.InvalidAgentID},      // not trimmed, not folded
		{"gwk_both", "admin", "admin", ""},                     // one of two
		{"gwk_both", "", "admin", ""},                          // by fallback
		{"gwk_rest", "", "", mcp.InvalidAgentID},               // the fallback is not listed
		{"gwk_rest", "ghost", "", mcp.InvalidAgentID},          // listed, but there is no policy
		{"gwk_rest", "researcher ", "", mcp.InvalidAgentID},    // white space counts
		{"gwk_rest", "researcher", "researcher", mcp.Code("")}, // as asked
	} {
		args, _ := json.Marshal(map[string]string{"agent_id": test.asked})
		r := w.as(test.key, gateway.ListServers, string(args))
		e := w.journal.last(t)
		if r.IsError != (test.code != "") || r.IsError && r.refusal(t).Code != test.code {
			t.Errorf("%s asks for %q: %s, want code %q", test.key, test.asked, r.raw, test.code)
		}
		if e.Agent != test.agent || e.AgentAsked != test.asked || e.Principal != strings.TrimPrefix(test.key, "gwk_") {
			t.Errorf("%s asks for %q: record %+v, want agent %q", test.key, test.asked, e, test.agent)
		}
	}
}

func TestUnlistedAndUnknownAgentsLookAlike(t *testing.T) {
	w := staff(t)
	unlisted := w.as("gwk_one", gateway.ListServers, `{"agent_id":"admin"}`).raw
	unknown := w.as("gwk_one", gateway.ListServers, `{"agent_id":"nimda"}`).raw
	if strings.ReplaceAll(unknown, "nimda", "admin") != unlisted {
		t.Errorf("an unlisted agent gives\n%s\nand an unknown one\n%s", unlisted, unknown)
	}
}

func TestKeyRevokedSinceTheFrontLookedIsRefused(t *testing.T) {
	w := staff(t)
	p, err := w.auth.Authenticate("Bearer gwk_one")
	if err != nil {
		t.Fatal(err)
	}
	w.apply(2, server("everything"), policy("researcher", []string{"everything"}, nil, nil))
	call := &gateway.Call{Principal: p, Authorization: "Bearer gwk_one", Name: gateway.ListServers, Remote: "127.0.0.1:4"}
	if _, err := w.CallTool(t.Context(), call); !errors.Is(err, auth.ErrWrongKey) {
		t.Errorf("CallTool = %v, want %v", err, auth.ErrWrongKey)
	}
	if e := w.journal.last(t); e.Outcome != record.Unauthenticated || e.Allow || e.Revision != 2 || e.Principal != "" {
		t.Errorf("record = %+v, want nobody refused by revision 2", e)
	}
	if n := w.live.Load().Calls(); n != 0 {
		t.Errorf("%d calls under way, want 0", n)
	}
}

func TestCallWithoutATableIsNotReady(t *testing.T) {
	w := staff(t)
	w.live.Swap(nil)
	if _, err := w.CallTool(t.Context(), &gateway.Call{Principal: everyone(), Name: gateway.ListServers}); !errors.Is(err, auth.ErrNotReady) {
		t.Errorf("CallTool = %v, want %v", err, auth.ErrNotReady)
	}
}

func TestUnauthenticatedRequestsAreRecorded(t *testing.T) {
	w := staff(t)
	w.Unauthenticated(&gateway.Call{Remote: "127.0.0.1:4", BytesIn: 99}, auth.ErrNoKey)
	e := w.journal.last(t)
	if e.Outcome != record.Unauthenticated || e.Allow || e.BytesIn != 99 || e.Revision != 1 || e.Time.IsZero() {
		t.Errorf("record = %+v, want a refusal of 99 bytes", e)
	}
}

func TestRecordIsOfTheArgumentsThatWereSent(t *testing.T) {
	w := staff(t)
	r := w.perform(&gateway.Call{
		Principal: everyone(), Name: gateway.ExecuteTool, BytesIn: 321,
		Args: []byte(`{"agent_id":"admin","server":"everything","tool":"echo","args":{"password":"hunter2"},"timeout_ms":5000}`),
	})
	e := w.journal.last(t)
	if string(e.Args) != `{"password":"hunter2"}` || e.Server != "everything" || e.Tool != "echo" || e.Agent != "admin" {
		t.Errorf("record = %+v", e)
	}
	if e.BytesIn != 321 || e.BytesOut != len(r.raw) || !e.Allow || e.Rule != "agents.admin.allow.servers[0]" || e.Outcome != record.OK {
		t.Errorf("record = %+v, want 321 bytes in, %d out, allowed", e, len(r.raw))
	}
}

func TestRecordKnowsAToolThatFailed(t *testing.T) {
	for _, era := range []mcp.Era{mcp.Legacy, mcp.Modern} {
		for result, want := range map[string]record.Outcome{
			`{"isError":true,"content":[]}`:             record.ToolError,
			`{"content":[{"text":"\"isError\":true"}]}`: record.OK,
			`{"a":{"isError":true},"isError":false}`:    record.OK,
		} {
			w := echoing(t, result, unchanged)
			w.perform(&gateway.Call{Principal: everyone(), Name: gateway.ExecuteTool, Args: []byte(execute("")), Era: era})
			if got := w.journal.last(t).Outcome; got != want {
				t.Errorf("%s in the %v era: outcome %s, want %s", result, era, got, want)
			}
		}
	}
}

func TestEveryDecisionBecomesOneLineWithoutValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	log, err := record.Open(record.Config{Path: path, Proxy: "p1"})
	if err != nil {
		t.Fatal(err)
	}
	w := build(t, gateway.Config{Records: log}, office()...)
	answers(w)
	calls := []string{
		`{"agent_id":"researcher","server":"everything","tool":"echo","args":{"p":"hunter2"}}`,
		`{"agent_id":"researcher","server":"everything","tool":"drop_all","args":{"p":"hunter2"}}`,
		`{"agent_id":"ghost","server":"everything","tool":"echo","args":{"p":"hunter2"}}`,
		`{"agent_id":"researcher","server":"everything","args":{"p":"hunter2"}}`,
		`{"agent_id":"researcher","server":"broken","tool":"echo","args":{"p":"hunter2"}}`,
	}
	for _, args := range calls {
		w.call(gateway.ExecuteTool, args)
	}
	w.Unauthenticated(&gateway.Call{Remote: "127.0.0.1:4"}, auth.ErrWrongKey)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		var m struct {
			Decision string `json:"decision"`
			Outcome  string `json:"outcome"`
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got = append(got, m.Decision+" "+m.Outcome)
	}
	want := "allow OK, deny DENIED_BY_POLICY, deny INVALID_AGENT_ID, deny INVALID_ARGUMENT, allow SERVER_UNAVAILABLE, deny UNAUTHENTICATED"
	if strings.Join(got, ", ") != want || strings.Contains(string(text), "hunter2") {
		t.Errorf("audit = %s, want %s and no values:\n%s", strings.Join(got, ", "), want, text)
	}
}
