package upstream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func withMode(mode gatehousev1.SessionMode) *gatehousev1.Server {
	s := child("legacy")
	s.Session = mode
	return s
}

func TestModesIsolate(t *testing.T) {
	callers := [][2]string{{"a", "1"}, {"a", "2"}, {"b", "1"}, {"b", ""}, {"b", ""}}
	for mode, want := range map[gatehousev1.SessionMode][]int{
		gatehousev1.SessionMode_SESSION_MODE_UNSPECIFIED: {0, 0, 0, 0, 0},
		gatehousev1.SessionMode_SESSION_MODE_SHARED:      {0, 0, 0, 0, 0},
		gatehousev1.SessionMode_SESSION_MODE_AGENT:       {0, 0, 2, 2, 2},
		gatehousev1.SessionMode_SESSION_MODE_SESSION:     {0, 1, 2, 3, 4}, // without a session as call
		gatehousev1.SessionMode_SESSION_MODE_CALL:        {0, 1, 2, 3, 4},
	} {
		u := one(t, upstream.Config{}, withMode(mode))
		var pids []int
		for i, c := range callers {
			pids = append(pids, pidOf(t, u, c[0], c[1]))
			if first := firstOf(pids, pids[i]); first != want[i] {
				t.Errorf("%v: call %d ran in the process of call %d, want %d", mode, i, first, want[i])
			}
		}
	}
}

func firstOf(list []int, v int) int {
	for i, w := range list {
		if v == w {
			return i
		}
	}
	return -1
}

func TestSessionsAreKeptBetweenCalls(t *testing.T) {
	u := one(t, upstream.Config{}, withMode(gatehousev1.SessionMode_SESSION_MODE_SESSION))
	first := pidOf(t, u, "a", "1")
	pidOf(t, u, "a", "2")
	if again := pidOf(t, u, "a", "1"); again != first {
		t.Errorf("second call of a session ran in process %d, want %d", again, first)
	}
}

func TestEndSessionClosesWhatBelongedToIt(t *testing.T) {
	p := newPool(t, upstream.Config{})
	tab := tableOf(t, servers{"s": withMode(gatehousev1.SessionMode_SESSION_MODE_SESSION)})
	p.Prepare(tab)
	u := p.Upstream(tab.Server("s"))
	ended, kept := pidOf(t, u, "a", "1"), pidOf(t, u, "a", "2")
	p.EndSession("1")
	eventually(t, "the session's process is gone", func() bool { return !exists(ended) })
	if again := pidOf(t, u, "a", "2"); again != kept {
		t.Errorf("the other session runs in process %d, want %d", again, kept)
	}
}

func TestCallModeLeavesNoProcess(t *testing.T) {
	u := one(t, upstream.Config{}, withMode(gatehousev1.SessionMode_SESSION_MODE_CALL))
	pid := pidOf(t, u, "a", "1")
	eventually(t, "the call's process is gone", func() bool { return !exists(pid) })
}

func TestIdleSessionsEnd(t *testing.T) {
	u := one(t, upstream.Config{IdleTimeout: 20 * time.Millisecond}, withMode(gatehousev1.SessionMode_SESSION_MODE_AGENT))
	pid := pidOf(t, u, "a", "")
	eventually(t, "the idle session's process is gone", func() bool { return !exists(pid) })
	mustCall(t, u, tool("empty"))
}

func TestSessionsAreCapped(t *testing.T) {
	u := one(t, upstream.Config{MaxSessions: 2}, withMode(gatehousev1.SessionMode_SESSION_MODE_AGENT))
	first := pidOf(t, u, "a", "")
	second := pidOf(t, u, "b", "")
	pidOf(t, u, "c", "") // the longest idle one makes room
	eventually(t, "the first session's process is gone", func() bool { return !exists(first) })
	if again := pidOf(t, u, "b", ""); again != second {
		t.Errorf("session of b runs in process %d, want %d", again, second)
	}
}

func TestSessionsInUseAreNotTakenAway(t *testing.T) {
	u := one(t, upstream.Config{MaxSessions: 2}, withMode(gatehousev1.SessionMode_SESSION_MODE_AGENT))
	ended := make(chan error, 2)
	for _, agent := range []string{"a", "b"} {
		c := tool("hang")
		c.Agent = agent
		ctx, cancel := context.WithCancel(t.Context())
		defer func() {
			cancel()
			<-ended
		}()
		go func() {
			_, err := u.Call(ctx, c)
			ended <- err
		}()
	}
	eventually(t, "both sessions are in use", func() bool { return len(children(t)) == 2 })
	c := tool("empty")
	c.Agent = "c"
	if _, err := u.Call(soon(t), c); !errors.Is(err, mcp.ErrUnavailable) {
		t.Errorf("Call of a third agent = %v, want %v", err, mcp.ErrUnavailable)
	}
}
