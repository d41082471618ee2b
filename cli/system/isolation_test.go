package system_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const (
	isolationProxies = 3
	isolationAgents  = 50
	isolationKeys    = 25 // so two agents share each, one of either era
	// isolationEnv says how many calls each agent makes; unset: 200.
	isolationEnv = "GATEHOUSE_ISOLATION_CALLS"
	maxWrong     = 20 // that are shown
)

// isolationServers are a legacy one on a pipe, a legacy and a modern one over HTTP.
var isolationServers = []string{"stdio", "web", "modern"}

// TestAgentsHearNothingOfEachOther: agents of both eras call servers of both eras through gateways behind a load balancer,
// all with the same ids and the same progress token, with progress, log messages, questions and cancellations. Everything
// carries a secret of its call and reaches that call alone, nothing that a call needs is lost, what is cancelled ends at
// the server too, and afterwards the gateways hold no more than before.
func TestAgentsHearNothingOfEachOther(t *testing.T) {
	dir := t.TempDir()
	web, idleWeb := startWeb(t, false, dir)
	modern, idleModern := startWeb(t, true, dir)
	c := startControlPlane(t)
	c.waitReady(t)
	proxies := make([]*proxy, isolationProxies)
	for i := range proxies {
		proxies[i] = startProxy(t, c, fmt.Sprint("iso", i), "--auth", "key")
	}
	mustGwctl(t, c, nil, "apply", "-f", manifest(t, isolationManifest(dir, web, modern)), "--wait", "--timeout", "60s")
	for _, p := range proxies {
		p.waitReady(t)
		first := newIsolated(isolationAgents-1, "http://"+p.addr)
		first.run(t.Context(), 15, t.Errorf) // what is opened once is open before we count
	}
	before := footprints(t, proxies)

	cancelled, idleBalancer := runIsolated(t, proxies)
	if freed, hanging := marks(t, dir, "freed"), marks(t, dir, "hangs"); freed+hanging < cancelled {
		t.Errorf("%d calls hung at the servers, want %d or more", freed+hanging, cancelled)
	}
	defer func() { t.Logf("calls that still hang: %v", markNames(t, dir, "hangs")) }()
	eventually(t, "every cancelled call has ended at its server", func() bool { return marks(t, dir, "hangs") == 0 })
	idleBalancer()
	idleWeb()
	idleModern()
	// Sessions with servers are kept for the next agent that declares the same; they go with the servers.
	mustGwctl(t, c, nil, "delete", "servers/stdio", "servers/web", "servers/modern", "--wait", "--timeout", "60s")
	var held []footprint
	defer func() { t.Logf("gateways held %v before and %v after", before, held) }()
	eventually(t, "goroutines and descriptors are back where they were", func() bool { // gateways keep connections to each other a while
		held = footprints(t, proxies)
		for i, now := range held {
			if now.goroutines > before[i].goroutines+2 || now.files > before[i].files+2 {
				return false
			}
		}
		return true
	})
}

// runIsolated lets the agents loose on the gateways.
func runIsolated(t *testing.T, proxies []*proxy) (cancelled int, idle func()) {
	t.Helper()
	calls, err := strconv.Atoi(os.Getenv(isolationEnv))
	if err != nil {
		calls = 200
	}
	balancer, idle := startBalancer(t, proxies)
	var wrongs, hung atomic.Int64
	wrong := func(format string, args ...any) {
		if wrongs.Add(1) <= maxWrong {
			t.Errorf(format, args...)
		}
	}
	var wg sync.WaitGroup
	for n := range isolationAgents {
		a := newIsolated(n, balancer)
		wg.Go(func() { hung.Add(int64(a.run(t.Context(), calls, wrong))) })
	}
	wg.Wait()
	t.Logf("%d agents, %d calls each, %d cancelled, %d wrong", isolationAgents, calls, hung.Load(), wrongs.Load())
	return int(hung.Load()), idle
}

// newIsolated makes the n-th agent; the second half speaks the modern era.
func newIsolated(n int, url string) *isolated {
	return &isolated{n: n, modern: n >= isolationAgents/2, url: url, key: isolationKey(n % isolationKeys), name: isolationAgent(n),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}, sessions: map[string]string{}}
}

// startBalancer sends each request to the next gateway, whatever it is about.
func startBalancer(t *testing.T, proxies []*proxy) (url string, idle func()) {
	t.Helper()
	var next atomic.Int64
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	balancer := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(mustURL("http://" + proxies[int(next.Add(1))%len(proxies)].addr))
		},
		Transport: transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0), // agents that go away are no news
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		balancer.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	t.Cleanup(transport.CloseIdleConnections)
	return s.URL, transport.CloseIdleConnections
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}

func isolationKey(n int) string { return fmt.Sprint("gwk_isolation_", n) }

func isolationAgent(n int) string { return fmt.Sprint("isolated-", n) }

// isolationManifest is the servers, a policy for each agent, and the keys.
func isolationManifest(dir, web, modern string) string {
	exe, err := filepath.Abs(os.Args[0])
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: stdio}\nspec: {stdio: {command: %q, env: {%s: lines, %s: %q, GORACE: atexit_sleep_ms=0}}, questions: {tier: park}}\n---\n",
		exe, serverEnv, marksEnv, dir)
	fmt.Fprintf(&b, "apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: web}\nspec: {http: {url: %q}, questions: {tier: park}}\n---\n", web)
	fmt.Fprintf(&b, "apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: modern}\nspec: {http: {url: %q}}\n---\n", modern)
	for n := range isolationAgents {
		b.WriteString(policy(isolationAgent(n), "{allow: {servers: [stdio, web, modern]}}"))
	}
	for n := range isolationKeys {
		sum := sha256.Sum256([]byte(isolationKey(n)))
		fmt.Fprintf(&b, "apiVersion: gatehouse/v1\nkind: Credential\nmetadata: {name: key-%d}\nspec: {apiKey: {sha256: %q}, agents: [%s, %s]}\n---\n",
			n, hex.EncodeToString(sum[:]), isolationAgent(n), isolationAgent(n+isolationKeys))
	}
	return b.String()
}

// footprint is what a gateway holds.
type footprint struct{ goroutines, files int }

func footprints(t *testing.T, proxies []*proxy) (list []footprint) {
	t.Helper()
	for _, p := range proxies {
		list = append(list, footprint{p.goroutines(t), p.files(t)})
	}
	return list
}
