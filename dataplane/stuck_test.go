package dataplane_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
)

// Calls wait for a disk that takes no records. Shutting down must not wait with them.
func TestDrainEndsThoughTheAuditLogIsStuck(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	control := startControlPlane(t)
	control.apply(policy("researcher", "everything"))
	s, err := dataplane.New(dataplane.Config{
		ControlPlane: control.addr, Auth: auth.None, Audit: "/dev/full", StateDir: t.TempDir(),
		Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", DrainTimeout: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p := &proxy{Server: s, t: t}
	p.waitReady()
	var callers sync.WaitGroup
	defer callers.Wait()
	fillAudit(p, &callers)
	cancel()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "unwritten") {
			t.Errorf("Run = %v, want an error that says what is lost", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("Run does not end")
	}
}

// fillAudit calls until a call has to wait for the audit log, and leaves that one waiting.
func fillAudit(p *proxy, callers *sync.WaitGroup) {
	var args strings.Builder // long names make long records
	for i := range 32 {
		fmt.Fprintf(&args, `,"%d-%s":1`, i, strings.Repeat("x", 250))
	}
	for {
		answered := make(chan answer, 1)
		callers.Go(func() { answered <- p.call("", "list_servers", "{"+args.String()[1:]+"}") })
		select {
		case <-answered:
		case <-time.After(time.Second):
			return
		}
	}
}

// A page that made itself look local by DNS rebinding could read the names of servers and agents.
func TestAdminPagesAreForThisMachine(t *testing.T) {
	p := startProxy(t, dataplane.Config{ControlPlane: "127.0.0.1:1"})
	for host, want := range map[string]int{"": 200, "localhost": 200, "[::1]:8081": 200, "example.com": 403, "127.0.0.1.example.com:80": 403} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.AdminAddr()+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("GET for host %q = %d, want %d", host, res.StatusCode, want)
		}
	}
}

// Agents read the warnings, so those hold neither paths nor what policy hides.
func TestStatusDoesNotSayWhyTheAuditLogIsStuck(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	control := startControlPlane(t)
	control.apply(policy("researcher", "everything"))
	s, err := dataplane.New(dataplane.Config{
		ControlPlane: control.addr, Auth: auth.None, Audit: "/dev/full", Debug: true, StateDir: t.TempDir(),
		Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p := &proxy{Server: s, t: t}
	p.waitReady()
	var got answer
	eventually(t, "the status warns", func() bool {
		got = p.call("", "get_gateway_status", `{"agent_id":"researcher"}`)
		return strings.Contains(got.body, "audit log cannot be written")
	})
	if strings.Contains(got.body, "/dev/full") {
		t.Errorf("answer = %+v, want one without the path", got)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("Run = nil, want an error that says what is lost")
	}
}
