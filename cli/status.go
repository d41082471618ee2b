package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// proxy is one gateway in JSON.
type proxy struct {
	ID       string            `json:"id"`
	Revision int64             `json:"revision"`
	State    string            `json:"state"`
	Labels   map[string]string `json:"labels"`
	Version  string            `json:"version"`
	LastSeen string            `json:"lastSeen"`
	Error    *string           `json:"error"` // null unless it refused a revision

	servers []*gatehousev1.ServerStatus
}

// fleet is the whole data plane in JSON.
type fleet struct {
	Revision int64   `json:"revision"`
	Digest   string  `json:"digest"`
	Proxies  []proxy `json:"proxies"`
}

// statusFlags are what `gwctl status` is told.
type statusFlags struct {
	exitCode bool
	watch    bool
	interval time.Duration
}

// newStatusCommand answers the question after every apply: who has it, who has not, and why.
func newStatusCommand(a *app) *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show which proxy serves which revision, and why one refused",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context(), f) },
	}
	cmd.Flags().BoolVar(&f.exitCode, "exit-code", false, "exit 2 unless every proxy that is not offline serves the newest revision")
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "show it again whenever it changes, until interrupted")
	cmd.Flags().DurationVar(&f.interval, "interval", time.Second, "how often --watch looks")
	return cmd
}

// status shows the fleet once, or again and again.
func (a *app) status(ctx context.Context, f statusFlags) error {
	if f.watch {
		return a.watchStatus(ctx, f.interval)
	}
	now, err := a.fleet(ctx)
	if err != nil {
		return err
	}
	if err := a.showFleet(now); err != nil {
		return err
	}
	if f.exitCode && !now.converged() {
		return exitWith(exitDifference)
	}
	return nil
}

// showFleet prints the fleet once.
func (a *app) showFleet(f *fleet) error {
	return a.show(view{data: f, names: f.names(), people: f.print(a)})
}

// watchStatus prints the fleet whenever it differs from what was printed last. On a terminal it takes the old one's place.
func (a *app) watchStatus(ctx context.Context, interval time.Duration) error {
	if interval <= 0 {
		return usagef("--interval %s: want more than 0", interval)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last string
	for {
		now, err := a.fleet(ctx)
		if err != nil {
			return err
		}
		// Only a change is printed: a log of the watch then reads as a list of events.
		if key := now.key(); key != last {
			last = key
			if isTerminal(a.io.Stdout) && a.output == formatTable {
				fmt.Fprint(a.io.Stdout, "\x1b[H\x1b[2J")
			}
			if err := a.showFleet(now); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// fleet asks for the proxies.
func (a *app) fleet(ctx context.Context) (*fleet, error) {
	client, err := a.admin()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.within(ctx)
	defer cancel()
	resp, err := client.Fleet(ctx, &gatehousev1.FleetRequest{})
	if err != nil {
		return nil, err
	}
	out := &fleet{
		Revision: resp.GetTarget().GetRevision(), Digest: hex.EncodeToString(resp.GetTarget().GetDigest()), Proxies: []proxy{},
	}
	for _, p := range resp.GetProxies() {
		out.Proxies = append(out.Proxies, newProxy(p))
	}
	return out, nil
}

// newProxy converts what the control plane knows of one gateway.
func newProxy(p *gatehousev1.Proxy) proxy {
	out := proxy{
		ID: p.GetId(), Revision: p.GetServing().GetRevision(), State: word(p.GetState(), "PROXY_STATE_"), Labels: p.GetLabels(),
		Version: p.GetVersion(), LastSeen: p.GetLastSeen().AsTime().Format(time.RFC3339Nano), servers: p.GetReport().GetServers(),
	}
	if out.Labels == nil { // {} in JSON: scripts index it without asking whether it is there
		out.Labels = map[string]string{}
	}
	if p.GetError() != "" {
		out.Error = new(p.GetError())
	}
	return out
}

// converged says that every proxy that is not offline serves the newest revision.
func (f *fleet) converged() bool {
	for _, p := range f.Proxies {
		// One that is offline serves its last good revision to nobody that we know of, and cannot be waited for.
		if p.State != "synced" && p.State != "offline" {
			return false
		}
	}
	return true
}

// names are the proxies as references.
func (f *fleet) names() []string {
	out := make([]string, 0, len(f.Proxies))
	for _, p := range f.Proxies {
		out = append(out, kindProxies+"/"+p.ID)
	}
	return out
}

// tools are the names that proxies have seen in a server's catalogue, sorted.
func (f *fleet) tools(server string) []string {
	seen := make(map[string]bool)
	for _, p := range f.Proxies {
		for _, s := range p.servers {
			for _, tool := range s.GetTools() {
				seen[tool] = seen[tool] || s.GetServer() == server
			}
		}
	}
	maps.DeleteFunc(seen, func(_ string, here bool) bool { return !here })
	return sortedKeys(seen)
}

// key is equal for two fleets that look the same to a person who watches: the time last heard is left out.
func (f *fleet) key() string {
	var b strings.Builder
	fmt.Fprint(&b, f.Revision, f.Digest)
	for _, p := range f.Proxies {
		fmt.Fprint(&b, "\n", p.ID, p.Revision, p.State, p.Version, p.broken())
		if p.Error != nil {
			b.WriteString(*p.Error)
		}
	}
	return b.String()
}

// print writes the fleet for people.
func (f *fleet) print(a *app) func(io.Writer, bool) error {
	return func(w io.Writer, wide bool) error {
		fmt.Fprintf(w, "revision %d  digest %.12s\n\n", f.Revision, f.Digest)
		if len(f.Proxies) == 0 {
			_, err := fmt.Fprintln(w, "no proxy has connected yet")
			return err
		}
		g := grid{header: []string{"PROXY", "STATE", "REVISION", "LAST SEEN", "VERSION", "LABELS", "UPSTREAMS", "ERROR"}, narrow: 5}
		for _, p := range f.Proxies {
			g.row(p.cells()...)
		}
		if err := g.write(w, wide); err != nil {
			return err
		}
		return writeLines(w, f.remarks(a, w))
	}
}

// cells is a proxy as a row.
func (p proxy) cells() []string {
	seen := p.LastSeen
	if t, err := time.Parse(time.RFC3339Nano, p.LastSeen); err == nil {
		seen = ago(t)
	}
	reason := ""
	if p.Error != nil {
		reason = *p.Error
	}
	return []string{p.ID, p.State, strconv.FormatInt(p.Revision, 10), seen, p.Version, labelsOf(p.Labels), p.upstreams(), reason}
}

// upstreams counts the servers that are not out of order.
func (p proxy) upstreams() string {
	if len(p.servers) == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", len(p.servers)-len(p.broken()), len(p.servers))
}

// broken are the servers that the proxy cannot use, with the reason.
func (p proxy) broken() []string {
	var out []string
	for _, s := range p.servers {
		if s.GetState() == "unavailable" {
			out = append(out, s.GetServer()+": "+s.GetError())
		}
	}
	return out
}

// remarks are the lines under the table: why a proxy refused, and which upstream is out of order.
func (f *fleet) remarks(a *app, w io.Writer) []string {
	var out []string
	for _, p := range f.Proxies {
		if p.Error != nil {
			out = append(out, fmt.Sprintf("%s refused: %s", a.paint(w, red, p.ID), *p.Error))
		}
		for _, line := range p.broken() {
			out = append(out, fmt.Sprintf("%s cannot use %s", a.paint(w, yellow, p.ID), line))
		}
	}
	if len(out) > 0 {
		out = append([]string{""}, out...)
	}
	return out
}
