//go:build !race

package bolt_test

// With the race detector the compiler checks every conversion of a pointer, and ends the process where bbolt follows a
// damaged one. Without it the program lives on, and has to notice; so these tests run only there.

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
)

// TestDamageIsNeverServed flips one bit at many places. Most flips hit bytes that no live page uses; the rest must be
// found, at opening or at reading.
func TestDamageIsNeverServed(t *testing.T) {
	file, revisions := storeFile(t)
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 200 {
		at, bit := random.IntN(len(file)), random.IntN(8)
		damaged := append([]byte(nil), file...)
		damaged[at] ^= 1 << bit
		err := reopen(t, damaged, revisions)
		if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("bit %d of byte %d flipped: %v, want nil or %v", bit, at, err, store.ErrCorrupt)
		}
		if err != nil {
			found++
		}
	}
	if found == 0 {
		t.Error("no flip was found, so none hit what it was to hit")
	}
}

// FuzzRestore restores files whose digest is right, so that everything behind the digest sees what the fuzzer makes.
func FuzzRestore(f *testing.F) {
	file, _ := storeFile(f)
	f.Add(0, []byte{})
	f.Add(4*os.Getpagesize(), []byte{1, 2, 3})
	f.Add(16, []byte{0xff})
	f.Fuzz(func(t *testing.T, at int, patch []byte) {
		damaged := bytes.Clone(file)
		copy(damaged[max(0, min(at, len(damaged))):], patch)
		_, err := bolt.Restore(t.Context(), bytes.NewReader(sealed(damaged)), t.TempDir())
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("Restore() = %v, want nil or %v", err, store.ErrCorrupt)
		}
	})
}
