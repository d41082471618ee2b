package up

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatehouse-mcp/gatehouse/controlplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// proxyID is what the one proxy calls itself.
const proxyID = "up"

// MaxAnswer bounds one answer of the control plane, in bytes: a configuration of many servers is larger than the 4 MiB that
// gRPC allows by itself.
const MaxAnswer = 64 << 20

// planes are both planes of this process. They meet over TCP, as they do anywhere else.
type planes struct {
	control *controlplane.Server
	data    *dataplane.Server
	conn    *grpc.ClientConn
}

// bind takes the addresses and the store, and releases all of it if any is not to be had.
func bind(c Config) (_ *planes, err error) {
	p := &planes{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.release())
		}
	}()
	// The control plane first: the gateway is told its address, which may be a port that the system chose.
	p.control, err = controlplane.New(controlplane.Config{
		Listen: c.ControlListen, AdminListen: c.ControlAdminListen, DataDir: filepath.Join(c.DataDir, "control"),
		Version: c.Version, Logger: c.Logger,
	})
	if err != nil {
		return p, fmt.Errorf("starting control plane: %w", err)
	}
	p.data, err = dataplane.New(dataplane.Config{
		ControlPlane: p.control.Addr(), Listen: c.Listen, AdminListen: c.AdminListen, StateDir: filepath.Join(c.DataDir, "proxy"),
		ID: proxyID, Auth: auth.Mode(c.Auth), Debug: c.Debug, Version: c.Version, Logger: c.Logger, Environ: c.Environ,
		Limits: c.Limits,
	})
	if err != nil {
		return p, fmt.Errorf("starting gateway: %w", err)
	}
	p.conn, err = grpc.NewClient("passthrough:///"+p.control.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxAnswer)))
	return p, err
}

// release gives up planes that never ran.
func (p *planes) release() error {
	var errs []error
	if p.data != nil {
		errs = append(errs, p.data.Close())
	}
	if p.control != nil {
		errs = append(errs, p.control.Close())
	}
	return errors.Join(errs...)
}

// task is something that runs until it is stopped.
type task struct {
	stop context.CancelFunc
	done chan struct{}
	err  error // set before done closes
}

// begin starts a task. When it ends, for whatever reason, fallen is called.
func begin(ctx context.Context, fallen func(), run func(context.Context) error) *task {
	ctx, cancel := context.WithCancel(ctx)
	t := &task{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		defer fallen()
		t.err = run(ctx)
	}()
	return t
}

// end stops a task and waits for it.
func (t *task) end() error {
	t.stop()
	<-t.done
	return t.err
}

// awaitServing returns once the proxy serves the revision, so that what is printed then works.
func awaitServing(ctx context.Context, client gatehousev1.AdminServiceClient, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	// The control plane's Wait would return at once as long as no proxy is connected, so the fleet is asked until one is.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		fleet, err := client.Fleet(ctx, &gatehousev1.FleetRequest{})
		if err != nil {
			return fmt.Errorf("waiting for the gateway: %w", err)
		}
		for _, p := range fleet.GetProxies() {
			// An offline one is what an earlier run left in the fleet's memory.
			if p.GetId() != proxyID || p.GetState() == gatehousev1.ProxyState_PROXY_STATE_OFFLINE {
				continue
			}
			if p.GetState() == gatehousev1.ProxyState_PROXY_STATE_REJECTED {
				return fmt.Errorf("waiting for the gateway: it refused revision %d: %s", revision, p.GetError())
			}
			if p.GetServing().GetRevision() >= revision {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the gateway: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
