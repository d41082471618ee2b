package interop_test

import (
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// startThree runs a control plane and three proxies in front of the servers, and returns the URL of the MCP endpoint of a
// balancer before them.
func startThree(t *testing.T, servers, rules object) string {
	t.Helper()
	dir := t.TempDir()
	writeJSON(t, filepath.Join(dir, ".mcp.json"), object{"mcpServers": servers})
	writeJSON(t, filepath.Join(dir, "rules.json"), rules)
	return startFleet(t, "import", filepath.Join(dir, ".mcp.json"), "--rules", filepath.Join(dir, "rules.json"), "--apply")
}

// startThreeFrom is startThree with what a manifest says.
func startThreeFrom(t *testing.T, file string) string {
	t.Helper()
	return startFleet(t, "apply", "-f", file)
}

// startFleet is startThree with what a command of gwctl's applies.
func startFleet(t *testing.T, apply ...string) string {
	t.Helper()
	dir := t.TempDir()
	control, admin := freeAddr(t), freeAddr(t)
	out := launch(t, "gwcontrol", "--listen", control, "--admin-listen", admin, "--data-dir", filepath.Join(dir, "control"))
	waitReady(t, "http://"+admin+"/readyz", out)
	run(t, append(append([]string{path(t, "..", "..", "bin", "gwctl")}, apply...), "--control-plane", control))
	proxies := make([]string, 3)
	for i := range proxies {
		addr, admin := freeAddr(t), freeAddr(t)
		id := string(rune('a' + i))
		out := launch(t, "gwproxy", "--control-plane", control, "--listen", addr, "--admin-listen", admin,
			"--state-dir", filepath.Join(dir, id), "--id", id, "--auth", "none", "--log-level", "debug")
		waitReady(t, "http://"+admin+"/readyz", out)
		proxies[i] = addr
		defer func() { // they know each other once the last one has been there for a moment
			for deadline := time.Now().Add(30 * time.Second); len(peersIn(out.String())) != 2; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("a proxy never learnt of the two others:\n%s", out.String())
				}
			}
		}()
	}
	return balance(t, proxies) + "/mcp"
}

// peersIn returns the proxies that a proxy's log last told of.
func peersIn(log string) []string {
	last := log[strings.LastIndex(log, "told of other proxies")+1:]
	_, list, ok := strings.Cut(last, `addresses="[`)
	if !ok {
		return nil
	}
	list, _, _ = strings.Cut(list, "]")
	return strings.Fields(list)
}

// launch starts one of our programs, which ends with the test.
func launch(t *testing.T, name string, args ...string) *lockedBuffer {
	t.Helper()
	out := new(lockedBuffer)
	cmd := exec.Command(path(t, "..", "..", "bin", name), args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, cmd, out) })
	return out
}

// balance is a load balancer that knows nothing of MCP: each request, whatever came before it, goes to the next address. It
// returns its URL.
func balance(t *testing.T, addresses []string) string {
	t.Helper()
	var next atomic.Uint64
	s := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		address := addresses[next.Add(1)%uint64(len(addresses))]
		r.SetURL(&url.URL{Scheme: "http", Host: address})
		r.Out.Host = r.In.Host
	}})
	t.Cleanup(s.Close)
	return s.URL
}
