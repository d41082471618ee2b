package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

func TestChangesReachThoseWhoCanSeeThem(t *testing.T) {
	for _, test := range []struct{ kind, method, rule string }{
		{"tools", "tools/list", "deny tools: secret*"},
		{"prompts", "prompts/list", "allow prompts: open*"},
		{"resources", "resources/list", "deny resources: secret*"},
		{"resources", "resources/templates/list", "allow resources: open*"},
	} {
		for _, era := range []mcp.Era{mcp.Legacy, mcp.Modern} {
			w, s := play(t, mcp.Modern, test.rule)
			s.set(test.method, "open/1", "secret/1")
			a, b := tune(w, "a", era, nil), tune(w, "b", era, nil)
			s.listening(2)
			changed := test.kind + "/list_changed"

			s.set(test.method, "open/1", "secret/1", "secret/2") // which a cannot see
			s.announce(test.kind)
			b.next(changed)
			s.read(test.method, 2)
			a.nothing()

			s.set(test.method, "open/1", "secret/2", "open/2")
			s.announce(test.kind)
			b.next(changed)
			a.next(changed)
			a.nothing()

			s.announce(test.kind) // of nothing that can be seen
			b.next(changed)
			a.next(changed)

			s.set(test.method, "open/1", "secret/2")
			s.announce(test.kind)
			b.next(changed)
			a.next(changed)
			a.nothing()
			b.nothing()
		}
	}
}

func TestChangesOfListsWithoutRulesCostNothing(t *testing.T) {
	w, s := play(t, mcp.Legacy, "deny tools: secret*")
	b := tune(w, "b", mcp.Legacy, nil)
	s.listening(1)
	s.announce("tools")
	s.announce("resources")
	b.next("tools/list_changed")
	b.next("resources/list_changed")
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.reads) != 0 {
		t.Errorf("the server was asked for %v, want nothing", s.reads)
	}
}

func TestOneReadingServesAllStreams(t *testing.T) {
	const streams = 50
	w, s := play(t, mcp.Legacy, "deny tools: secret*")
	s.set("tools/list", "open")
	var ears []*ear
	for range streams {
		ears = append(ears, tune(w, "a", mcp.Legacy, nil))
	}
	s.listening(streams)
	s.set("tools/list", "open", "more")
	s.announce("tools")
	for _, e := range ears {
		e.next("tools/list_changed")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// One where they began, one for the first announcement, and a few for those that came while the list was read.
	if n := s.reads["tools/list"]; n > 10 {
		t.Errorf("the list was read %d times for %d streams", n, streams)
	}
}

func TestListsThatCannotBeReadAreAnnounced(t *testing.T) {
	w, s := play(t, mcp.Legacy, "deny tools: secret*", "deny prompts: *")
	answer := s.answer
	s.answer = func(ctx context.Context, c *mcp.Call) (*mcp.Reply, error) {
		switch c.Method {
		case "tools/list":
			return nil, fmt.Errorf("%w: not now", mcp.ErrUnavailable)
		case "prompts/list":
			return &mcp.Reply{Error: &mcp.Error{Code: mcp.CodeMethodNotFound, Message: "no prompts here"}}, nil
		}
		return answer(ctx, c)
	}
	a := tune(w, "a", mcp.Legacy, nil)
	s.listening(1)
	s.announce("tools")
	a.next("tools/list_changed")
	s.announce("prompts")
	a.next("prompts/list_changed")
}

func TestNewPolicyIsToldToThoseItConcerns(t *testing.T) {
	for _, era := range []mcp.Era{mcp.Legacy, mcp.Modern} {
		w, s := play(t, mcp.Modern)
		s.set("tools/list", "open", "secret")
		s.set("prompts/list", "plan")
		a, b := tune(w, "a", era, nil), tune(w, "b", era, nil)
		s.listening(2)

		prev := w.apply(2, server("s"), settings(true, ""), rulesFor("a", "deny tools: secret", "deny prompts: other"), rulesFor("b"))
		a.next("tools/list_changed")
		drained(t, prev)

		prev = w.apply(3, server("s"), settings(true, ""), rulesFor("a", "deny prompts: plan"), rulesFor("b", "deny tools: nothing"))
		a.next("tools/list_changed")
		a.next("prompts/list_changed")
		drained(t, prev)

		// What is hidden now stays hidden: the new rules decide what is told.
		s.set("prompts/list", "plan", "plan")
		s.announce("prompts")
		b.next("prompts/list_changed")
		s.announce("tools")
		a.next("tools/list_changed")
		a.nothing()
		b.next("tools/list_changed")
		b.nothing()
		s.mu.Lock()
		if len(s.streams) != 2 {
			t.Errorf("%d streams were opened at the server, want those of the beginning", len(s.streams))
		}
		s.mu.Unlock()
	}
}

// drained waits until a table has been let go.
func drained(t testing.TB, table interface{ Drained() <-chan struct{} }) {
	t.Helper()
	select {
	case <-table.Drained():
	case <-time.After(patience):
		t.Fatal("the table is still in use")
	}
}

func TestAnotherServerBehindTheNameIsToldAndHeard(t *testing.T) {
	w, s := play(t, mcp.Legacy)
	s.set("tools/list", "x")
	s.set("prompts/list", "y")
	e := tune(w, "b", mcp.Modern, nil)
	e.next("subscriptions/acknowledged")
	s.listening(1)
	other := onStage(t, mcp.Modern)
	other.set("tools/list", "x")
	other.set("prompts/list", "y", "z")
	w.serversMu.Lock()
	w.servers["s"] = other.memory
	w.serversMu.Unlock()
	prev := w.apply(2, server("s"), settings(true, ""), rulesFor("a"), rulesFor("b"))
	e.next("prompts/list_changed")
	other.listening(1)
	drained(t, prev)
	other.announce("tools")
	e.next("tools/list_changed")
	e.nothing()
}

func TestSubscriptionsFollowThePolicy(t *testing.T) {
	for _, era := range []mcp.Era{mcp.Legacy, mcp.Modern} {
		w, s := play(t, mcp.Modern, "deny resources: secret")
		s.set("resources/list", "open", "secret")
		a := tune(w, "a", era, func(d *gateway.Direct) {
			d.URIs = []string{"open", "secret"}
			if era == mcp.Modern {
				d.Params = []byte(`{"notifications":{"resourceSubscriptions":["open","secret"]}}`)
			}
		})
		s.listening(1)
		w.apply(2, server("s"), settings(true, ""), rulesFor("a", "deny resources: open"))
		if era == mcp.Legacy {
			a.next("resources/list_changed")
		}
		s.listening(2)
		s.mu.Lock()
		for i, want := range []string{`"resourceSubscriptions":["open"]`, `"resourceSubscriptions":["secret"]`} {
			if !strings.Contains(s.params[i], want) {
				t.Errorf("subscription %d = %s, want %s", i, s.params[i], want)
			}
		}
		newest := s.streams[1]
		s.mu.Unlock()
		newest.Notify("notifications/resources/updated", []byte(`{"uri":"open"}`))
		newest.Notify("notifications/resources/updated", []byte(`{"uri":"secret"}`))
		a.next("resources/updated")
		a.nothing()
	}
}

func TestStreamOfAnAgentThatMayNotListenAnyMore(t *testing.T) {
	for _, era := range []mcp.Era{mcp.Legacy, mcp.Modern} {
		w, s := play(t, mcp.Modern)
		b := tune(w, "b", era, nil)
		s.listening(1)
		prev := w.apply(2, server("s"), settings(true, ""), policy("b", nil, nil, nil))
		drained(t, prev)
		if era == mcp.Modern {
			if got, want := <-b.ended, `{"_meta":{"io.modelcontextprotocol/subscriptionId":1},"resultType":"complete"}`; got != want {
				t.Errorf("the stream ended with %s, want %s", got, want)
			}
			continue
		}
		s.announce("tools") // as a server may that has not noticed yet
		b.nothing()
		prev = w.apply(3, server("s"), settings(true, ""), rulesFor("b"))
		for _, kind := range []string{"tools", "resources", "prompts"} {
			b.next(kind + "/list_changed")
		}
		s.listening(2)
		drained(t, prev)
		s.announce("prompts")
		b.next("prompts/list_changed")
	}
}
