package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-mcp/gatehouse/controlplane"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plane is a whole control plane and a client of it, over TCP and on a real store.
type plane struct {
	gatehousev1.AdminServiceClient
	t    *testing.T
	conn *grpc.ClientConn
}

// start runs a control plane until the test ends.
func start(t *testing.T) *plane {
	t.Helper()
	s, err := controlplane.New(controlplane.Config{
		Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", DataDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(s.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
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
		_ = conn.Close()
	})
	return &plane{AdminServiceClient: gatehousev1.NewAdminServiceClient(conn), t: t, conn: conn}
}

// apply commits objects and waits until they are published, or ends the test.
func (p *plane) apply(objects ...*gatehousev1.Object) *gatehousev1.ApplyResponse {
	p.t.Helper()
	res, err := p.Apply(p.t.Context(), &gatehousev1.ApplyRequest{Put: objects, Author: "ada", Message: "for a test"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.until("publication", func() bool {
		f, err := p.Fleet(p.t.Context(), &gatehousev1.FleetRequest{})
		return err == nil && f.GetTarget().GetRevision() == res.GetRevision()
	})
	return res
}

// names returns the references of all objects of a revision.
func (p *plane) names(revision int64) string {
	p.t.Helper()
	res, err := p.Get(p.t.Context(), &gatehousev1.GetRequest{Revision: revision})
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, o := range res.GetObjects() {
		names = append(names, o.GetName())
	}
	return strings.Join(names, " ")
}

// server is a server object that runs a program.
func server(name, command string) *gatehousev1.Object {
	stdio := &gatehousev1.Stdio{Command: command}
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Server{Server: &gatehousev1.Server{
		Transport: &gatehousev1.Server_Stdio{Stdio: stdio},
	}}}
}

// policy lets an agent use servers, but for some tools written SERVER/TOOL.
func policy(agent, servers string, denied ...string) *gatehousev1.Object {
	p := &gatehousev1.Policy{Allow: &gatehousev1.Access{Servers: strings.Fields(servers)}}
	for _, d := range denied {
		name, tool, _ := strings.Cut(d, "/")
		p.Deny = &gatehousev1.Access{Tools: append(p.GetDeny().GetTools(), &gatehousev1.ToolRule{Server: name, Tools: []string{tool}})}
	}
	return &gatehousev1.Object{Name: agent, Spec: &gatehousev1.Object_Policy{Policy: p}}
}

// credential is an API key of an agent.
func credential(name, agent string, digit int) *gatehousev1.Object {
	key := &gatehousev1.ApiKey{Sha256: strings.Repeat(fmt.Sprintf("%x", digit), 64)}
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Credential{Credential: &gatehousev1.Credential{
		ApiKey: key, Agents: []string{agent},
	}}}
}

// changes writes changes as "ACTION OBJECT".
func changes(list []*gatehousev1.Change) string {
	var out []string
	for _, c := range list {
		action := strings.TrimPrefix(c.GetAction().String(), "ACTION_")
		out = append(out, strings.ToLower(action)+" "+c.GetObject())
	}
	return strings.Join(out, ", ")
}

// wantCode ends the test unless err has the code.
func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Fatalf("%s = %v (%v), want %v", what, got, err, want)
	}
}

// fields returns the field violations that err carries.
func fields(err error) []string {
	var out []string
	for _, d := range status.Convert(err).Details() {
		bad, ok := d.(*errdetails.BadRequest)
		if !ok {
			continue
		}
		for _, v := range bad.GetFieldViolations() {
			out = append(out, v.GetField())
		}
	}
	return out
}
