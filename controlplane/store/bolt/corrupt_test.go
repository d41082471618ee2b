package bolt_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/storetest"
)

// storeFile returns the bytes of a store of three revisions, and the revisions.
func storeFile(t testing.TB) (file []byte, revisions []*store.Revision) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, bolt.Config{Dir: dir})
	for n := range int64(3) {
		r := storetest.Revision("revision " + string(rune('a'+n)))
		if err := s.Commit(t.Context(), n, r); err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, r)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimRight(file, "\x00"), revisions // the file grows in steps; the rest of the last one is empty
}

// reopen opens a store on other bytes and reads all of it; what it can read must be what was committed.
func reopen(t *testing.T, file []byte, revisions []*store.Revision) error {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gatehouse.db"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := bolt.Open(bolt.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("Close() = %v, want nil or %v", err, store.ErrCorrupt)
		}
	}()
	for i, want := range revisions {
		got, loadErr := s.Load(t.Context(), int64(i+1))
		if loadErr == nil && (!proto.Equal(got.Record, want.Record) || !proto.Equal(got.Config, want.Config)) {
			t.Errorf("Load(%d) is not what was committed, and no error", i+1)
		}
		err = errors.Join(err, loadErr)
	}
	_, historyErr := s.History(t.Context(), 0, 10)
	return errors.Join(err, historyErr)
}

func TestEveryByteOfALiveBlobCounts(t *testing.T) {
	file, revisions := storeFile(t)
	for _, text := range []string{"revision c", "the same", "storetest"} {
		damaged := append([]byte(nil), file...)
		for at := range len(damaged) - len(text) {
			if string(damaged[at:at+len(text)]) == text {
				damaged[at] ^= 1
			}
		}
		if err := reopen(t, damaged, revisions); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("with %q changed: %v, want %v", text, err, store.ErrCorrupt)
		}
	}
}

func TestShortenedFileIsCorrupt(t *testing.T) {
	file, revisions := storeFile(t)
	page := os.Getpagesize()
	for _, size := range []int{1, 100, page, 2 * page, 3 * page} {
		if err := reopen(t, file[:size], revisions); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v, want %v", size, err, store.ErrCorrupt)
		}
	}
}

func TestForeignFileIsRefused(t *testing.T) {
	text := make([]byte, 4*os.Getpagesize())
	copy(text, "this is not a store")
	if err := reopen(t, text, nil); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Open() of a foreign file = %v, want %v", err, store.ErrCorrupt)
	}
}
