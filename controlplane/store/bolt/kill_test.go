package bolt_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/storetest"
)

// childDir names the store in which a child process commits until it is killed.
const childDir = "GATEHOUSE_TEST_COMMIT_FOREVER"

// commitForever is the child: it commits without end and prints each revision once it stands.
func commitForever(dir string) {
	s, err := bolt.Open(bolt.Config{Dir: dir, Retention: 50})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	r, err := s.Load(context.Background(), 0)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for n := r.Record.GetRevision(); ; n++ {
		if err := s.Commit(context.Background(), n, storetest.Revision(fmt.Sprint(n+1))); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n + 1)
	}
}

// TestKilledStoreKeepsWhatItAcknowledged kills a process that commits, 30 times, each time after a different number of
// revisions and wherever it is by then. What it printed must be there; what it had begun may be.
func TestKilledStoreKeepsWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	for round := range 30 {
		acknowledged := commitAndKill(t, dir, 1+round*7%13)
		s := open(t, bolt.Config{Dir: dir, Retention: 50})
		head, err := s.Load(t.Context(), 0)
		if err != nil {
			t.Fatalf("round %d: Load(0) = %v, want nil", round, err)
		}
		if newest := head.Record.Revision; newest < acknowledged {
			t.Fatalf("round %d: the newest revision is %d, want at least %d", round, newest, acknowledged)
		}
		for n := max(1, head.Record.Revision-49); n <= head.Record.Revision; n++ {
			r, err := s.Load(t.Context(), n)
			if err != nil || r.Record.Message != fmt.Sprint(n) || len(r.Config.Objects) != 2 {
				t.Fatalf("round %d: Load(%d) = %v, %v, want what was committed", round, n, r, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// commitAndKill starts the child, kills it after so many commits, and returns the last revision that it acknowledged.
func commitAndKill(t *testing.T, dir string, commits int) int64 {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var last int64
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); seen++ {
		if last, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
			t.Errorf("the child says %q", lines.Text())
		}
		if seen == commits {
			_ = child.Process.Kill() // read on: what is in the pipe was acknowledged too
		}
	}
	_ = child.Wait() // it was killed, and says so
	return last
}
