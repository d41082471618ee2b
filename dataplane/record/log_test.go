package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// entry is a call with every field set.
func entry() *record.Entry {
	return &record.Entry{
		Time:     time.Date(2026, 11, 24, 8, 30, 0, 123000000, time.FixedZone("", 3600)),
		Revision: 7, Principal: "laptop", AgentAsked: "researcher", Agent: "researcher",
		Method: "execute_tool", Server: "everything", Tool: "echo", Args: []byte(`{"message":"hunter2","n":1}`),
		Allow: true, Rule: "agents.researcher.allow.servers[0]", Outcome: record.OK,
		BytesIn: 120, BytesOut: 64, Took: 1500 * time.Microsecond,
	}
}

func open(t *testing.T, c record.Config) *record.Log {
	t.Helper()
	l, err := record.Open(c)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return l
}

func lines(t *testing.T, text []byte) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range bytes.Lines(text) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

// write returns the one line that e becomes.
func write(t *testing.T, e *record.Entry) (line string, fields map[string]any) {
	t.Helper()
	var out bytes.Buffer
	l := open(t, record.Config{Path: "-", Stdout: &out, Proxy: "p1"})
	l.Append(e)
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	all := lines(t, out.Bytes())
	if len(all) != 1 {
		t.Fatalf("%d lines, want 1", len(all))
	}
	return out.String(), all[0]
}

func TestLineHasTheFieldsOfTheContract(t *testing.T) {
	_, got := write(t, entry())
	want := map[string]any{
		"time": "2026-11-24T07:30:00.123000Z", "proxy": "p1", "revision": 7.0, "principal": "laptop",
		"agentAsked": "researcher", "agent": "researcher", "method": "execute_tool", "server": "everything", "tool": "echo",
		"decision": "allow", "rule": "agents.researcher.allow.servers[0]",
		"outcome": "OK", "bytesIn": 120.0, "bytesOut": 64.0, "ms": 1.5,
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s = %v, want %v", name, got[name], value)
		}
	}
	if got["id"] == "" || len(got["argsSha256"].(string)) != 64 {
		t.Errorf("id %v, argsSha256 %v", got["id"], got["argsSha256"])
	}
	if len(got) != len(want)+3 {
		t.Errorf("fields = %v", got)
	}
}

func TestLineKeepsTheOrderOfTheContract(t *testing.T) {
	line, _ := write(t, entry())
	pos := -1
	for name := range strings.FieldsSeq("time id proxy revision principal agentAsked agent method server tool " +
		"argsShape argsSha256 decision rule outcome bytesIn bytesOut ms") {
		next := strings.Index(line, `"`+name+`":`)
		if next <= pos {
			t.Fatalf("%s stands at %d, after %d:\n%s", name, next, pos, line)
		}
		pos = next
	}
}

func TestLineHoldsNoArgumentValue(t *testing.T) {
	e := entry()
	e.Args = []byte(`{"s":"hunter2","n":4242,"o":{"hunter3":["hunter4"]},"a":["hunter5"],"b":true,"z":null}`)
	line, got := write(t, e)
	for _, secret := range []string{"hunter", "4242", "true"} {
		if strings.Contains(line, secret) {
			t.Errorf("line holds %q: %s", secret, line)
		}
	}
	want := map[string]any{"s": "string", "n": "number", "o": "object", "a": "array", "b": "boolean", "z": "null"}
	shape := got["argsShape"].(map[string]any)
	for name, kind := range want {
		if shape[name] != kind {
			t.Errorf("argsShape[%s] = %v, want %v", name, shape[name], kind)
		}
	}
}

func TestLineWithoutArgumentsHasNoDigest(t *testing.T) {
	e := entry()
	e.Args = nil
	_, got := write(t, e)
	if got["argsSha256"] != "" || len(got["argsShape"].(map[string]any)) != 0 {
		t.Errorf("argsSha256 %v, argsShape %v, want neither", got["argsSha256"], got["argsShape"])
	}
}

func TestLineIsBoundedWhateverTheAgentWrites(t *testing.T) {
	e := entry()
	e.Allow, e.Outcome = false, record.Outcome(mcp.DeniedByPolicy)
	e.Server = strings.Repeat("ü\n\"", 1<<16)
	args := []byte{'{'}
	for i := range 1000 {
		args = append(args, strings.Repeat("k", 300)...)
		args[len(args)-300] = '"'
		args = append(args, byte('a'+i%26), '"', ':', '1', ',')
	}
	args[len(args)-1] = '}'
	e.Args = args
	line, got := write(t, e)
	if len(line) > 16<<10 {
		t.Errorf("a line of %d bytes", len(line))
	}
	if s := got["server"].(string); !strings.HasSuffix(s, "…") || !strings.HasPrefix(s, "ü\n\"ü") {
		t.Errorf("server = %q", s)
	}
	if got["decision"] != "deny" || got["argsShape"].(map[string]any)["…"] != 968.0 {
		t.Errorf("decision %v, argsShape[…] %v", got["decision"], got["argsShape"].(map[string]any)["…"])
	}
}

func TestCloseLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, record.Config{Path: path})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				l.Append(entry())
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[any]bool{}
	for _, m := range lines(t, text) {
		ids[m["id"]] = true
	}
	if len(ids) != 4000 {
		t.Errorf("%d different ids, want 4000", len(ids))
	}
}

func TestFileIsForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := open(t, record.Config{Path: path}).Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v (%v), want 0600", info.Mode(), err)
	}
}

func TestReopenFollowsARotatedFile(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "audit.1")
	l := open(t, record.Config{Path: path})
	l.Append(entry())
	waitFor(t, func() bool { text, _ := os.ReadFile(path); return len(text) > 0 })
	if err := os.Rename(path, old); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatalf("Reopen: %v", err)
	}
	l.Append(entry())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, old} {
		if text, err := os.ReadFile(name); err != nil || len(lines(t, text)) != 1 {
			t.Errorf("%s: %q (%v), want one line", name, text, err)
		}
	}
}

func TestReopenAfterCloseOpensNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, record.Config{Path: path})
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 50 {
			if err := l.Reopen(); err != nil {
				t.Errorf("Reopen = %v", err)
			}
		}
	})
	l.Append(entry())
	if err := l.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	wg.Wait()
	if text, err := os.ReadFile(path); err != nil || len(lines(t, text)) != 1 {
		t.Errorf("%q (%v), want one line", text, err)
	}
}

func TestOpenEndsALineThatWasLeftUnfinished(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte(`{"time":"2026-`), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, record.Config{Path: path})
	l.Append(entry())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	if len(lines(t, rest)) != 1 {
		t.Errorf("after the broken line stands %q, want one line", rest)
	}
}

func TestOpenNamesTheFileThatDoesNotOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "audit.jsonl")
	if _, err := record.Open(record.Config{Path: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Open = %v, want one that names %s", err, path)
	}
}

func TestAppendAfterCloseDoesNothing(t *testing.T) {
	var out bytes.Buffer
	l := open(t, record.Config{Path: "-", Stdout: &out})
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	l.Append(entry())
	if out.Len() > 0 {
		t.Errorf("written after Close: %s", out.String())
	}
}

// disk is a writer whose writes a test lets through one by one, or lets fail.
type disk struct {
	mu     sync.Mutex // guards below
	err    error
	wrote  []byte
	tries  int
	passes chan struct{} // nil: every write passes
}

func (d *disk) Write(b []byte) (int, error) {
	if d.passes != nil {
		<-d.passes
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tries++; d.err != nil {
		half := len(b) / 2
		d.wrote = append(d.wrote, b[:half]...)
		return half, d.err
	}
	d.wrote = append(d.wrote, b...)
	return len(b), nil
}

func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func TestAppendWaitsWhileTooMuchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{passes: make(chan struct{})}
		l := open(t, record.Config{Path: "-", Stdout: d, MaxWaiting: 1000})
		done := make(chan int, 10)
		go func() {
			for i := range 10 {
				l.Append(entry())
				done <- i
			}
			close(done)
		}()
		synctest.Wait()
		before := len(done)
		if before == 0 || before > 3 {
			t.Errorf("%d calls went on while the disk stood still, want 1 to 3", before)
		}
		close(d.passes)
		for range done { // all come through
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if n := len(lines(t, d.wrote)); n != 10 {
			t.Errorf("%d lines, want 10", n)
		}
	})
}

func TestWriteIsTriedAgainUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left on device")
		d := &disk{err: full}
		l := open(t, record.Config{Path: "-", Stdout: d})
		l.Append(entry())
		time.Sleep(3 * time.Second) // the bubble's
		synctest.Wait()
		if !errors.Is(l.Err(), full) {
			t.Errorf("Err = %v, want %v", l.Err(), full)
		}
		d.fail(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if l.Err() != nil || len(lines(t, d.wrote)) != 1 {
			t.Errorf("Err = %v after %d tries, wrote %q", l.Err(), d.tries, d.wrote)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCloseSaysWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left on device")
		l := open(t, record.Config{Path: "-", Stdout: &disk{err: full}})
		l.Append(entry())
		synctest.Wait()
		if err := l.Close(); !errors.Is(err, full) || !strings.Contains(err.Error(), "bytes unwritten") {
			t.Errorf("Close = %v, want one that says how much is lost and wraps %v", err, full)
		}
	})
}

// A pipe that nobody reads takes a write and never ends it. The process must end all the same.
func TestCloseGivesUpOnAWriteThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{passes: make(chan struct{})}
		l := open(t, record.Config{Path: "-", Stdout: d})
		l.Append(entry())
		synctest.Wait()
		if err := l.Reopen(); err != nil { // on SIGHUP, which must not wait either
			t.Errorf("Reopen = %v, want nil", err)
		}
		if err := l.Close(); err == nil || !strings.Contains(err.Error(), "does not end") {
			t.Errorf("Close = %v, want one that says that a write does not end", err)
		}
		close(d.passes) // lets the writer go
	})
}

func TestOutcomesHoldEveryCode(t *testing.T) {
	all := record.Outcomes()
	for _, code := range []mcp.Code{
		mcp.DeniedByPolicy, mcp.InvalidAgentID, mcp.FallbackAgentNotInRules, mcp.NoFallbackConfigured, mcp.ServerUnavailable,
		mcp.ToolNotFound, mcp.Timeout, mcp.RateLimited, mcp.InvalidArgument, mcp.UpstreamError, mcp.Internal,
	} {
		if !slices.Contains(all, record.Outcome(code)) {
			t.Errorf("Outcomes lacks %s", code)
		}
	}
}

// waitFor polls a condition of the outside world until a deadline.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 30_000 {
		if condition() {
			return
		}
		<-tick.C
	}
	t.Fatal("waited in vain")
}

func BenchmarkAppend(b *testing.B) {
	l, err := record.Open(record.Config{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Proxy: "p1"})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		e := entry()
		for pb.Next() {
			l.Append(e)
		}
	})
}
