// Package up runs both planes in one process and keeps the configuration in step with files: the whole of Gatehouse for
// one machine. It owns the objects of its files and nothing else: what operators apply by other means stays.
//
// A file that is wrong is refused with its place, and what it said before stays in force; at the first start, when there
// is nothing before, it refuses to run.
package up

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse/dataplane"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Config says what to run. DataDir is required; without files the quickstart runs.
type Config struct {
	// DataDir holds the store, the key, the gateway's state and its audit log; it is made where it does not exist.
	DataDir string
	// Listen is the MCP address, AdminListen that of the gateway's health and metrics.
	Listen, AdminListen string
	// ControlListen is the address for operators, ControlAdminListen that of the control plane's health and metrics.
	ControlListen, ControlAdminListen string
	// Files are manifests: files, folders, or "-" for Stdin.
	Files []string
	// Stdin is read once, where Files name it.
	Stdin io.Reader
	// MCPConfig and Rules are the seed's two files; DefaultAgent is the agent of calls that name none.
	MCPConfig, Rules, DefaultAgent string
	// Auth is key or none.
	Auth string
	// Limits bound what agents and servers may use; each that is zero has its default.
	Limits dataplane.Limits
	// Debug adds rules to refusals and get_gateway_status to the tools.
	Debug bool
	// Version is the program's.
	Version string
	// Environ resolves the ${VAR} references of servers.
	Environ func(name string) (string, bool)
	// Logger takes what both planes log; nil discards it.
	Logger *slog.Logger
	// Notes takes lines for people: what a change of the files did, and what is wrong with them. Nil discards them.
	Notes io.Writer
	// Ready is called once the gateway serves the files. An error ends the run.
	Ready func(Ready) error
	// Serve runs beside the planes; when it returns, the run ends. Nil means to run until ctx ends.
	Serve func(ctx context.Context, gateway *dataplane.Server) error
}

// Ready is what a run has come to when it serves.
type Ready struct {
	// Gateway is the MCP URL. The others are host:port.
	Gateway      string `json:"gateway"`
	ControlPlane string `json:"controlPlane"`
	Admin        string `json:"admin"`
	ControlAdmin string `json:"controlAdmin"`
	// KeyFile holds the API key; empty with --auth none, and where there is no agent to act as.
	KeyFile string `json:"keyFile"`
	// Revision is the configuration's.
	Revision int64 `json:"revision"`
	// Servers and Agents are those of the files, sorted.
	Servers []string `json:"servers"`
	Agents  []string `json:"agents"`

	// Key is shown to people once, when NewKey says that this run made it.
	Key    string `json:"-"`
	NewKey bool   `json:"-"`
	// Quickstart says that nothing was given.
	Quickstart bool `json:"-"`
	// Watched are the paths whose edits go live.
	Watched []string `json:"-"`
}

// Run starts both planes, loads the files, and follows their edits until ctx ends; then it drains the gateway first and
// the control plane last.
func Run(ctx context.Context, c Config) error {
	if c.Notes == nil {
		c.Notes = io.Discard
	}
	r, err := open(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	background := context.WithoutCancel(ctx) // the planes are stopped in order, not all at once
	control := begin(background, cancel, r.planes.control.Run)
	gateway := (*task)(nil)
	err = r.serve(ctx, func() { gateway = begin(background, cancel, r.planes.data.Run) })
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // asked to stop, or a plane ended: its own error says more
	}
	if gateway != nil {
		err = errors.Join(err, gateway.end())
	} else {
		err = errors.Join(err, r.planes.data.Close())
	}
	return errors.Join(err, r.planes.conn.Close(), control.end(), r.forget())
}

// authNone is the Auth that asks for no key.
const authNone = "none"

// run is one run, opened.
type run struct {
	config Config
	sync   *syncer
	planes *planes
}

// open reads the files, makes the key and binds the planes. Whatever is wrong is told before anything runs.
func open(c Config) (*run, error) {
	ss := newSources(c)
	if _, err := ss.read(); err != nil {
		return nil, err
	}
	if err := makeDataDir(c.DataDir); err != nil {
		return nil, fmt.Errorf("making data folder: %w", err)
	}
	p, err := bind(c)
	if err != nil {
		return nil, err
	}
	s := &syncer{client: gatehousev1.NewAdminServiceClient(p.conn), sources: ss, notes: c.Notes}
	if s.key, err = loadKey(c.DataDir, c.Auth != authNone); err != nil {
		return nil, errors.Join(err, p.release())
	}
	return &run{config: c, sync: s, planes: p}, nil
}

// makeDataDir makes the folder for its owner alone. It often lies in a checked-out project, so it keeps itself out of git:
// the key must not be committed by accident.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ignore := filepath.Join(dir, ".gitignore")
	if _, err := os.Lstat(ignore); err == nil {
		return nil
	}
	return os.WriteFile(ignore, []byte("*\n"), 0o600)
}

// serve brings the configuration in step with the files, starts the gateway on it, and follows edits until ctx ends or
// Serve does.
func (r *run) serve(ctx context.Context, startGateway func()) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	watch, err := newWatcher(r.sync.sources.paths())
	if err != nil {
		return err
	}
	ready, err := r.first(ctx)
	if err != nil {
		return errors.Join(err, watch.fs.Close())
	}
	startGateway()
	if err := awaitServing(ctx, r.sync.client, ready.Revision); err != nil {
		return errors.Join(err, watch.fs.Close())
	}
	if err := r.announce(ready); err != nil {
		return errors.Join(err, watch.fs.Close())
	}
	follow := begin(ctx, func() {}, func(ctx context.Context) error {
		return watch.run(ctx, hangup, func(asked bool) { r.again(ctx, asked) })
	})
	err = r.beside(ctx)
	return errors.Join(err, follow.end())
}

// again reads the files again; whoever asked for it by a signal may have moved the audit log away as well.
func (r *run) again(ctx context.Context, asked bool) {
	if asked {
		if err := r.planes.data.Reopen(); err != nil {
			fmt.Fprintln(r.config.Notes, err)
		}
	}
	r.sync.reload(ctx)
}

// beside runs Serve, or waits.
func (r *run) beside(ctx context.Context) error {
	if r.config.Serve != nil {
		return r.config.Serve(ctx, r.planes.data)
	}
	<-ctx.Done()
	return nil
}

// first applies the files for the first time. They are read again, since the watch began after they were checked.
func (r *run) first(ctx context.Context) (Ready, error) {
	set, err := r.sync.sources.read()
	if err != nil {
		return Ready{}, err
	}
	if r.sync.key != nil {
		if err := r.sync.key.settle(ctx, r.sync.client); err != nil {
			return Ready{}, err
		}
	}
	done, err := r.sync.apply(ctx, set, "files of gwctl up")
	if err != nil {
		return Ready{}, err
	}
	slices.Sort(done.servers)
	slices.Sort(done.agents)
	ready := Ready{
		Gateway: "http://" + r.planes.data.Addr() + "/mcp", ControlPlane: r.planes.control.Addr(), Admin: r.planes.data.AdminAddr(),
		ControlAdmin: r.planes.control.AdminAddr(), Revision: done.resp.GetRevision(), Servers: done.servers, Agents: done.agents,
		Watched: r.sync.sources.paths(),
	}
	ready.Quickstart = len(ready.Watched) == 0 && len(r.config.Files) == 0
	if k := r.sync.key; k != nil && k.given && r.config.Auth != authNone {
		if ready.KeyFile, err = filepath.Abs(k.file); err != nil {
			return Ready{}, fmt.Errorf("naming key file: %w", err)
		}
		ready.Key, ready.NewKey = k.value, k.fresh
	}
	return ready, nil
}

// addressFile holds what Ready says while a run lasts, for scripts that let the system choose ports.
const addressFile = "up.json"

// announce writes the address file, then tells whoever started the run.
func (r *run) announce(ready Ready) error {
	data, err := json.Marshal(ready)
	if err != nil {
		return fmt.Errorf("writing addresses: %w", err)
	}
	file := filepath.Join(r.config.DataDir, addressFile)
	if err := os.WriteFile(file+".new", append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing addresses: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("writing addresses: %w", err)
	}
	if r.config.Ready == nil {
		return nil
	}
	return r.config.Ready(ready)
}

// forget removes the address file: nobody listens there any more.
func (r *run) forget() error {
	err := os.Remove(filepath.Join(r.config.DataDir, addressFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
