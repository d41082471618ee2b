package bolt_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/storetest"
)

const backupHeader = "gatehouse backup 1\n"

func backUp(t testing.TB, s *bolt.Store) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.Backup(t.Context(), &b); err != nil {
		t.Fatalf("Backup() = %v, want nil", err)
	}
	return b.Bytes()
}

func TestRestoreBringsAllBackInTheNextEpoch(t *testing.T) {
	s := open(t, bolt.Config{Dir: t.TempDir(), Retention: 3})
	storetest.Commit(t, s, 0, 7)
	dir := filepath.Join(t.TempDir(), "restored")
	n, err := bolt.Restore(t.Context(), bytes.NewReader(backUp(t, s)), dir)
	if err != nil || n != 7 {
		t.Fatalf("Restore() = %d, %v, want 7, nil", n, err)
	}
	restored := open(t, bolt.Config{Dir: dir, Retention: 3})
	was, is := s.Identity(), restored.Identity()
	if is.ID != was.ID || is.Epoch != was.Epoch+1 || !bytes.Equal(is.SealKey, was.SealKey) {
		t.Errorf("restored identity: id kept %v, epoch %d, key kept %v; want true, %d, true",
			is.ID == was.ID, is.Epoch, bytes.Equal(is.SealKey, was.SealKey), was.Epoch+1)
	}
	for n := int64(5); n <= 7; n++ {
		want, _ := s.Load(t.Context(), n)
		if got, err := restored.Load(t.Context(), n); err != nil || !proto.Equal(got.Config, want.Config) || !proto.Equal(got.Record, want.Record) {
			t.Errorf("Load(%d) of the restored = %v, %v, want %v", n, got, err, want)
		}
	}
	storetest.Commit(t, restored, 7, 2)
}

func TestRestoreRefusesWhatIsNotEmpty(t *testing.T) {
	s := open(t, bolt.Config{Dir: t.TempDir()})
	backup := backUp(t, s)
	dir := t.TempDir()
	other := filepath.Join(dir, "key")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Restore(t.Context(), bytes.NewReader(backup), dir); !errors.Is(err, bolt.ErrNotEmpty) {
		t.Errorf("Restore() = %v, want %v", err, bolt.ErrNotEmpty)
	}
	if err := os.Rename(other, filepath.Join(dir, "gatehouse.db.restore")); err != nil { // of a restore that was killed
		t.Fatal(err)
	}
	if _, err := bolt.Restore(t.Context(), bytes.NewReader(backup), dir); err != nil {
		t.Errorf("Restore() after one that was killed = %v, want nil", err)
	}
}

func TestRestoreRefusesDamage(t *testing.T) {
	s := open(t, bolt.Config{Dir: t.TempDir()})
	storetest.Commit(t, s, 0, 2)
	backup := backUp(t, s)
	for name, damaged := range map[string][]byte{
		"empty":        nil,
		"header only":  backup[:len(backupHeader)],
		"cut short":    backup[:len(backup)/2],
		"no digest":    backup[:len(backup)-32],
		"a bare file":  backup[len(backupHeader):],
		"flipped":      flip(backup, len(backup)/3),
		"longer":       append(bytes.Clone(backup), 0),
		"signed trash": sealed([]byte("trash")),
		"signed holes": sealed(make([]byte, 8*os.Getpagesize())),
		"signed empty": sealed(nil),
		"signed blob":  sealed(changed(backup)),
	} {
		dir := t.TempDir()
		if _, err := bolt.Restore(t.Context(), bytes.NewReader(damaged), dir); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("Restore() of a backup that is %s = %v, want %v", name, err, store.ErrCorrupt)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("after a refused Restore of a backup that is %s the folder holds %v", name, entries)
		}
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// sealed makes a backup of any file, its digest right.
func sealed(file []byte) []byte {
	sum := sha256.Sum256(file)
	return bytes.Join([][]byte{[]byte(backupHeader), file, sum[:]}, nil)
}

// changed is the file of a backup with an old object changed, one that opening alone does not read.
func changed(backup []byte) []byte {
	file := backup[len(backupHeader) : len(backup)-32]
	return bytes.ReplaceAll(file, []byte("the same"), []byte("the SAME"))
}

func TestRestoreEndsWithItsContext(t *testing.T) {
	s := open(t, bolt.Config{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bolt.Restore(ctx, bytes.NewReader(backUp(t, s)), t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("Restore() with an ended context = %v, want %v", err, context.Canceled)
	}
}

func TestBackupUnderCommitsRestores(t *testing.T) {
	s := open(t, bolt.Config{Dir: t.TempDir(), Retention: 5})
	var writer sync.WaitGroup
	writer.Go(func() { storetest.Commit(t, s, 0, 60) })
	for range 5 {
		var b bytes.Buffer
		n, err := s.Backup(t.Context(), &b)
		if err != nil {
			t.Fatalf("Backup() = %v, want nil", err)
		}
		if got, err := bolt.Restore(t.Context(), &b, t.TempDir()); err != nil || got != n {
			t.Errorf("Restore() = %d, %v, want %d, nil", got, err, n)
		}
	}
	writer.Wait()
}
