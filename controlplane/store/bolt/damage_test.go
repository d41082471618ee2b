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

// TestDamageIsNeverServed flips single bits anywhere, and overwrites bytes where pages begin, which is where bbolt could be
// led astray. Some of it hits bytes that no live page uses; the rest must be found, at opening or at reading.
func TestDamageIsNeverServed(t *testing.T) {
	file, revisions := storeFile(t)
	for name, damage := range map[string]func(b []byte, random *rand.Rand){
		"one bit": func(b []byte, random *rand.Rand) { b[random.IntN(len(b))] ^= 1 << random.IntN(8) },
		"heads of pages": func(b []byte, random *rand.Rand) {
			for range 1 + random.IntN(8) {
				b[random.IntN(len(b)/os.Getpagesize())*os.Getpagesize()+random.IntN(100)] = byte(random.Uint32())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			found := 0
			for round := range 150 {
				damaged := bytes.Clone(file)
				damage(damaged, random)
				err := reopen(t, damaged, revisions)
				if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNotFound) {
					t.Errorf("round %d: %v, want nil or %v", round, err, store.ErrCorrupt)
				}
				if err != nil {
					found++
				}
			}
			if found == 0 {
				t.Error("no damage was found, so none hit what it was to hit")
			}
		})
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
