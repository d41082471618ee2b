package content_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/content"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store/storetest"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// revision returns revision n with count servers.
func revision(n int64, count int) *store.Revision {
	r := storetest.Revision(fmt.Sprint(n))
	r.Record.Revision = n
	for i := range count {
		r.Config.Objects = append(r.Config.Objects, storetest.Server(fmt.Sprintf("server-%d", i), "one of many"))
	}
	return r
}

func encode(t testing.TB, r *store.Revision) (content.Digest, map[content.Digest][]byte) {
	t.Helper()
	name, blobs, err := content.Encode(r)
	if err != nil {
		t.Fatalf("Encode() = %v, want nil", err)
	}
	return name, blobs
}

func fetch(blobs map[content.Digest][]byte) content.Fetch {
	return func(d content.Digest) []byte { return blobs[d] }
}

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	for _, want := range []*store.Revision{
		revision(7, 20),
		{Record: &gatehousev1.Revision{Revision: 7}, Config: &gatehousev1.Config{}},
		{Record: &gatehousev1.Revision{Revision: 7}, Config: &gatehousev1.Config{Objects: []*gatehousev1.Object{{}, {}}}},
	} {
		name, blobs := encode(t, want)
		got, err := content.Decode(fetch(blobs), name, 7)
		if err != nil || !proto.Equal(got.Record, want.Record) || !proto.Equal(got.Config, want.Config) {
			t.Errorf("Decode() = %v, %v, want %v, nil", got, err, want)
		}
	}
}

func TestEncodeIsDeterministic(t *testing.T) {
	name, _ := encode(t, revision(1, 5))
	for range 20 { // maps in objects are walked in random order
		if again, _ := encode(t, revision(1, 5)); again != name {
			t.Fatalf("Encode() names the manifest %s and %s", name, again)
		}
	}
}

func TestOneChangedObjectCostsTwoBlobs(t *testing.T) {
	_, before := encode(t, revision(1, 100))
	_, after := encode(t, revision(2, 100)) // also describes one server differently
	added := 0
	for name := range after {
		if _, ok := before[name]; !ok {
			added++
		}
	}
	if added != 2 {
		t.Errorf("%d blobs are new, want 2: the object and the manifest", added)
	}
}

func TestDecodeRefusesWhatDoesNotFit(t *testing.T) {
	name, blobs := encode(t, revision(7, 3))
	if _, err := content.Decode(fetch(blobs), name, 8); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Decode() of revision 7 as 8 = %v, want %v", err, store.ErrCorrupt)
	}
	for d, blob := range blobs {
		for what, other := range map[string][]byte{"missing": nil, "empty": {}, "changed": append(bytes.Clone(blob), 0)} {
			blobs[d] = other
			if _, err := content.Decode(fetch(blobs), name, 7); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("Decode() with blob %s %s = %v, want %v", d, what, err, store.ErrCorrupt)
			}
		}
		blobs[d] = blob
	}
}

// TestObjectIsNoManifest asks for a blob of the other kind under its right digest.
func TestObjectIsNoManifest(t *testing.T) {
	name, blobs := encode(t, revision(7, 1))
	for d := range blobs {
		_, err := content.DecodeManifest(fetch(blobs), d, 7)
		if d != name && !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("DecodeManifest() of an object = %v, want %v", err, store.ErrCorrupt)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	name, blobs := encode(f, revision(7, 2))
	f.Add(blobs[name])
	f.Add([]byte("gatehouse manifest 1\n"))
	f.Add([]byte("gatehouse manifest 1\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("gatehouse manifest 1\n\x02\x08\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := content.ParseManifest(b)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("ParseManifest() = %v, want nil or %v", err, store.ErrCorrupt)
			}
			return
		}
		if m.Record == nil || len(m.Objects)*len(content.Digest{}) > len(b) {
			t.Errorf("ParseManifest() of %d bytes = %v and %d objects", len(b), m.Record, len(m.Objects))
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	r := revision(1, 400)
	b.ReportAllocs()
	for b.Loop() {
		encode(b, r)
	}
}

func BenchmarkDecode(b *testing.B) {
	name, blobs := encode(b, revision(1, 400))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := content.Decode(fetch(blobs), name, 1); err != nil {
			b.Fatal(err)
		}
	}
}
