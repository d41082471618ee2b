package system_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	largeSize  = 100 << 20
	extraBytes = 32 << 20
)

// largeServers are named for how they answer, and for their era.
var largeServers = []string{"json", "events", "stdio", "modern-json", "modern-events"}

// largeProxy is a proxy in front of them.
type largeProxy struct {
	*proxy
	control *controlPlane
	mu      sync.Mutex        // guards below
	digests map[string]string // of answers that were computed already
}

// startLargeProxy starts a proxy without the race detector, which would need many times the memory that is measured, in
// front of servers of large results.
func startLargeProxy(t *testing.T, args ...string) *largeProxy {
	t.Helper()
	build := exec.Command("go", "build", "-pgo=off", "-o", filepath.Join(bin, "plain", "gwproxy"), "../../dataplane/gwproxy")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building gwproxy: %v\n%s", err, out)
	}
	exe, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: stdio}\nspec: {stdio: {command: %q, env: {%s: lines, GORACE: atexit_sleep_ms=0}}}\n---\n", exe, largeEnv)
	for _, name := range largeServers {
		if name != "stdio" {
			url := startLarge(t, strings.HasPrefix(name, "modern"), strings.HasSuffix(name, "events"))
			text += fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: %s}\nspec: {http: {url: %q}}\n---\n", name, url)
		}
	}
	c := startControlPlane(t)
	c.waitReady(t)
	p := &proxy{id: "large", addr: freeAddr(t), admin: freeAddr(t), state: t.TempDir()}
	p.args = append([]string{"--control-plane", c.addr, "--listen", p.addr, "--admin-listen", p.admin,
		"--state-dir", p.state, "--id", p.id, "--auth", "none"}, args...)
	p.program = launch(t, "plain/gwproxy", p.args...)
	mustGwctl(t, c, nil, "apply", "-f", manifest(t, text+policy("a", `{allow: {servers: ["*"]}}`)), "--wait", "--timeout", "60s")
	p.waitReady(t)
	return &largeProxy{proxy: p, control: c, digests: map[string]string{}}
}

// largeCall is a call of the tool large of a server, by an agent of that server's era: as itself, or through execute_tool.
func (p *largeProxy) largeCall(ctx context.Context, server, how string, size int64, direct bool) (*http.Response, error) {
	params := fmt.Sprintf(`"name":"large","arguments":{"size":%d,"how":%q}`, size, how)
	path, name := "/mcp/"+server, "large"
	if !direct {
		path, name = "/mcp", "execute_tool"
		params = fmt.Sprintf(`"name":"execute_tool","arguments":{"agent_id":"a","server":%q,"tool":"large","args":{"size":%d,"how":%q}}`, server, size, how)
	}
	modern := strings.HasPrefix(server, "modern")
	if modern {
		params += `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	}
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + params + `}}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addr+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Gatehouse-Agent", "a")
	if modern {
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", "tools/call")
		r.Header.Set("Mcp-Name", name)
	}
	return agents.Do(r)
}

// mustLargeCall makes a call and compares its answer, by digest, with what the server sent.
func (p *largeProxy) mustLargeCall(t *testing.T, server, how string, size int64, direct bool) {
	t.Helper()
	resp, err := p.largeCall(t.Context(), server, how, size, direct)
	if err != nil {
		t.Errorf("call of %s: %v", server, err)
		return
	}
	defer resp.Body.Close()
	got := sha256.New()
	if _, err := io.Copy(got, resp.Body); err != nil {
		t.Errorf("answer of %s: %v", server, err)
	}
	if got, want := hex.EncodeToString(got.Sum(nil)), p.digest(size, strings.HasPrefix(server, "modern")); got != want {
		t.Errorf("result of %d bytes of %s has digest %s, want %s", size, server, got, want)
	}
}

// digest is that of the answer to a call.
func (p *largeProxy) digest(size int64, modern bool) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := fmt.Sprint(size, modern)
	if d := p.digests[key]; d != "" {
		return d
	}
	want := sha256.New()
	text, length := largeResult(size)
	io.WriteString(want, `{"jsonrpc":"2.0","id":1,"result":`)
	io.Copy(want, io.LimitReader(text, length-1))
	if modern {
		io.WriteString(want, `,"resultType":"complete"`)
	}
	io.WriteString(want, "}}")
	p.digests[key] = hex.EncodeToString(want.Sum(nil))
	return p.digests[key]
}

// growth runs do and returns by how much the process grew meanwhile, at most.
func (p *proxy) growth(t *testing.T, do func()) int64 {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
		t.Skip("the peak cannot be reset:", err)
	}
	before := p.memory(t)
	do()
	return int64(p.peak(t)-before) << 10
}

// TestLargeResultsNeedNoMemory: results of 100 MB pass as they are, over each transport and in both eras, and the proxy
// stays small; no file is left of them.
func TestLargeResultsNeedNoMemory(t *testing.T) {
	p := startLargeProxy(t)
	for _, server := range largeServers {
		p.mustLargeCall(t, server, "", 1<<10, false)
		grown := p.growth(t, func() { p.mustLargeCall(t, server, "", largeSize, server == "events") })
		t.Logf("%s: %.1f MB more", server, float64(grown)/1e6)
		if grown > extraBytes {
			t.Errorf("a result of %d bytes of %s took %d bytes of memory, want at most %d", largeSize, server, grown, extraBytes)
		}
	}
	grown := p.growth(t, func() {
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() { p.mustLargeCall(t, "json", "long", largeSize/4, false) })
		}
		calls.Wait()
	})
	t.Logf("eight at once: %.1f MB more", float64(grown)/1e6)
	if grown > extraBytes {
		t.Errorf("eight results at once took %d bytes of memory, want at most %d", grown, extraBytes)
	}
	p.keepsNoFile(t)
}

// keepsNoFile waits until the proxy holds no file of a large result, by a name or without.
func (p *largeProxy) keepsNoFile(t *testing.T) {
	t.Helper()
	eventually(t, "no large result is kept", func() bool {
		named, err := filepath.Glob(filepath.Join(p.state, "*.spill"))
		if err != nil || len(named) > 0 {
			return false
		}
		open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
		for _, name := range open {
			if target, err := os.Readlink(name); err == nil && strings.Contains(target, ".spill") {
				return false
			}
		}
		return err == nil
	})
}

// TestLargeResultsThatFailHurtNobody: one over the limit, one that breaks off in the middle and one whose agent goes away
// end that call alone: the next one works on the connections that are there, and no file stays open.
func TestLargeResultsThatFailHurtNobody(t *testing.T) {
	p := startLargeProxy(t, "--limit", "message=8MiB")
	for _, server := range largeServers {
		for _, how := range []string{"", "long"} {
			p.mustRefuse(t, server, how, 12<<20, "UPSTREAM_ERROR", "8388608 bytes", server)
			p.mustLargeCall(t, server, how, 4<<20, false)
		}

		code := "SERVER_UNAVAILABLE"
		if server == "stdio" {
			code = "UPSTREAM_ERROR" // half a line is one that cannot be read
		}
		p.mustRefuse(t, server, "break", 6<<20, code, server)
		p.mustLargeCall(t, server, "", 4<<20, true)
		ctx, leave := context.WithCancel(t.Context())
		resp, err := p.largeCall(ctx, server, "", 7<<20, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 100<<10)); err != nil {
			t.Errorf("answer of %s: %v", server, err)
		}
		leave()
		resp.Body.Close()
		p.mustLargeCall(t, server, "", 4<<20, false)
	}
	p.keepsNoFile(t)
}

// mustRefuse makes a call that has to end with a code, and with these words in its error.
func (p *largeProxy) mustRefuse(t *testing.T, server, how string, size int64, code string, words ...string) {
	t.Helper()
	resp, err := p.largeCall(t.Context(), server, how, size, false)
	if err != nil {
		t.Errorf("call of %s: %v", server, err)
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("answer of %s: %v", server, err)
	}
	a := parseAnswer(text)
	for _, word := range words {
		if a.code != code || !strings.Contains(a.text, word) {
			t.Errorf("result of %d bytes (%q) of %s = %.300s, want %s and %q", size, how, server, text, code, word)
		}
	}
}
