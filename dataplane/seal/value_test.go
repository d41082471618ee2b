package seal_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

// cursor is a value of each part.
func cursor() seal.Value {
	return seal.Value{
		Kind: seal.KindCursor, Bound: seal.Bind("laptop", "researcher", "files", "tools/list"), Expires: when.Add(time.Hour),
		Address: "10.0.0.7:8080", Payload: []byte(`"page two"`),
	}
}

func TestOpenValueReturnsWhatWasSealed(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	for _, v := range []seal.Value{
		cursor(),
		{Kind: seal.KindState, Bound: "x", Payload: []byte(strings.Repeat("x", 64<<10))},
		{Payload: []byte{}},
	} {
		text := seal.New(key).SealValue(v)
		got, err := seal.New(key).OpenValue(text, v.Kind, v.Bound, when) // another proxy with the same key
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("OpenValue(SealValue(%+v)) = %+v, %v", v, got, err)
		}
		if strings.ContainsAny(text, " \"+/=\r\n") || text == seal.New(key).SealValue(v) {
			t.Errorf("SealValue(%+v) = %q, want another text each time, of the URL-safe alphabet", v, text)
		}
	}
}

func TestOpenValueRefusesOtherKindsBoundsAndTimes(t *testing.T) {
	s, v := seal.New([]byte("key")), cursor()
	text := s.SealValue(v)
	for _, c := range []struct {
		name  string
		text  string
		kind  seal.Kind
		bound string
		now   time.Time
	}{
		{"kind", text, seal.KindState, v.Bound, when},
		{"bound", text, v.Kind, seal.Bind("desktop", "researcher", "files", "tools/list"), when},
		{"no bound", text, v.Kind, "", when},
		{"too late", text, v.Kind, v.Bound, v.Expires},
		{"empty", "", v.Kind, v.Bound, when},
		{"cut", text[:len(text)-4], v.Kind, v.Bound, when},
		{"longer", text + "AAAA", v.Kind, v.Bound, when},
		{"line break", text[:8] + "\n" + text[8:], v.Kind, v.Bound, when},
		{"padding", text + "==", v.Kind, v.Bound, when},
		{"huge", strings.Repeat("A", 2<<20), v.Kind, v.Bound, when},
		{"session id", s.Seal(facts(), "x"), v.Kind, v.Bound, when},
	} {
		if got, err := s.OpenValue(c.text, c.kind, c.bound, c.now); !errors.Is(err, seal.ErrSeal) {
			t.Errorf("%s: OpenValue = %+v, %v, want ErrSeal", c.name, got, err)
		}
	}
	if _, err := s.OpenValue(text, v.Kind, v.Bound, v.Expires.Add(-time.Nanosecond)); err != nil {
		t.Errorf("OpenValue just before it expires: %v", err)
	}
	for i := range text {
		changed := []byte(text)
		changed[i] = flip(changed[i])
		if _, err := s.OpenValue(string(changed), v.Kind, v.Bound, when); !errors.Is(err, seal.ErrSeal) {
			t.Errorf("OpenValue with character %d changed: %v, want ErrSeal", i, err)
		}
	}
}

func TestBindJoinsNoTwoListsAlike(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{
		nil, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab"}, {"1:a"}, {"1:a", "b"}, {"a1:b"}, {"a", "1:b"},
	} {
		text := seal.Bind(parts...)
		if other, ok := seen[text]; ok {
			t.Errorf("Bind(%q) = Bind(%q) = %q", parts, other, text)
		}
		seen[text] = parts
	}
}

func FuzzOpenValue(f *testing.F) {
	s, v := seal.New([]byte("key")), cursor()
	text := s.SealValue(v)
	f.Add(text, v.Bound)
	f.Add("", "")
	f.Add(text[:40], "x")
	f.Fuzz(func(t *testing.T, other, bound string) {
		got, err := s.OpenValue(other, v.Kind, bound, when)
		if err == nil && !reflect.DeepEqual(got, v) { // no such value was made
			t.Errorf("OpenValue(%q, %q) = %+v, want ErrSeal", other, bound, got)
		}
	})
}

func BenchmarkOpenValue(b *testing.B) {
	s, v := seal.New([]byte("key")), cursor()
	text := s.SealValue(v)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.OpenValue(text, v.Kind, v.Bound, when); err != nil {
			b.Fatal(err)
		}
	}
}
