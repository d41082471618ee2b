package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// plane is a control plane and one gateway, configured and ready, with key authentication, audit and metrics on.
type plane struct {
	control process
	gateway process
	admin   string // address of the gateway's metrics
	key     string
}

// plane starts both and applies manifests; the policy of the only agent is added to them.
func (l *lab) plane(ctx context.Context, manifests ...string) (*plane, error) {
	p := &plane{control: process{addr: freeAddr()}, gateway: process{addr: freeAddr()}, admin: freeAddr()}
	dir, err := os.MkdirTemp(l.dir, "plane")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	health := freeAddr()
	if p.control.pid, err = l.launch([]string{filepath.Join(l.bin, "gwcontrol"), "--listen", p.control.addr, "--admin-listen", health,
		"--data-dir", filepath.Join(dir, "control")}); err != nil {
		return nil, err
	}
	gwproxy := append(slices.Clone(l.gwproxy), "--listen", p.gateway.addr, "--admin-listen", p.admin,
		"--control-plane", p.control.addr, "--state-dir", filepath.Join(dir, "proxy"), "--id", "bench")
	if p.gateway.pid, err = l.launch(gwproxy); err != nil {
		return nil, err
	}
	if err := until(ctx, "gwcontrol is ready", func() bool { return ready("http://" + health + "/readyz") }); err != nil {
		return nil, err
	}
	if err := l.configure(ctx, p, filepath.Join(dir, "bench.yaml"), manifests); err != nil {
		return nil, err
	}
	return p, until(ctx, "gwproxy is ready", func() bool { return ready("http://" + p.admin + "/readyz") })
}

// configure applies the manifests and makes a key.
func (l *lab) configure(ctx context.Context, p *plane, file string, manifests []string) error {
	text := strings.Join(append(manifests, policyManifest), "---\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	var err error
	if p.key, err = l.newKey(ctx, p, "bench"); err != nil {
		return err
	}
	_, err = l.gwctl(ctx, p.control.addr, "apply", "-f", file, "--wait") // it waits for the key's revision too
	return err
}

// newKey makes a key for the agent, which works once the gateway has heard of it.
func (l *lab) newKey(ctx context.Context, p *plane, name string) (string, error) {
	out, err := l.gwctl(ctx, p.control.addr, "key", "create", name, "--agent", "agent")
	if err != nil {
		return "", err
	}
	var made struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal(out, &made); err != nil {
		return "", fmt.Errorf("reading the key: %w", err)
	}
	return made.Key, nil
}

const policyManifest = `apiVersion: gatehouse/v1
kind: Policy
metadata: {name: agent}
spec: {allow: {servers: ["*"], tools: {http: [echo, "e*"], stdio: [echo]}}, deny: {tools: {http: ["drop_*"]}}}
`

func httpServer(name, addr string) string {
	return fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: %s}\nspec: {http: {url: \"http://%s/mcp\"}}\n", name, addr)
}

func (l *lab) stdioServer(name string) string {
	return fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: %s}\nspec: {stdio: {command: %q, args: [\"-role\", \"echo-stdio\"]}}\n", name, l.self)
}

// legacy is a target that calls the gateway as an agent of the legacy era does, in a session of its own.
func (p *plane) legacy(name, path, body, want string) target {
	e := endpoint{addr: p.gateway.addr, path: path, key: p.key, legacy: true}
	return target{name: name, pid: p.gateway.pid, open: func() (caller, error) { return e.open(want, body) }}
}

// modern is a target that calls the gateway as an agent of the modern era does.
func (p *plane) modern(name, path, tool, body, want string) target {
	e := endpoint{addr: p.gateway.addr, path: path, key: p.key, headers: modernHeaders(tool)}
	return target{name: name, pid: p.gateway.pid, open: func() (caller, error) { return e.open(want, withMeta(body)) }}
}
