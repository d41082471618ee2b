package upstream_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// pidOf asks a server for its process.
func pidOf(t testing.TB, u *upstream.Upstream, agent, session string) int {
	t.Helper()
	c := tool("pid")
	c.Agent, c.Session = agent, session
	pid, err := strconv.Atoi(mustCall(t, u, c))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// exists says whether there is a process, a zombie included.
func exists(pid int) bool {
	return syscall.Kill(pid, 0) == nil
}

// children returns the states of our child processes; Z is a zombie.
func children(t testing.TB) (states []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("there is no /proc")
	}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == fmt.Sprint(os.Getpid()) {
			states = append(states, f[0])
		}
	}
	return states
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc")
	}
	return len(entries)
}

func TestKilledServerFailsItsCallsAndComesBack(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	mustCall(t, u, tool("empty"))
	files, routines := openFiles(t), runtime.NumGoroutine()
	for i := range 100 {
		killDuringCall(t, u, i)
	}
	mustCall(t, u, tool("empty"))
	eventually(t, "one child and no zombie is left", func() bool {
		c := children(t)
		return len(c) == 1 && c[0] != "Z"
	})
	eventually(t, "file descriptors are back about where they were", func() bool { return openFiles(t) <= files+10 })
	eventually(t, "goroutines are back about where they were", func() bool { return runtime.NumGoroutine() <= routines+10 })
}

// killDuringCall kills the server with a call under way, which must end long before its deadline.
func killDuringCall(t *testing.T, u *upstream.Upstream, i int) {
	t.Helper()
	pid := pidOf(t, u, "", "")
	failed := make(chan error, 1)
	ctx := soon(t)
	go func() {
		_, err := u.Call(ctx, tool("hang"))
		failed <- err
	}()
	eventually(t, "the call is under way", func() bool { return mustCall(t, u, tool("hanging")) == "1" })
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		if !errors.Is(err, mcp.ErrUnavailable) || !strings.Contains(err.Error(), "signal: killed") {
			t.Fatalf("kill %d: Call(hang) = %v, want %v and the signal", i, err, mcp.ErrUnavailable)
		}
	case <-ctx.Done():
		t.Fatalf("kill %d: Call(hang) goes on", i)
	}
}

func TestExitIsExplainedWithoutSecrets(t *testing.T) {
	t.Setenv("HIDDEN", "correct horse")
	s := child("legacy")
	s.GetStdio().Env["SECRET"] = "${HIDDEN}"
	u := one(t, upstream.Config{}, s)
	_, err := u.Call(soon(t), tool("die"))
	if !errors.Is(err, mcp.ErrUnavailable) {
		t.Fatalf("Call(die) = %v, want %v", err, mcp.ErrUnavailable)
	}
	for _, want := range []string{"server s", "exited: status 7", "about to die of [secret]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Call(die) = %v, want %q in it", err, want)
		}
	}
	if st := u.Status(); st.State != "unavailable" || !strings.HasSuffix(err.Error(), st.Error) {
		t.Errorf("Status = %+v, want unavailable for that reason", st)
	}
	mustCall(t, u, tool("empty"))
	if st := u.Status(); st.State != "ready" || st.Error != "" {
		t.Errorf("Status = %+v, want ready", st)
	}
}

func TestServerThatNeverSpeaksIsKilled(t *testing.T) {
	s := child("mute")
	u := one(t, upstream.Config{
		ConnectTimeout: 200 * time.Millisecond, ProbeTimeout: 50 * time.Millisecond, StopGrace: 20 * time.Millisecond,
	}, s)
	_, err := u.Call(soon(t), tool("empty"))
	if !errors.Is(err, mcp.ErrUnavailable) || !strings.Contains(err.Error(), "handshake") {
		t.Errorf("Call = %v, want %v with the handshake named", err, mcp.ErrUnavailable)
	}
	eventually(t, "no child is left", func() bool { return len(children(t)) == 0 })
}

func TestCloseEndsTheWholeProcessGroup(t *testing.T) {
	p := newPool(t, upstream.Config{})
	tab := tableOf(t, servers{"s": child("legacy")})
	p.Prepare(tab)
	pid, err := strconv.Atoi(mustCall(t, p.Upstream(tab.Server("s")), tool("grandchild")))
	if err != nil || pid == 0 {
		t.Fatalf("grandchild = %d, %v", pid, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the grandchild is gone", func() bool { return !exists(pid) || reparented(pid) })
}

// reparented says whether a process is a zombie that somebody else has to reap.
func reparented(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err != nil || strings.HasPrefix(rest, "Z")
}

func TestCommandThatIsNotThereHurtsOnlyItsServer(t *testing.T) {
	p := newPool(t, upstream.Config{})
	bad := child("legacy")
	bad.GetStdio().Command = "/no/such/program"
	tab := tableOf(t, servers{"bad": bad, "good": child("legacy")})
	p.Prepare(tab)
	_, err := p.Upstream(tab.Server("bad")).Call(soon(t), tool("empty"))
	if !errors.Is(err, mcp.ErrUnavailable) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("Call = %v, want %v and the reason", err, mcp.ErrUnavailable)
	}
	mustCall(t, p.Upstream(tab.Server("good")), tool("empty"))
}

func TestRepeatedFailuresPauseTheNextAttempt(t *testing.T) {
	bad := child("legacy")
	bad.GetStdio().Command = "/no/such/program"
	u := one(t, upstream.Config{}, bad)
	var last string
	for range 3 {
		_, err := u.Call(soon(t), tool("empty"))
		if !errors.Is(err, mcp.ErrUnavailable) {
			t.Fatalf("Call = %v, want %v", err, mcp.ErrUnavailable)
		}
		last = err.Error()
	}
	if !strings.Contains(last, "next attempt in") {
		t.Errorf("third Call = %s, want the next attempt named", last)
	}
}
