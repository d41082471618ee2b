package seal_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

// FuzzSealed: what was sealed opens as it was, for its own kind and bound alone, and not at all once a character of it is
// another.
func FuzzSealed(f *testing.F) {
	f.Add([]byte("page 2"), "5:alice3:srv", "10.0.0.7:8080", byte(seal.KindCursor), int64(60), uint16(3), byte(1))
	f.Add([]byte(nil), "", "", byte(0), int64(0), uint16(0), byte(255))
	f.Add(bytes.Repeat([]byte{0xff}, 1500), "b", string(bytes.Repeat([]byte("a"), 300)), byte(9), int64(1)<<40, uint16(700), byte(7))
	s := seal.New([]byte("key"))
	f.Fuzz(func(t *testing.T, payload []byte, bound, address string, kind byte, life int64, at uint16, change byte) {
		v := seal.Value{Kind: seal.Kind(kind), Bound: bound, Address: address, Payload: payload}
		if life = life % (1 << 33); life > 0 {
			v.Expires = when.Add(time.Duration(life) * time.Second)
		}
		text := s.SealValue(v)
		got, err := s.OpenValue(text, v.Kind, v.Bound, when)
		if len(address) > 255 {
			address = ""
		}
		if err != nil || !bytes.Equal(got.Payload, payload) || got.Address != address || !got.Expires.Equal(v.Expires) {
			t.Fatalf("OpenValue(SealValue(%+v)) = %+v, %v", v, got, err)
		}
		other := altered(text, at, change)
		for _, c := range []struct {
			text  string
			kind  byte
			bound string
			now   time.Time
		}{{text, kind + 1, bound, when}, {text, kind, bound + "x", when}, {other, kind, bound, when}, {text[1:], kind, bound, when}} {
			if _, err := s.OpenValue(c.text, seal.Kind(c.kind), c.bound, c.now); !errors.Is(err, seal.ErrSeal) {
				t.Errorf("OpenValue(%+v) of %q = %v, want ErrSeal", c, text, err)
			}
		}
		if _, err := s.OpenValue(text, v.Kind, bound, v.Expires); !v.Expires.IsZero() && err == nil {
			t.Error("OpenValue of a value that has expired went well")
		}
		session(t, s, seal.Facts{Version: bound, Issued: when, Home: address, Capabilities: payload, Info: []byte(bound)}, at, change)
	})
}

// altered is a text with another character, of the same alphabet or not.
func altered(text string, at uint16, change byte) string {
	b := []byte(text)
	b[int(at)%len(b)] ^= max(change, 1)
	return string(b)
}

// session seals and opens a session id.
func session(t *testing.T, s *seal.Sealer, f seal.Facts, at uint16, change byte) {
	token := s.Seal(f, "laptop")
	var got seal.Session
	if err := s.Open(&got, token); err != nil || string(got.Home) != f.Home || !got.BelongsTo("laptop") || got.BelongsTo("other") {
		t.Fatalf("Open(Seal(%+v)) = %+v, %v", f, got, err)
	}
	if len(f.Capabilities)+len(f.Info) <= seal.MaxDeclaration && (!bytes.Equal(got.Capabilities, f.Capabilities) || !bytes.Equal(got.Info, f.Info)) {
		t.Errorf("Open(Seal(%+v)) declares %q and %q", f, got.Capabilities, got.Info)
	}
	if err := s.Open(&got, altered(token, at, change)); !errors.Is(err, seal.ErrSeal) {
		t.Errorf("Open of an altered token = %v, want ErrSeal", err)
	}
}
