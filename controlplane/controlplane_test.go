package controlplane_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatehouse-mcp/gatehouse/controlplane"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a control plane on a data directory until the test ends.
func start(t *testing.T, c controlplane.Config) *controlplane.Server {
	t.Helper()
	c.Listen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	if c.DataDir == "" {
		c.DataDir = t.TempDir()
	}
	s, err := controlplane.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return s
}

// dial connects to the server's gRPC address.
func dial(t *testing.T, s *controlplane.Server) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

func TestChangeReachesAProxy(t *testing.T) {
	s := start(t, controlplane.Config{})
	cc := dial(t, s)
	admin := gatehousev1.NewAdminServiceClient(cc)
	res, err := admin.Apply(t.Context(), &gatehousev1.ApplyRequest{Put: []*gatehousev1.Object{{
		Name: "demo",
		Spec: &gatehousev1.Object_Server{Server: &gatehousev1.Server{
			Transport: &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{Command: "true"}},
		}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if res.GetRevision() != 1 || res.GetOutcome() != gatehousev1.Outcome_OUTCOME_COMMITTED {
		t.Errorf("Apply = %v, want revision 1 committed", res)
	}
	st, err := gatehousev1.NewSnapshotServiceClient(cc).Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hello := &gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Hello{Hello: &gatehousev1.Hello{ProxyId: "p", BootId: "b"}}}
	if err := st.Send(hello); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := st.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.GetSnapshot().GetPosition().GetRevision() == 1 {
			break
		}
	}
}
