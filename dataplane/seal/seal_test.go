package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

var when = time.Unix(1_790_000_000, 0)

// facts are those of an agent that declared a little.
func facts() seal.Facts {
	return seal.Facts{
		Version: "2025-11-25", Issued: when, Home: "10.0.0.7:8080",
		Capabilities: []byte(`{"elicitation":{}}`), Info: []byte(`{"name":"desk","version":"1"}`),
	}
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	var got seal.Session
	for _, version := range []string{"2025-11-25", "2025-06-18", "2024-11-05", ""} {
		f := facts()
		f.Version = version
		token := seal.New(key).Seal(f, "laptop")
		err := seal.New(key).Open(&got, token) // another proxy with the same key
		if err != nil || got.Version != version || !got.Issued.Equal(when) || !got.BelongsTo("laptop") || got.BelongsTo("other") {
			t.Errorf("Open(Seal(%q)) = %+v, %v", version, got, err)
		}
		if string(got.Home) != f.Home || !bytes.Equal(got.Capabilities, f.Capabilities) || !bytes.Equal(got.Info, f.Info) {
			t.Errorf("Open(Seal(%+v)) = home %s, declared %s and %s", f, got.Home, got.Capabilities, got.Info)
		}
		if !strings.HasPrefix(token, got.ID) || len(got.ID) != 24 {
			t.Errorf("ID = %q, want the first 24 characters of %q", got.ID, token)
		}
	}
}

func TestSealLeavesOutWhatIsTooLarge(t *testing.T) {
	s := seal.New([]byte("key"))
	object := func(size int) []byte { return []byte(`{"a":"` + strings.Repeat("x", size-8) + `"}`) }
	for _, c := range []struct {
		name                           string
		capabilities, info             []byte
		keepsCapabilities, keepsClient bool
	}{
		{"both fit", object(1000), object(24), true, true},
		{"one byte too many", object(1000), object(25), true, false},
		{"capabilities that do not fit", object(1025), object(20), false, true},
		{"neither fits", object(1025), object(1025), false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got seal.Session
			token := s.Seal(seal.Facts{Capabilities: c.capabilities, Info: c.info}, "x")
			if err := s.Open(&got, token); err != nil {
				t.Fatalf("Open: %v", err)
			}
			if (len(got.Capabilities) > 0) != c.keepsCapabilities || c.keepsCapabilities && !bytes.Equal(got.Capabilities, c.capabilities) {
				t.Errorf("capabilities = %.40s, kept should be %v", got.Capabilities, c.keepsCapabilities)
			}
			if len(got.Info) > 0 && !bytes.Equal(got.Info, c.info) {
				t.Errorf("info = %.40s, want all or nothing", got.Info)
			}
		})
	}
	var got seal.Session
	if err := s.Open(&got, s.Seal(seal.Facts{Home: strings.Repeat("h", 256)}, "x")); err != nil || len(got.Home) != 0 {
		t.Errorf("home of 256 bytes = %q, %v, want none", got.Home, err)
	}
}

func TestSealedTokensDifferAndSayNothing(t *testing.T) {
	s := seal.New([]byte("k"))
	a, b := s.Seal(facts(), "x"), s.Seal(facts(), "x")
	if a == b {
		t.Errorf("Seal gave %q twice", a)
	}
	for _, c := range a {
		if c <= ' ' || c > '~' {
			t.Errorf("Seal(…) = %q, which has %q", a, c)
		}
	}
	if a[24:] == b[24:] || a[24:40] == b[24:40] {
		t.Error("two tokens look alike behind their ids")
	}
}

func TestOpenRefusesWhatWasChanged(t *testing.T) {
	s := seal.New([]byte("key"))
	token := s.Seal(facts(), "x")
	refuses := func(s *seal.Sealer, token, how string) {
		t.Helper()
		got := seal.Session{ID: "before"}
		if err := s.Open(&got, token); !errors.Is(err, seal.ErrSeal) || got.ID != "" {
			t.Errorf("Open of a token %s = %+v, %v, want ErrSeal", how, got, err)
		}
	}
	for i := range token {
		changed := []byte(token)
		changed[i] = flip(changed[i])
		refuses(s, string(changed), "with another character")
	}
	for _, other := range []string{
		"", "x", token + "A", token[1:], token[:len(token)-1], token + "\n", strings.Repeat("A", len(token)),
		token[:60] + "\r\n" + token[60:], token[:60] + "\r\n" + token[62:], strings.Repeat("A", 1<<20),
	} {
		refuses(s, other, "that is another")
	}
	refuses(seal.New([]byte("other key")), token, "of another key")
	refuses(s, s.SealValue(seal.Value{Payload: bytes.Repeat([]byte("x"), 80)}), "that is a value")
	// 68 characters of the format before this one, made with the key "key".
	refuses(s, "kWIyQ2dTLUk3bGVtTlJQT3BqATT-9wVqsb2ALXEWQrmyirJrXLDYDwJ9VYs3o0jx2r4K", "of an older format")
}

func flip(c byte) byte {
	if c == 'A' {
		return 'B'
	}
	return 'A'
}

func FuzzOpen(f *testing.F) {
	s := seal.New([]byte("key"))
	token := s.Seal(facts(), "x")
	f.Add(token)
	f.Add("")
	f.Add(token[:40])
	f.Fuzz(func(t *testing.T, text string) {
		var got seal.Session
		// Each process of a fuzzing run makes a token of its own, and these alone were made.
		if err := s.Open(&got, text); err == nil && (!got.BelongsTo("x") || string(got.Home) != facts().Home || !got.Issued.Equal(when)) {
			t.Errorf("Open(%q) = %+v, want ErrSeal", text, got)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s := seal.New([]byte("key"))
	token := s.Seal(facts(), "x")
	var got seal.Session
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Open(&got, token); err != nil {
			b.Fatal(err)
		}
	}
}
