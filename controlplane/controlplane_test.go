package controlplane_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-mcp/gatehouse/controlplane"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test; it is never reached by a test that passes.
const patience = time.Minute

// running is a control plane under test and a client of it.
type running struct {
	*controlplane.Server
	t    *testing.T
	conn *grpc.ClientConn
	stop func() error // ends Run; the second call does nothing
}

// onLoopback is a config that any number of tests can use at once.
func onLoopback(dir string) controlplane.Config {
	return controlplane.Config{Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", DataDir: dir, Version: "v1.2.3"}
}

// start runs a control plane until the test ends.
func start(t *testing.T, c controlplane.Config) *running {
	t.Helper()
	s, err := controlplane.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx); close(done) }()
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Server: s, t: t, conn: conn, stop: func() error { cancel(); return <-done }}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		_ = conn.Close()
	})
	return r
}

// apply commits a server of a name.
func (r *running) apply(name string) {
	r.t.Helper()
	stdio := &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{Command: "true"}}
	_, err := gatehousev1.NewAdminServiceClient(r.conn).Apply(r.t.Context(), &gatehousev1.ApplyRequest{
		Put: []*gatehousev1.Object{{
			Name: name, Spec: &gatehousev1.Object_Server{Server: &gatehousev1.Server{Transport: stdio}},
		}},
	}, grpc.WaitForReady(true))
	if err != nil {
		r.t.Fatal(err)
	}
}

// follow opens a stream as a proxy and hears until the snapshot of a revision.
func (r *running) follow(revision int64) gatehousev1.SnapshotService_FollowClient {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	st, err := gatehousev1.NewSnapshotServiceClient(r.conn).Follow(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	h := &gatehousev1.Hello{ProxyId: "p", BootId: "b"}
	if err := st.Send(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Hello{Hello: h}}); err != nil {
		r.t.Fatal(err)
	}
	for {
		m, err := st.Recv()
		if err != nil {
			r.t.Fatal(err)
		}
		s := m.GetSnapshot()
		if s == nil {
			continue
		}
		ack := &gatehousev1.Ack{Position: s.GetPosition()}
		if err := st.Send(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Ack{Ack: ack}}); err != nil {
			r.t.Fatal(err)
		}
		if s.GetPosition().GetRevision() >= revision {
			return st
		}
	}
}

// get reads a page of the admin listener.
func (r *running) get(path string) (code int, body string) {
	r.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Get("http://" + r.AdminAddr() + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func TestAChangeReachesAProxy(t *testing.T) {
	r := start(t, onLoopback(t.TempDir()))
	r.apply("demo")
	r.follow(1)
}

func TestAnotherStartGoesOnWithTheSameStore(t *testing.T) {
	dir := t.TempDir()
	r := start(t, onLoopback(dir))
	r.apply("one")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, onLoopback(dir))
	again.apply("two")
	again.follow(2)
}

func TestASecondControlPlaneOfOneStoreIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, onLoopback(dir))
	_, err := controlplane.New(onLoopback(dir))
	if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("New = %v, want ErrInUse with the holder's pid", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]controlplane.Config{
		"all interfaces":         {Listen: ":0", AdminListen: "127.0.0.1:0", DataDir: t.TempDir()},
		"an address of others":   {Listen: "192.0.2.1:0", AdminListen: "127.0.0.1:0", DataDir: t.TempDir()},
		"a name":                 {Listen: "gatehouse.example:0", AdminListen: "127.0.0.1:0", DataDir: t.TempDir()},
		"admin off loopback":     {Listen: "127.0.0.1:0", AdminListen: "0.0.0.0:0", DataDir: t.TempDir()},
		"an address without one": {Listen: "9090", AdminListen: "127.0.0.1:0", DataDir: t.TempDir()},
		"another store":          {Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", DataDir: t.TempDir(), Store: "etcd://h1:2379/gatehouse"},
		"no folder":              {Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0"},
	} {
		s, err := controlplane.New(c)
		if err == nil {
			t.Errorf("New with %s = nil, want an error", name)
			_ = s.Close()
		}
	}
}

func TestAServerThatIsNeverRunIsClosed(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second would find the store in use
		s, err := controlplane.New(onLoopback(dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v, want nil", err)
		}
	}
}

func TestAdminListenerAnswers(t *testing.T) {
	r := start(t, onLoopback(t.TempDir()))
	r.apply("demo")
	r.follow(1)
	for path, want := range map[string]string{
		"/livez":   "ok",
		"/readyz":  "ok",
		"/version": `"version":"v1.2.3"`,
		"/metrics": `gatehouse_proxies{state="synced"} 1`,
	} {
		code, body := r.get(path)
		for end := time.Now().Add(patience); !strings.Contains(body, want) && time.Now().Before(end); {
			code, body = r.get(path)
		}
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s = %d %q, want 200 with %q", path, code, body, want)
		}
	}
	if code, _ := r.get("/else"); code != http.StatusNotFound {
		t.Errorf("GET /else = %d, want 404", code)
	}
}

func TestAdminListenerAnswersToItsOwnNamesAlone(t *testing.T) {
	r := start(t, onLoopback(t.TempDir()))
	for host, want := range map[string]int{"localhost:9091": 200, "127.0.0.1": 200, "[::1]:9091": 200, "evil.example:9091": 403} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.AdminAddr()+"/livez", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host, req.Close = host, true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("GET /livez of host %q = %d, want %d", host, res.StatusCode, want)
		}
	}
}

func TestHealthServiceAnswers(t *testing.T) {
	r := start(t, onLoopback(t.TempDir()))
	res, err := healthv1.NewHealthClient(r.conn).Check(t.Context(), &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	if res.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("health = %v, want SERVING", res.GetStatus())
	}
}

func TestStoppingSendsProxiesAndWaitersAway(t *testing.T) {
	r := start(t, onLoopback(t.TempDir()))
	r.apply("one")
	st := r.follow(1)
	r.apply("two") // never acked, so that the wait goes on
	w, err := gatehousev1.NewAdminServiceClient(r.conn).Wait(t.Context(), &gatehousev1.WaitRequest{Revision: 2})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := w.Recv(); err != nil || m.GetDone() {
		t.Fatalf("Wait = %v, %v, want progress", m, err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	drained := false
	for {
		m, err := st.Recv()
		if err != nil {
			break
		}
		if m.GetDrain() == nil {
			continue
		}
		drained = true
		if code, _ := r.get("/readyz"); code != http.StatusServiceUnavailable {
			t.Errorf("GET /readyz while draining = %d, want 503", code)
		}
	}
	if !drained {
		t.Error("the stream ended without drain")
	}
	for err = nil; err == nil; {
		_, err = w.Recv()
	}
	if got := status.Code(err); got != codes.Unavailable {
		t.Errorf("the wait ended with %v, want Unavailable", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestATakenAddressIsNamedWithTheNextStep(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = controlplane.New(controlplane.Config{Listen: l.Addr().String(), AdminListen: "127.0.0.1:0", DataDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "name another address") {
		t.Errorf("New = %v, want the address and what to do", err)
	}
}
