package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatehouse-mcp/gatehouse/dataplane/follow"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

const (
	fleetApplies = 30
	fleetAgents  = 100 // policies in the configuration that is pushed
)

// noUpstreams stands in for the pool: followers of this benchmark serve nobody.
type noUpstreams struct{}

func (noUpstreams) Prepare(*table.Table) {}
func (noUpstreams) Release(*table.Table) {}

// measureFleet measures how long a commit takes until the last of several gateways has acknowledged it.
func measureFleet(ctx context.Context, o options) error {
	l, err := newLab(o)
	if err != nil {
		return err
	}
	defer l.stop()
	g := newGrid("proxies", "commit → last ack, P50", "P95")
	for _, n := range []int{1, 10, 100} {
		p, err := l.plane(ctx) // whose own gateway is one more
		if err != nil {
			return err
		}
		got, err := pushTo(ctx, p.control.addr, l.dir, n)
		if err != nil {
			return err
		}
		g.row(n, span(float64(got.percentile(50))), span(float64(got.percentile(95))))
	}
	g.print()
	fmt.Printf("Followers are the real ones (stream, table, fsync of the snapshot to disk, ack), all in one process with the benchmark, beside one gwproxy; the configuration is %d policies, of which one changes, %d times.\n\n", fleetAgents, fleetApplies)
	return nil
}

// pushTo pushes revisions to n followers, each with its own stream, table and file on disk, all in this process.
func pushTo(ctx context.Context, control, dir string, n int) (sample, error) {
	ctx, cancel := context.WithCancel(ctx)
	var followers sync.WaitGroup
	defer followers.Wait()
	defer cancel()
	for i := range n {
		id := fmt.Sprintf("fleet-%d-%d", n, i)
		f, err := follow.New(follow.Config{ControlPlane: control, StateDir: filepath.Join(dir, id), ID: id, Live: new(table.Live), Pool: noUpstreams{}})
		if err != nil {
			return sample{}, fmt.Errorf("making follower %s: %w", id, err)
		}
		followers.Go(func() { _ = f.Run(ctx) }) // it ends with ctx
	}
	conn, err := grpc.NewClient(control, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return sample{}, fmt.Errorf("dialing %s: %w", control, err)
	}
	defer conn.Close()
	return pushRevisions(ctx, gatehousev1.NewAdminServiceClient(conn), n)
}

// pushRevisions applies, waits for all acks, and keeps the time from the commit to the last one.
func pushRevisions(ctx context.Context, admin gatehousev1.AdminServiceClient, n int) (s sample, err error) {
	for i := range fleetApplies + 2 {
		r, err := admin.Apply(ctx, &gatehousev1.ApplyRequest{Author: "bench", Put: fleetPolicies(n, i)})
		if err != nil {
			return s, fmt.Errorf("applying: %w", err)
		}
		committed := time.Now()
		if err := waitAcked(ctx, admin, r.GetRevision(), n+1); err != nil {
			return s, err
		}
		if i >= 2 { // the first ones wait for streams to open
			s.latencies = append(s.latencies, time.Since(committed))
		}
	}
	slices.Sort(s.latencies)
	return s, nil
}

// waitAcked returns when the revision serves on n proxies at least.
func waitAcked(ctx context.Context, admin gatehousev1.AdminServiceClient, revision int64, n int) error {
	for {
		stream, err := admin.Wait(ctx, &gatehousev1.WaitRequest{Revision: revision})
		if err != nil {
			return fmt.Errorf("waiting: %w", err)
		}
		for {
			r, err := stream.Recv()
			if err != nil {
				return fmt.Errorf("waiting for revision %d: %w", revision, err)
			}
			if r.GetDone() && int(r.GetReached()) >= n {
				return nil
			}
			if r.GetDone() {
				break // streams are still opening: ask again
			}
		}
	}
}

// fleetPolicies are policies whose content differs from one push to the next in one of them.
func fleetPolicies(n, push int) []*gatehousev1.Object {
	objects := make([]*gatehousev1.Object, fleetAgents)
	for i := range objects {
		tools := []string{"read_*", "list_*", "get_item", "search"}
		if i == 0 {
			tools = append(tools, fmt.Sprintf("only_in_%d_%d", n, push))
		}
		objects[i] = &gatehousev1.Object{Name: fmt.Sprintf("agent-%d", i), Spec: &gatehousev1.Object_Policy{Policy: &gatehousev1.Policy{
			Allow: &gatehousev1.Access{Servers: []string{"http", "stdio", "internal-*"}, Tools: []*gatehousev1.ToolRule{{Server: "http", Tools: tools}}},
			Deny:  &gatehousev1.Access{Tools: []*gatehousev1.ToolRule{{Server: "stdio", Tools: []string{"drop_*", "delete_*"}}}},
		}}}
	}
	return objects
}
