// Package content is how every store lays a revision out in bytes: each object is a blob named by its SHA-256, and so is
// the manifest that lists them. A revision that changes one object of a thousand adds that object and a manifest. Bytes
// that do not have the digest they are named by are refused, never decoded.
package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// magic opens every manifest, so that no object's bytes are ever taken for one. A new layout gets a new number.
var magic = []byte("gatehouse manifest 1\n")

// Digest is the SHA-256 of a blob, and the name it is stored under.
type Digest [sha256.Size]byte

// Sum returns the digest of a blob.
func Sum(blob []byte) Digest { return sha256.Sum256(blob) }

// String returns the digest in lower-case hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Fetch returns the blob of that name as it is stored, unchecked, or nil where there is none.
type Fetch func(d Digest) []byte

// Manifest lists what one revision is made of.
type Manifest struct {
	// Record is the revision's.
	Record *gatehousev1.Revision
	// Objects name the objects' blobs, in the order of the Config.
	Objects []Digest
}

// Encode lays r out as blobs, and returns the name of the manifest among them. Equal revisions give equal blobs as long
// as the protobuf library stays; nothing relies on more, since stored bytes are never encoded anew to compare them.
func Encode(r *store.Revision) (Digest, map[Digest][]byte, error) {
	blobs := make(map[Digest][]byte, len(r.Config.GetObjects())+1)
	names := make([]Digest, 0, len(r.Config.GetObjects()))
	for _, o := range r.Config.GetObjects() {
		blob, err := marshal(o)
		if err != nil {
			return Digest{}, nil, fmt.Errorf("encoding object %q: %w", o.GetName(), err)
		}
		name := Sum(blob)
		blobs[name] = blob
		names = append(names, name)
	}
	manifest, err := encodeManifest(r.Record, names)
	if err != nil {
		return Digest{}, nil, err
	}
	name := Sum(manifest)
	blobs[name] = manifest
	return name, blobs, nil
}

// encodeManifest puts the record first, behind its length, and then 32 bytes for each object.
func encodeManifest(record *gatehousev1.Revision, objects []Digest) ([]byte, error) {
	head, err := marshal(record)
	if err != nil {
		return nil, fmt.Errorf("encoding the record of revision %d: %w", record.GetRevision(), err)
	}
	b := make([]byte, 0, len(magic)+binary.MaxVarintLen64+len(head)+len(objects)*sha256.Size)
	b = append(b, magic...)
	b = binary.AppendUvarint(b, uint64(len(head)))
	b = append(b, head...)
	for _, d := range objects {
		b = append(b, d[:]...)
	}
	return b, nil
}

// ParseManifest decodes a manifest whose digest was checked. What is not one gives ErrCorrupt.
func ParseManifest(b []byte) (*Manifest, error) {
	rest, ok := bytes.CutPrefix(b, magic)
	if !ok {
		return nil, fmt.Errorf("reading a manifest: no header: %w", store.ErrCorrupt)
	}
	size, n := binary.Uvarint(rest) // n is not positive where there is no number, or one of over 64 bits
	if n <= 0 || size > uint64(len(rest)-n) {
		return nil, fmt.Errorf("reading a manifest: bad length of the record: %w", store.ErrCorrupt)
	}
	head, names := rest[n:n+int(size)], rest[n+int(size):]
	if len(names)%sha256.Size != 0 {
		return nil, fmt.Errorf("reading a manifest: it ends within a digest: %w", store.ErrCorrupt)
	}
	m := &Manifest{Record: new(gatehousev1.Revision), Objects: make([]Digest, 0, len(names)/sha256.Size)}
	if err := proto.Unmarshal(head, m.Record); err != nil {
		return nil, fmt.Errorf("reading a manifest's record: %w (%w)", store.ErrCorrupt, err)
	}
	for ; len(names) > 0; names = names[sha256.Size:] {
		m.Objects = append(m.Objects, Digest(names[:sha256.Size]))
	}
	return m, nil
}

// Blob fetches a blob and checks it against its name. The bytes are those of fetch, not a copy.
func Blob(fetch Fetch, d Digest) ([]byte, error) {
	b := fetch(d)
	if b == nil {
		return nil, fmt.Errorf("reading blob %s: it is missing: %w", d, store.ErrCorrupt)
	}
	if Sum(b) != d {
		return nil, fmt.Errorf("reading blob %s: its bytes have another digest: %w", d, store.ErrCorrupt)
	}
	return b, nil
}

// DecodeManifest fetches and checks the manifest of revision n. One that is of another revision gives ErrCorrupt.
func DecodeManifest(fetch Fetch, d Digest, n int64) (*Manifest, error) {
	b, err := Blob(fetch, d)
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, err
	}
	if m.Record.GetRevision() != n {
		return nil, fmt.Errorf("reading a manifest: it is of revision %d: %w", m.Record.GetRevision(), store.ErrCorrupt)
	}
	return m, nil
}

// Decode fetches revision n whole, every blob checked. Nothing in the result refers to fetch's bytes.
func Decode(fetch Fetch, d Digest, n int64) (*store.Revision, error) {
	m, err := DecodeManifest(fetch, d, n)
	if err != nil {
		return nil, err
	}
	r := &store.Revision{Record: m.Record, Config: &gatehousev1.Config{}}
	for _, name := range m.Objects {
		o, err := decodeObject(fetch, name)
		if err != nil {
			return nil, err
		}
		r.Config.Objects = append(r.Config.Objects, o)
	}
	return r, nil
}

// decodeObject returns one object, proven before it is decoded.
func decodeObject(fetch Fetch, name Digest) (*gatehousev1.Object, error) {
	b, err := Blob(fetch, name)
	if err != nil {
		return nil, err
	}
	o := new(gatehousev1.Object)
	if err := proto.Unmarshal(b, o); err != nil {
		return nil, fmt.Errorf("reading object %s: %w (%w)", name, store.ErrCorrupt, err)
	}
	return o, nil
}

// marshal orders the entries of maps, so that the same object always has the same name.
func marshal(m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}
