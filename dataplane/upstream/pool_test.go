package upstream_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// swap puts a table into service as a proxy does.
func swap(p *upstream.Pool, live *table.Live, next *table.Table) {
	p.Prepare(next)
	p.Release(live.Swap(next))
}

func TestUnchangedServersKeepTheirConnection(t *testing.T) {
	p, live := newPool(t, upstream.Config{}), new(table.Live)
	first := tableOf(t, servers{"same": child("legacy"), "changed": child("legacy")})
	swap(p, live, first)
	same := pidOf(t, p.Upstream(first.Server("same")), "", "")
	changed := pidOf(t, p.Upstream(first.Server("changed")), "", "")

	other, described := child("legacy"), child("legacy")
	other.GetStdio().Args = []string{"another"}
	described.Description, described.CallTimeout = "new words", "5s"
	second := tableOf(t, servers{"same": described, "changed": other})
	swap(p, live, second)
	if pid := pidOf(t, p.Upstream(second.Server("same")), "", ""); pid != same {
		t.Errorf("unchanged server runs in process %d, want %d", pid, same)
	}
	if pid := pidOf(t, p.Upstream(second.Server("changed")), "", ""); pid == changed {
		t.Errorf("changed server still runs in process %d", pid)
	}
	eventually(t, "the process of the old definition is gone", func() bool { return !exists(changed) })
}

func TestLastCallOfTheOldTableEndsOnTheOldConnection(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	s := child("legacy")
	s.GetStdio().Env["GATE"] = gate
	p, live := newPool(t, upstream.Config{}), new(table.Live)
	swap(p, live, tableOf(t, servers{"s": s}))

	old := live.Acquire()
	u := p.Upstream(old.Server("s"))
	pid := pidOf(t, u, "", "")
	result := make(chan string, 1)
	go func() {
		reply, err := u.Call(soon(t), tool("gate"))
		if err != nil {
			result <- err.Error()
			return
		}
		result <- string(reply.Result)
		reply.Close()
	}()
	swap(p, live, tableOf(t, servers{}))
	if again := pidOf(t, p.Upstream(old.Server("s")), "", ""); again != pid {
		t.Errorf("pinned table's server runs in process %d, want %d", again, pid)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := <-result, mustBe(pid); got != want {
		t.Errorf("call begun before the swap = %s, want %s", got, want)
	}
	old.Release()
	eventually(t, "the removed server's process is gone", func() bool { return !exists(pid) })
	if _, err := p.Upstream(old.Server("s")).Call(soon(t), tool("empty")); !errors.Is(err, mcp.ErrUnavailable) {
		t.Errorf("Call on a released table = %v, want %v", err, mcp.ErrUnavailable)
	}
}

func TestServerComesBackInALaterTable(t *testing.T) {
	p, live := newPool(t, upstream.Config{}), new(table.Live)
	for range 5 {
		swap(p, live, tableOf(t, servers{"s": child("legacy")}))
		pidOf(t, p.Upstream(live.Load().Server("s")), "", "")
		swap(p, live, tableOf(t, servers{}))
	}
	eventually(t, "no process is left", func() bool { return len(children(t)) == 0 })
}

func TestDisabledServerIsClosedAndSaysSo(t *testing.T) {
	p, live := newPool(t, upstream.Config{}), new(table.Live)
	swap(p, live, tableOf(t, servers{"s": child("legacy")}))
	pid := pidOf(t, p.Upstream(live.Load().Server("s")), "", "")
	off := child("legacy")
	off.Disabled = true
	swap(p, live, tableOf(t, servers{"s": off}))
	u := p.Upstream(live.Load().Server("s"))
	if _, err := u.Call(soon(t), tool("empty")); !errors.Is(err, mcp.ErrUnavailable) {
		t.Errorf("Call = %v, want %v", err, mcp.ErrUnavailable)
	}
	if _, err := u.Tools(soon(t)); !errors.Is(err, mcp.ErrUnavailable) {
		t.Errorf("Tools = %v, want %v", err, mcp.ErrUnavailable)
	}
	if got := u.Status().State; got != "disabled" {
		t.Errorf("State = %s, want disabled", got)
	}
	eventually(t, "the disabled server's process is gone", func() bool { return !exists(pid) })
}

func TestCloseEndsCallsUnderWay(t *testing.T) {
	p := newPool(t, upstream.Config{})
	tab := tableOf(t, servers{"s": child("legacy")})
	p.Prepare(tab)
	u := p.Upstream(tab.Server("s"))
	ended := make(chan error, 1)
	go func() {
		_, err := u.Call(soon(t), tool("hang"))
		ended <- err
	}()
	eventually(t, "the call is under way", func() bool { return mustCall(t, u, tool("hanging")) == "1" })
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, mcp.ErrUnavailable) {
		t.Errorf("Call = %v, want %v", err, mcp.ErrUnavailable)
	}
	if _, err := u.Call(soon(t), tool("empty")); !errors.Is(err, mcp.ErrUnavailable) {
		t.Errorf("Call after Close = %v, want %v", err, mcp.ErrUnavailable)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close = %v, want nil", err)
	}
}

func TestNothingStartsBeforeItIsNeeded(t *testing.T) {
	p := newPool(t, upstream.Config{})
	tab := tableOf(t, servers{"s": child("legacy")})
	p.Prepare(tab)
	if got := p.Upstream(tab.Server("s")).Status(); got.State != "idle" || got.Tools != nil {
		t.Errorf("Status = %+v, want idle without tools", got)
	}
	if c := children(t); len(c) > 0 {
		t.Errorf("children = %v, want none", c)
	}
}
