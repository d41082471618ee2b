package upstream_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// raceEnv has a child end at once where the race detector would keep it for a second.
const raceEnv = "GORACE"

// child is the definition of a server that the test binary plays.
func child(name string) *gatehousev1.Server {
	exe, err := filepath.Abs(os.Args[0])
	if err != nil {
		panic(err)
	}
	return &gatehousev1.Server{Transport: &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{
		Command: exe, Env: map[string]string{serverEnv: name, raceEnv: "atexit_sleep_ms=0"},
	}}}
}

// servers are definitions by name.
type servers map[string]*gatehousev1.Server

// tableOf makes a table of servers.
func tableOf(t testing.TB, all servers) *table.Table {
	t.Helper()
	c := &gatehousev1.SnapshotContent{Config: &gatehousev1.Config{}}
	for name, s := range all {
		c.Config.Objects = append(c.Config.Objects, &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Server{Server: s}})
	}
	tab, err := table.Compile(nil, c)
	if err != nil {
		t.Fatalf("Compile = %v", err)
	}
	return tab
}

// newPool makes a pool that ends with the test.
func newPool(t testing.TB, c upstream.Config) *upstream.Pool {
	t.Helper()
	if c.StopGrace == 0 {
		c.StopGrace = 500 * time.Millisecond
	}
	p := upstream.New(c)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return p
}

// one is a pool with one server.
func one(t testing.TB, c upstream.Config, s *gatehousev1.Server) *upstream.Upstream {
	t.Helper()
	p := newPool(t, c)
	tab := tableOf(t, servers{"s": s})
	p.Prepare(tab)
	return p.Upstream(tab.Server("s"))
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// deadline is a context whose deadline passes when a test says so, and not before: the call is where it is to be then.
type deadline struct {
	context.Context
	passed chan struct{}
}

// passes returns one that passes once something holds.
func passes(t testing.TB, what string, holds func() bool) context.Context {
	d := &deadline{t.Context(), make(chan struct{})}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		defer close(d.passed)
		for end := time.Now().Add(time.Minute); !holds(); {
			if time.Now().After(end) {
				t.Errorf("still not true: %s", what)
				return
			}
			<-time.After(5 * time.Millisecond)
		}
	})
	t.Cleanup(waiting.Wait)
	return d
}

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} { return d.passed }

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }

// Err implements context.Context.
func (d *deadline) Err() error {
	select {
	case <-d.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// tool is a call of a tool.
func tool(name string) *mcp.Call {
	return &mcp.Call{Method: "tools/call", Name: name, Params: []byte(`{"name":"` + name + `","arguments":{}}`)}
}

// mustCall returns the result of a call as text.
func mustCall(t testing.TB, u *upstream.Upstream, c *mcp.Call) string {
	t.Helper()
	reply, err := u.Call(soon(t), c)
	if err != nil {
		t.Fatalf("Call(%s) = %v", c.Name, err)
	}
	defer reply.Close()
	if reply.Error != nil {
		t.Fatalf("Call(%s) = JSON-RPC error %d %s", c.Name, reply.Error.Code, reply.Error.Message)
	}
	return string(reply.Result)
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx := soon(t)
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("still not true: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
