package bolt_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		commitForever(dir)
		return
	}
	if dir := os.Getenv(limitedDir); dir != "" {
		fmt.Println(commitLimited(dir))
		return
	}
	goleak.VerifyTestMain(m)
}

// open opens a store that closes when the test ends.
func open(t testing.TB, c bolt.Config) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(c)
	if err != nil {
		t.Fatalf("Open(%s) = %v, want nil", c.Dir, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v, want nil", err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, bolt.Config{Dir: t.TempDir()}) })
}

func TestOpenFindsWhatWasCommitted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "open")
	s := open(t, bolt.Config{Dir: dir})
	id := s.Identity()
	storetest.Commit(t, s, 0, 5)
	before, err := s.Load(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, bolt.Config{Dir: dir})
	if again := s.Identity(); again.ID != id.ID || again.Epoch != 1 || string(again.SealKey) != string(id.SealKey) {
		t.Errorf("Identity() after a restart has another id, epoch or key")
	}
	after, err := s.Load(t.Context(), 4)
	if err != nil || after.Record.Message != before.Record.Message {
		t.Errorf("Load(4) after a restart = %v, %v, want %v, nil", after, err, before)
	}
	if ch, err := s.Watch(t.Context()); err != nil || <-ch != 5 {
		t.Errorf("Watch() after a restart does not begin with 5 (%v)", err)
	}
}

// TestStoreOfManyPagesOpens has trees of several levels and pages that are free, unlike the stores of most tests.
func TestStoreOfManyPagesOpens(t *testing.T) {
	dir := t.TempDir()
	s := open(t, bolt.Config{Dir: dir, Retention: 3})
	r := storetest.Revision("large")
	for i := range 3000 {
		r.Config.Objects = append(r.Config.Objects, storetest.Server(fmt.Sprint(i), strings.Repeat("x", i%300)))
	}
	for n := range int64(6) {
		r.Config.Objects = r.Config.Objects[:len(r.Config.Objects)-300]
		if err := s.Commit(t.Context(), n, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, bolt.Config{Dir: dir, Retention: 3})
	if got, err := s.Load(t.Context(), 0); err != nil || !proto.Equal(got.Config, r.Config) {
		t.Errorf("Load(0) after a restart = %v, want what was committed", err)
	}
	if n, err := bolt.Restore(t.Context(), bytes.NewReader(backUp(t, s)), t.TempDir()); err != nil || n != 6 {
		t.Errorf("Restore() = %d, %v, want 6, nil", n, err)
	}
}

func TestOpenMakesPrivateFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	open(t, bolt.Config{Dir: dir})
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "gatehouse.db"): 0o600, filepath.Join(dir, "gatehouse.db.holder"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s = %v (%v), want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestOpenRefusesASecondHolder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, bolt.Config{Dir: dir})
	_, err := bolt.Open(bolt.Config{Dir: dir})
	if !errors.Is(err, store.ErrInUse) {
		t.Fatalf("second Open() = %v, want %v", err, store.ErrInUse)
	}
	host, _ := os.Hostname()
	if want := fmt.Sprintf("process %d on %s", os.Getpid(), host); !strings.Contains(err.Error(), want) {
		t.Errorf("second Open() = %q, want it to say %q", err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "gatehouse.db.holder")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the holder's name is still there after Close: %v", err)
	}
	open(t, bolt.Config{Dir: dir})
}

func TestInUseIsSaidWithoutTheHoldersName(t *testing.T) {
	dir := t.TempDir()
	open(t, bolt.Config{Dir: dir})
	if err := os.WriteFile(filepath.Join(dir, "gatehouse.db.holder"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(bolt.Config{Dir: dir}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("second Open() = %v, want %v", err, store.ErrInUse)
	}
}

func TestOpenRemovesSpoolsOfDeadBackups(t *testing.T) {
	dir := t.TempDir()
	spool := filepath.Join(dir, "gatehouse.db.backup-123")
	if err := os.WriteFile(spool, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, bolt.Config{Dir: dir})
	if _, err := os.Stat(spool); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the spool of a dead backup is still there: %v", err)
	}
}

func TestRetentionKeepsTheNewest(t *testing.T) {
	s := open(t, bolt.Config{Dir: t.TempDir(), Retention: 3})
	storetest.Commit(t, s, 0, 10)
	for n := int64(1); n <= 10; n++ {
		var want error
		if n <= 7 {
			want = store.ErrPruned
		}
		if _, err := s.Load(t.Context(), n); !errors.Is(err, want) {
			t.Errorf("Load(%d) = %v, want %v", n, err, want)
		}
	}
	if h, err := s.History(t.Context(), 0, 100); err != nil || len(h) != 3 || h[2].Revision != 8 {
		t.Errorf("History() = %v, %v, want revisions 10, 9, 8", h, err)
	}
}

func TestRetentionOfOneKeepsTheNewest(t *testing.T) {
	s := open(t, bolt.Config{Dir: t.TempDir(), Retention: 1})
	storetest.Commit(t, s, 0, 4)
	if r, err := s.Load(t.Context(), 0); err != nil || r.Record.Revision != 4 {
		t.Errorf("Load(0) = %v, %v, want revision 4", r, err)
	}
}

// TestSweepDeletesOnlyWhatNobodyHas goes back and forth between two states, so that blobs of removed revisions come up
// again in kept ones, while the sweeper is at work.
func TestSweepDeletesOnlyWhatNobodyHas(t *testing.T) {
	dir := t.TempDir()
	s := open(t, bolt.Config{Dir: dir, Retention: 2})
	for n := range int64(60) {
		if err := s.Commit(t.Context(), n, storetest.Revision(fmt.Sprint(n%4))); err != nil {
			t.Fatalf("Commit(%d) = %v, want nil", n, err)
		}
	}
	for n := int64(59); n <= 60; n++ {
		if _, err := s.Load(t.Context(), n); err != nil {
			t.Errorf("Load(%d) = %v, want nil", n, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, bolt.Config{Dir: dir, Retention: 2})
	// two manifests, two states of the server that changes, one of the server that does not
	eventually(t, func() bool { return countBlobs(t, s) == 5 })
}

// countBlobs looks into a copy, for the file itself is locked.
func countBlobs(t *testing.T, s *bolt.Store) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	backup := backUp(t, s)
	if err := os.WriteFile(path, backup[len(backupHeader):len(backup)-32], 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("blobs")).ForEach(func(_, _ []byte) error { n++; return nil })
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("what was waited for did not come about")
		}
		<-time.After(5 * time.Millisecond)
	}
}
