package system_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const upstreamKills = 100

// TestKilledUpstreamHurtsOneCall: the child process of a server is killed in the middle of a call, 100 times. That call
// gets SERVER_UNAVAILABLE, the next one works, and no process, descriptor or goroutine stays behind.
func TestKilledUpstreamHurtsOneCall(t *testing.T) {
	c := startControlPlane(t)
	c.waitReady(t)
	p := startFleet(t, c, 1)[0]
	mustGwctl(t, c, nil, "apply", "-f", manifest(t, demo("demo")+policy("a", "{allow: {servers: [demo]}}")), "--wait", "--timeout", "60s")
	for range 3 { // what is opened once is open before we count
		killDuringCall(t, p)
	}
	goroutines, files := p.goroutines(t), p.files(t)
	for range upstreamKills {
		killDuringCall(t, p)
	}
	if z := zombies(t, p.cmd.Process.Pid); len(z) > 0 {
		t.Errorf("zombies: %v", z)
	}
	eventually(t, "goroutines and descriptors are back where they were", func() bool {
		return p.goroutines(t) <= goroutines+2 && p.files(t) <= files+2
	})
}

func killDuringCall(t *testing.T, p *proxy) {
	t.Helper()
	if a := p.execute("a", "demo", "echo", map[string]any{"message": "before"}); a.err != nil || a.code != "" {
		t.Fatalf("call before the kill gave %+v", a)
	}
	ended := make(chan answer, 1)
	go func() { ended <- p.execute("a", "demo", "slow", map[string]any{"ms": 30_000}) }()
	eventually(t, "the call is under way", func() bool { return p.metric(t, "gatehouse_calls_under_way") > 0 })
	for _, pid := range children(t, p.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if a := <-ended; a.code != "SERVER_UNAVAILABLE" {
		t.Fatalf("call under way at the kill gave %+v, want SERVER_UNAVAILABLE", a)
	}
}

// children returns the child processes of pid that still run.
func children(t *testing.T, pid int) (pids []int) {
	t.Helper()
	for child, state := range processes(t, pid) {
		if state != "Z" {
			pids = append(pids, child)
		}
	}
	return pids
}

func zombies(t *testing.T, pid int) (pids []int) {
	t.Helper()
	for child, state := range processes(t, pid) {
		if state == "Z" {
			pids = append(pids, child)
		}
	}
	return pids
}

// processes returns the state of each child process of pid, as /proc has it.
func processes(t *testing.T, pid int) map[int]string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("needs /proc")
	}
	found := map[int]string{}
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if ppid, _ := strconv.Atoi(fields[1]); ppid == pid {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			found[child] = fields[0]
		}
	}
	return found
}

// metric reads one value from the proxy's metrics, or 0 where there is none.
func (p *proxy) metric(t *testing.T, name string) float64 {
	t.Helper()
	resp, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			f, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
	}
	return 0
}

func (p *proxy) goroutines(t *testing.T) int { return int(p.metric(t, "go_goroutines")) }

// files counts the open descriptors of the process.
func (p *proxy) files(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
