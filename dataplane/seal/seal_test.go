package seal_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

var when = time.Unix(1_790_000_000, 0)

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	for _, version := range []string{"2025-11-25", "2025-06-18", "2024-11-05", ""} {
		token := seal.New(key).Seal(version, "laptop", when)
		got, err := seal.New(key).Open(token) // another proxy with the same key
		if err != nil || got.Version != version || !got.Issued.Equal(when) || !got.BelongsTo("laptop") || got.BelongsTo("other") {
			t.Errorf("Open(Seal(%q)) = %+v, %v", version, got, err)
		}
		if !strings.HasPrefix(token, got.ID) || len(got.ID) != 24 {
			t.Errorf("ID = %q, want the first 24 characters of %q", got.ID, token)
		}
	}
}

func TestSealedTokensDifferAndAreVisibleASCII(t *testing.T) {
	s := seal.New([]byte("k"))
	a, b := s.Seal("2025-11-25", "x", when), s.Seal("2025-11-25", "x", when)
	if a == b {
		t.Errorf("Seal gave %q twice", a)
	}
	for _, c := range a {
		if c <= ' ' || c > '~' {
			t.Errorf("Seal(…) = %q, which has %q", a, c)
		}
	}
}

func TestOpenRefusesWhatWasChanged(t *testing.T) {
	s := seal.New([]byte("key"))
	token := s.Seal("2025-11-25", "x", when)
	for i := range token {
		changed := []byte(token)
		changed[i] = flip(changed[i])
		if _, err := s.Open(string(changed)); !errors.Is(err, seal.ErrSeal) {
			t.Errorf("Open with character %d changed: %v, want ErrSeal", i, err)
		}
	}
	for _, other := range []string{"", "x", token + "A", token[1:], token + "\n", strings.Repeat("A", len(token)), token[:60] + "\r\n" + token[62:]} {
		if _, err := s.Open(other); !errors.Is(err, seal.ErrSeal) {
			t.Errorf("Open(%q) = %v, want ErrSeal", other, err)
		}
	}
	if _, err := seal.New([]byte("other key")).Open(token); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("Open with another key = %v, want ErrSeal", err)
	}
}

func flip(c byte) byte {
	if c == 'A' {
		return 'B'
	}
	return 'A'
}

func FuzzOpen(f *testing.F) {
	s := seal.New([]byte("key"))
	token := s.Seal("2025-11-25", "x", when)
	f.Add(token)
	f.Add("")
	f.Add(token[:40])
	f.Fuzz(func(t *testing.T, text string) {
		got, err := s.Open(text)
		if err == nil && (!got.BelongsTo("x") || !got.Issued.Equal(when) || got.Version != "2025-11-25") { // no such token was made
			t.Errorf("Open(%q) = %+v, want ErrSeal", text, got)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s := seal.New([]byte("key"))
	token := s.Seal("2025-11-25", "x", when)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(token); err != nil {
			b.Fatal(err)
		}
	}
}
