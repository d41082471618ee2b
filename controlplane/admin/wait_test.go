package admin_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// patience bounds every wait of a test; it is never reached by a test that passes.
const patience = time.Minute

// until polls until the condition holds.
func (p *plane) until(what string, holds func() bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for !holds() {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			p.t.Fatalf("%s did not come", what)
		}
	}
}

// proxy is a proxy's end of one stream, played by the test.
type proxy struct {
	t      *testing.T
	stream gatehousev1.SnapshotService_FollowClient
	leave  context.CancelFunc
	last   *gatehousev1.Position // the last snapshot received
}

// connect opens a stream and accepts the newest snapshot.
func (p *plane) connect(id string) *proxy {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	p.t.Cleanup(cancel)
	st, err := gatehousev1.NewSnapshotServiceClient(p.conn).Follow(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	x := &proxy{t: p.t, stream: st, leave: cancel}
	x.say(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Hello{
		Hello: &gatehousev1.Hello{ProxyId: id, BootId: id + "-boot"},
	}})
	x.snapshot(0)
	x.ack()
	return x
}

// say sends one message.
func (x *proxy) say(m *gatehousev1.FollowRequest) {
	x.t.Helper()
	if err := x.stream.Send(m); err != nil {
		x.t.Fatal(err)
	}
}

// snapshot reads until a snapshot of at least the revision comes.
func (x *proxy) snapshot(revision int64) {
	x.t.Helper()
	for {
		m, err := x.stream.Recv()
		if err != nil {
			x.t.Fatal(err)
		}
		if s := m.GetSnapshot(); s != nil && s.GetPosition().GetRevision() >= revision {
			x.last = s.GetPosition()
			return
		}
	}
}

// ack accepts the last snapshot.
func (x *proxy) ack() {
	x.say(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Ack{Ack: &gatehousev1.Ack{Position: x.last}}})
}

// nack refuses the last snapshot.
func (x *proxy) nack(reason string) {
	x.say(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Nack{
		Nack: &gatehousev1.Nack{Position: x.last, Reason: reason},
	}})
}

// report sends a report.
func (x *proxy) report(r *gatehousev1.Report) {
	x.say(&gatehousev1.FollowRequest{Message: &gatehousev1.FollowRequest_Report{Report: r}})
}

// wait begins a Wait and returns what comes of it, one message at a time.
func (p *plane) wait(revision int64, cond gatehousev1.WaitCondition) gatehousev1.AdminService_WaitClient {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	p.t.Cleanup(cancel)
	st, err := p.Wait(ctx, &gatehousev1.WaitRequest{Revision: revision, Condition: cond})
	if err != nil {
		p.t.Fatal(err)
	}
	return st
}

// await reads until a message meets the condition.
func await(t *testing.T, st gatehousev1.AdminService_WaitClient, meets func(*gatehousev1.WaitResponse) bool) *gatehousev1.WaitResponse {
	t.Helper()
	for {
		m, err := st.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if meets(m) {
			return m
		}
	}
}

func isDone(m *gatehousev1.WaitResponse) bool { return m.GetDone() }

func TestWaitWithoutProxiesIsDoneAtOnce(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"))
	st := p.wait(1, gatehousev1.WaitCondition_WAIT_CONDITION_ACKED)
	m, err := st.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if !m.GetDone() || len(m.GetProxies()) != 0 {
		t.Errorf("Wait = %v, want done without proxies", m)
	}
	if _, err := st.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after done = %v, want the end", err)
	}
}

func TestWaitWaitsForEveryProxyAlsoOneThatConnectsMeanwhile(t *testing.T) {
	p := start(t)
	one := p.connect("p1")
	p.apply(server("a", "true"))
	st := p.wait(1, gatehousev1.WaitCondition_WAIT_CONDITION_ACKED)
	await(t, st, func(m *gatehousev1.WaitResponse) bool { return len(m.GetProxies()) == 1 && m.GetReached() == 0 })
	p.connect("p2")
	m := await(t, st, func(m *gatehousev1.WaitResponse) bool { return len(m.GetProxies()) == 2 && m.GetReached() == 1 })
	if m.GetDone() {
		t.Errorf("Wait = %v, want it to go on for p1", m)
	}
	one.snapshot(1)
	one.ack()
	if m := await(t, st, isDone); m.GetReached() != 2 {
		t.Errorf("Wait = %v, want 2 reached", m)
	}
}

func TestWaitPassesOverProxiesThatAreOffline(t *testing.T) {
	p := start(t)
	p.connect("p1").leave()
	p.until("the end of p1's stream", func() bool {
		f, err := p.Fleet(t.Context(), &gatehousev1.FleetRequest{})
		return err == nil && f.GetProxies()[0].GetState() == gatehousev1.ProxyState_PROXY_STATE_OFFLINE
	})
	p.apply(server("a", "true"))
	m := await(t, p.wait(1, gatehousev1.WaitCondition_WAIT_CONDITION_ACKED), isDone)
	if len(m.GetProxies()) != 0 {
		t.Errorf("Wait = %v, want no proxies", m)
	}
}

func TestWaitCountsRefusals(t *testing.T) {
	p := start(t)
	one, two := p.connect("p1"), p.connect("p2")
	p.apply(server("a", "true"))
	st := p.wait(1, gatehousev1.WaitCondition_WAIT_CONDITION_ACKED)
	one.snapshot(1)
	one.ack()
	two.snapshot(1)
	two.nack("no room")
	m := await(t, st, func(m *gatehousev1.WaitResponse) bool { return m.GetReached() == 1 && m.GetRejected() == 1 })
	if m.GetDone() || m.GetProxies()[1].GetState() != gatehousev1.ProxyState_PROXY_STATE_REJECTED || m.GetProxies()[1].GetError() != "no room" {
		t.Errorf("Wait = %v, want p2 rejected for no room, and not done", m)
	}
}

func TestWaitForAnOlderRevisionCountsNewerOnes(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"))
	p.apply(server("b", "true"))
	p.connect("p1")
	await(t, p.wait(1, gatehousev1.WaitCondition_WAIT_CONDITION_ACKED), isDone)
}

func TestWaitDrainedWaitsForTheLastOldCall(t *testing.T) {
	p := start(t)
	one := p.connect("p1")
	p.apply(server("a", "true"))
	one.snapshot(1)
	one.ack()
	await(t, p.wait(1, gatehousev1.WaitCondition_WAIT_CONDITION_ACKED), isDone)
	st := p.wait(1, gatehousev1.WaitCondition_WAIT_CONDITION_DRAINED)
	one.report(&gatehousev1.Report{Serving: one.last, OldestRevision: 0, Calls: 1})
	await(t, st, func(m *gatehousev1.WaitResponse) bool {
		return !m.GetDone() && len(m.GetProxies()) == 1 && m.GetProxies()[0].GetReport().GetCalls() == 1
	})
	one.report(&gatehousev1.Report{Serving: one.last, OldestRevision: 1})
	await(t, st, isDone)
}

func TestWaitRefusesARevisionThatIsNotThere(t *testing.T) {
	p := start(t)
	_, err := p.wait(5, gatehousev1.WaitCondition_WAIT_CONDITION_ACKED).Recv()
	wantCode(t, "Wait", err, codes.InvalidArgument)
}

func TestBackupOfTheRunningStoreRestores(t *testing.T) {
	p := start(t)
	p.apply(server("a", "true"))
	p.apply(policy("backend", "a"))
	st, err := p.Backup(t.Context(), &gatehousev1.BackupRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var data strings.Builder
	var last *gatehousev1.BackupResponse
	for {
		m, err := st.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(m.GetData()) > 64<<10 {
			t.Errorf("a piece has %d bytes, want at most 64 KiB", len(m.GetData()))
		}
		data.Write(m.GetData())
		last = m
	}
	if sum := sha256.Sum256([]byte(data.String())); string(last.GetSha256()) != string(sum[:]) || last.GetRevision() != 2 {
		t.Errorf("end = %v, want the digest of all data and revision 2", last)
	}
	n, err := bolt.Restore(t.Context(), strings.NewReader(data.String()), t.TempDir())
	if n != 2 || err != nil {
		t.Errorf("Restore = %d, %v, want 2, nil", n, err)
	}
}
