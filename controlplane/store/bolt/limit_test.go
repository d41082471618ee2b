package bolt_test

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/storetest"
)

// noise returns a revision of some bytes that no other has.
func noise(bytes int) *store.Revision {
	random := make([]byte, bytes/2)
	_, _ = rand.Read(random) // never fails
	r := storetest.Revision("noise")
	r.Config.Objects = append(r.Config.Objects, storetest.Server("noise", hex.EncodeToString(random)))
	return r
}

// fill commits until the store is full, and returns the newest revision.
func fill(t *testing.T, s *bolt.Store) int64 {
	t.Helper()
	for n := range int64(1000) {
		switch err := s.Commit(t.Context(), n, noise(2<<20)); {
		case errors.Is(err, store.ErrFull):
			return n
		case err != nil:
			t.Fatalf("Commit(%d) = %v, want nil or %v", n, err, store.ErrFull)
		}
	}
	t.Fatal("the store does not become full")
	return 0
}

func TestFullStoreStillReads(t *testing.T) {
	s := open(t, bolt.Config{Dir: t.TempDir(), MaxBytes: 20 << 20})
	newest := fill(t, s)
	if newest == 0 {
		t.Fatal("the store is full before the first commit")
	}
	for n := int64(1); n <= newest; n++ {
		if _, err := s.Load(t.Context(), n); err != nil {
			t.Errorf("Load(%d) of a full store = %v, want nil", n, err)
		}
	}
	if err := s.Commit(t.Context(), newest, storetest.Revision("small")); err != nil && !errors.Is(err, store.ErrFull) {
		t.Errorf("a small Commit to a full store = %v, want nil or %v", err, store.ErrFull)
	}
}

// TestRetentionMakesRoom never fills, for what is swept is used again.
func TestRetentionMakesRoom(t *testing.T) {
	s := open(t, bolt.Config{Dir: t.TempDir(), MaxBytes: 20 << 20, Retention: 2})
	for n := range int64(14) {
		eventually(t, func() bool {
			err := s.Commit(t.Context(), n, noise(2<<20))
			if err != nil && !errors.Is(err, store.ErrFull) {
				t.Fatalf("Commit(%d) = %v, want nil or %v", n, err, store.ErrFull)
			}
			return err == nil
		})
	}
}

func TestFullStoreOpensWithMoreRoom(t *testing.T) {
	dir := t.TempDir()
	s := open(t, bolt.Config{Dir: dir, MaxBytes: 20 << 20})
	newest := fill(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, bolt.Config{Dir: dir})
	storetest.Commit(t, s, newest, 1)
}

func BenchmarkCommit(b *testing.B) {
	for _, objects := range []int{10, 400} {
		b.Run(fmt.Sprintf("objects=%d", objects), func(b *testing.B) {
			s := open(b, bolt.Config{Dir: b.TempDir()})
			r := storetest.Revision("benchmark")
			for i := range objects {
				r.Config.Objects = append(r.Config.Objects, storetest.Server(fmt.Sprint(i), "one of many"))
			}
			b.ReportAllocs()
			for n := int64(0); b.Loop(); n++ {
				if err := s.Commit(b.Context(), n, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	s := open(b, bolt.Config{Dir: b.TempDir()})
	r := storetest.Revision("benchmark")
	for i := range 400 {
		r.Config.Objects = append(r.Config.Objects, storetest.Server(fmt.Sprint(i), "one of many"))
	}
	if err := s.Commit(b.Context(), 0, r); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Load(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
	}
}
