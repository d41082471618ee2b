package follow_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// stateDir returns a state folder after revisions 1 and 2, both on disk.
func stateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	c := listen(t, "127.0.0.1:0")
	stop := newProxy(t, c.addr, dir).run(t)
	s := c.welcome(t, nil)
	for n := int64(1); n <= 2; n++ {
		s.push(snapshot(t, at{"s", 1, n}))
		s.ack()
	}
	stop()
	return dir
}

func change(t *testing.T, path string, with func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, with(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedSnapshotFallsBackToThePrevious(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"cut short":   func(b []byte) []byte { return b[:len(b)-1] },
		"header only": func(b []byte) []byte { return b[:len("gatehouse snapshot 1\n")+31] },
		"longer":      func(b []byte) []byte { return append(b, 0) },
		"flipped":     func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"of revision": func(b []byte) []byte { return bytes.Replace(b, []byte("server-s-1-2"), []byte("server-s-1-3"), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t)
			change(t, filepath.Join(dir, "snapshot"), damage)
			if got := revision(newProxy(t, "127.0.0.1:1", dir).live.Load()); got != 1 {
				t.Errorf("with a damaged newest file revision %d serves, want 1", got)
			}
			// The next start finds no newest file; the previous one has to be there still.
			if got := revision(newProxy(t, "127.0.0.1:1", dir).live.Load()); got != 1 {
				t.Errorf("at the second start revision %d serves, want 1", got)
			}
			if _, err := os.Stat(filepath.Join(dir, "snapshot.damaged")); err != nil {
				t.Errorf("the damaged file was not kept for a look: %v", err)
			}
		})
	}
}

// TestCrashBetweenRenamesLosesNothing is the one moment of saving at which there is no newest file.
func TestCrashBetweenRenamesLosesNothing(t *testing.T) {
	dir := stateDir(t)
	if err := os.Rename(filepath.Join(dir, "snapshot"), filepath.Join(dir, "snapshot.previous")); err != nil {
		t.Fatal(err)
	}
	if got := revision(newProxy(t, "127.0.0.1:1", dir).live.Load()); got != 2 {
		t.Errorf("revision %d serves, want 2", got)
	}
}

func TestTwoDamagedSnapshotsAreNoObstacle(t *testing.T) {
	dir := stateDir(t)
	for _, name := range []string{"snapshot", "snapshot.previous"} {
		change(t, filepath.Join(dir, name), func(b []byte) []byte { return b[1:] })
	}
	c := listen(t, "127.0.0.1:0")
	p := newProxy(t, c.addr, dir)
	if p.live.Load() != nil {
		t.Errorf("revision %d serves, want nothing", revision(p.live.Load()))
	}
	p.run(t)
	s := c.welcome(t, nil)
	s.push(snapshot(t, at{"s", 1, 1}))
	s.ack()
}

// FuzzStart starts from any file, as it is and under a header and digest that are right. What serves must have been
// proven by the digest of its own position; the fuzzer does not find one.
func FuzzStart(f *testing.F) {
	header := []byte("gatehouse snapshot 1\n")
	f.Add([]byte(nil))
	f.Add(header)
	f.Add(append(bytes.Clone(header), make([]byte, 64)...))
	f.Add([]byte{0x12, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := sha256.Sum256(b)
		for _, file := range [][]byte{b, bytes.Join([][]byte{header, sum[:], b}, nil)} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "snapshot"), file, 0o600); err != nil {
				t.Fatal(err)
			}
			if p := newProxy(t, "127.0.0.1:1", dir); p.live.Load() != nil {
				t.Errorf("revision %d serves from a file of nobody", p.live.Load().Revision)
			}
			if _, err := os.Stat(filepath.Join(dir, "snapshot")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the bad file is still in the way: %v", err)
			}
		}
	})
}
