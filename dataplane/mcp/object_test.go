package mcp_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

func TestPickFindsMembersRaw(t *testing.T) {
	var out [3][]byte
	object := ` { "server" : "a\"}b" ,"x":1, "args":{"server":[1,{"y":"]"}]},"\u0074ool":null , "z":2 } `
	other, err := mcp.Pick([]byte(object), []string{"server", "tool", "args"}, out[:])
	if err != nil || string(other) != "x" {
		t.Errorf("Pick(%s) = %s, %v, want x", object, other, err)
	}
	for i, want := range []string{`"a\"}b"`, `null`, `{"server":[1,{"y":"]"}]}`} {
		if string(out[i]) != want {
			t.Errorf("Pick: out[%d] = %s, want %s", i, out[i], want)
		}
	}
}

func TestPickRefusesWhatIsAmbiguous(t *testing.T) {
	for _, object := range []string{
		`{"server":1,"server":2}`, `{"server":1,"s\u0065rver":2}`, `{"Server":1}`, `{"x":1,"x":1}`, `[]`, `"server"`, `7`, ``, `{"server"`,
		many("a", 40) + `"a7":0}`,
	} {
		var out [1][]byte
		if _, err := mcp.Pick([]byte(object), []string{"server"}, out[:]); err == nil {
			t.Errorf("Pick(%.80s) = nil, want an error", object)
		}
	}
}

// Only letters have a case: a name that differs in another bit is another name.
func TestPickTakesNamesThatOnlyLookAlike(t *testing.T) {
	var out [1][]byte
	for _, name := range []string{`agent\u007fid`, `agent-id`, `agent_i`, `agent_idx`, `agent_\u0131d`} {
		other, err := mcp.Pick([]byte(`{"`+name+`":1,"agent_id":"x"}`), []string{"agent_id"}, out[:])
		if err != nil || string(other) != name || string(out[0]) != `"x"` {
			t.Errorf("Pick with %s = %s, %v, want it as another member", name, other, err)
		}
	}
	if _, err := mcp.Pick([]byte(`{"AGENT_ID":1}`), []string{"agent_id"}, out[:]); err == nil {
		t.Error("Pick took AGENT_ID beside agent_id")
	}
}

// many begins an object of n members.
func many(prefix string, n int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&b, `"%s%d":%d,`, prefix, i, i)
	}
	return b.String()
}

func TestPickTakesManyMembers(t *testing.T) {
	var out [1][]byte
	if _, err := mcp.Pick([]byte(many("a", 1000)+`"server":"x"}`), []string{"server"}, out[:]); err != nil || string(out[0]) != `"x"` {
		t.Errorf("Pick = %s, %v, want x", out[0], err)
	}
}

func TestMembersAndElementsGoInOrder(t *testing.T) {
	var got []string
	err := mcp.Members([]byte(`{"a" : [1, 2],"b":{"c":3} , "\u0064":"e"}`), func(name, value []byte) error {
		got = append(got, string(name)+"="+string(value))
		return nil
	})
	if want := `"a"=[1, 2]|"b"={"c":3}|"\u0064"="e"`; err != nil || strings.Join(got, "|") != want {
		t.Errorf("Members = %q, %v, want %s", got, err, want)
	}
	got = nil
	err = mcp.Elements([]byte(` [ 1 , "a,]" ,{"b":[]},null] `), func(value []byte) error {
		got = append(got, string(value))
		return nil
	})
	if want := `1|"a,]"|{"b":[]}|null`; err != nil || strings.Join(got, "|") != want {
		t.Errorf("Elements = %q, %v, want %s", got, err, want)
	}
}

func TestMembersAndElementsStopAtTheFirstError(t *testing.T) {
	stop := errors.New("enough")
	n := 0
	if err := mcp.Members([]byte(`{"a":1,"b":2}`), func(_, _ []byte) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("Members = %v after %d members, want %v after 1", err, n, stop)
	}
	n = 0
	if err := mcp.Elements([]byte(`[1,2]`), func([]byte) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("Elements = %v after %d elements, want %v after 1", err, n, stop)
	}
	if err := mcp.Elements([]byte(`{}`), nil); err == nil {
		t.Error("Elements({}) = nil, want an error")
	}
}

func TestUnquoteReadsStringsOnly(t *testing.T) {
	for raw, want := range map[string]string{`"a"`: "a", `""`: "", `"\u00e9\n"`: "é\n", `"\ud800"`: "\ufffd"} {
		if got, ok := mcp.Unquote([]byte(raw)); !ok || got != want {
			t.Errorf("Unquote(%s) = %q, %v, want %q", raw, got, ok, want)
		}
	}
	for _, raw := range []string{``, `1`, `null`, `{"a":"b"}`} {
		if got, ok := mcp.Unquote([]byte(raw)); ok {
			t.Errorf("Unquote(%s) = %q, want none", raw, got)
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	object, names := []byte(`{"server":"everything","tool":"echo","args":{"message":"hello"}}`), []string{"agent_id", "server", "tool", "args"}
	n := testing.AllocsPerRun(100, func() {
		var out [4][]byte
		_, _ = mcp.Pick(object, names, out[:])
	})
	if n != 0 {
		t.Errorf("Pick makes %v allocations, want 0", n)
	}
}

func BenchmarkPick(b *testing.B) {
	names := []string{"agent_id", "server", "tool", "args", "timeout_ms"}
	small := `{"server":"everything","tool":"echo","args":{"message":"hello"}}`
	big := `{"server":"everything","tool":"echo","args":{"message":"` + strings.Repeat("0123456789abcdef", 64<<10) + `"}}`
	for _, bb := range []struct{ name, object string }{{"call", small}, {"1MB", big}} {
		b.Run(bb.name, func(b *testing.B) {
			object := []byte(bb.object)
			b.SetBytes(int64(len(object)))
			b.ReportAllocs()
			for b.Loop() {
				var out [5][]byte
				if _, err := mcp.Pick(object, names, out[:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
