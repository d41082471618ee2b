//go:build unix

package bolt_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
)

// limitedDir names the store to which a child process writes past what it may.
const limitedDir = "GATEHOUSE_TEST_COMMIT_LIMITED"

// commitLimited is the child: its disk takes no more in the midst of a commit, and later takes everything again. It
// returns "as expected", or what was not.
func commitLimited(dir string) string {
	ctx := context.Background()
	s, err := bolt.Open(bolt.Config{Dir: dir})
	if err != nil {
		return err.Error()
	}
	if err := s.Commit(ctx, 0, noise(100)); err != nil {
		return err.Error()
	}
	if err := limitFiles(64<<10, func() error { return s.Commit(ctx, 1, noise(1<<20)) }); err == nil {
		return "Commit on a disk that refuses = nil, want the disk's error"
	}
	if r, err := s.Load(ctx, 0); err != nil || r.Record.Revision != 1 {
		return fmt.Sprintf("Load after that = %v, %v, want revision 1", r, err)
	}
	if err := s.Commit(ctx, 1, noise(1<<20)); err != nil {
		return fmt.Sprintf("Commit once the disk takes it = %v, want nil", err)
	}
	if err := s.Close(); err != nil {
		return err.Error()
	}
	return "as expected"
}

// limitFiles runs fn while no file of this process may grow beyond size.
func limitFiles(size uint64, fn func() error) error {
	signal.Ignore(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: was.Max}); err != nil {
		return err
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was) }() // the child's commit after it tells
	return fn()
}

func TestDiskThatRefusesStopsOneCommit(t *testing.T) {
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), limitedDir+"="+dir)
	out, err := child.CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "as expected" {
		t.Errorf("the child says %q (%v), want as expected", got, err)
	}
	s := open(t, bolt.Config{Dir: dir})
	if r, err := s.Load(t.Context(), 0); err != nil || r.Record.Revision != 2 {
		t.Errorf("Load(0) after a restart = %v, %v, want revision 2", r, err)
	}
}
