package bolt

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// The buckets, and the rows of meta.
var (
	bucketBlobs     = []byte("blobs")
	bucketRevisions = []byte("revisions")
	bucketMeta      = []byte("meta")

	keyIdentity = []byte("identity")
	keyHead     = []byte("head")
)

// schema is the layout that this build reads and writes. A file with a higher one is refused.
const schema = 1

// identityRow is the identity as it is stored.
type identityRow struct {
	Schema  int    `json:"schema"`
	ID      string `json:"id"`       // 16 random bytes, in hex
	Epoch   int64  `json:"epoch"`    // from 1
	SealKey []byte `json:"seal_key"` // 32 random bytes; a restore keeps them, so that agents keep their sessions
}

// head says which revisions there are: oldest to newest, without a gap. Both are 0 in an empty store.
type head struct{ oldest, newest int64 }

// initialise makes a file that nobody ever committed to a store. bbolt's first transaction is 2; a file that is past it
// and has no buckets is a damaged store, not a new one.
func (s *Store) initialise() error {
	var fresh bool
	err := s.view(func(tx *bbolt.Tx) error {
		fresh = tx.Bucket(bucketMeta) == nil && tx.ID() < 2
		return nil
	})
	if err != nil || !fresh {
		return err
	}
	return s.update(create)
}

// create makes the buckets and an identity, in the transaction that is the store's first.
func create(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketBlobs, bucketRevisions, bucketMeta} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	var id [16]byte
	row := identityRow{Schema: schema, Epoch: 1, SealKey: make([]byte, 32)}
	rand.Read(id[:]) // never fails; it ends the process sooner
	rand.Read(row.SealKey)
	row.ID = hex.EncodeToString(id[:])
	if err := putIdentity(tx, row); err != nil {
		return err
	}
	return putHead(tx, head{})
}

// putIdentity stores the identity: when the store is made, and when a restore begins an epoch.
func putIdentity(tx *bbolt.Tx, row identityRow) error {
	b, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketMeta).Put(keyIdentity, seal(b))
}

// putHead stores the head as two numbers of 8 bytes.
func putHead(tx *bbolt.Tx, h head) error {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(h.oldest))
	binary.BigEndian.PutUint64(b[8:], uint64(h.newest))
	return tx.Bucket(bucketMeta).Put(keyHead, seal(b[:]))
}

// seal puts the digest of a row before it, so that unseal finds every byte that changed since.
func seal(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(sum[:], b...)
}

// unseal returns the row without its digest, if it is the one that was sealed.
func unseal(b []byte) ([]byte, bool) {
	if len(b) < sha256.Size {
		return nil, false
	}
	sum, row := [sha256.Size]byte(b), b[sha256.Size:]
	return row, sha256.Sum256(row) == sum
}

// row returns a row of meta, checked.
func (r reader) row(key []byte) ([]byte, error) {
	meta, err := r.bucket(bucketMeta)
	if err != nil {
		return nil, err
	}
	b, ok := unseal(meta.Get(key))
	if !ok {
		return nil, fmt.Errorf("reading the %s: %w", key, store.ErrCorrupt)
	}
	return b, nil
}

// identityRow returns the identity as stored. A layout that is newer than this program's is refused, not guessed at.
func (r reader) identityRow() (identityRow, error) {
	var row identityRow
	b, err := r.row(keyIdentity)
	if err != nil {
		return row, err
	}
	if err := json.Unmarshal(b, &row); err != nil {
		return row, fmt.Errorf("reading the identity: %w: %w", store.ErrCorrupt, err)
	}
	if row.Schema > schema {
		return row, fmt.Errorf("reading the identity: layout %d is newer than this program's, %d", row.Schema, schema)
	}
	return row, nil
}

// identity returns the identity as callers know it.
func (r reader) identity() (store.Identity, error) {
	row, err := r.identityRow()
	return store.Identity{ID: row.ID, Epoch: row.Epoch, SealKey: row.SealKey}, err
}

// head returns which revisions there are. It is a row of its own, not just the last key of the revisions, so that a lost
// key is found rather than taken for an older store.
func (r reader) head() (head, error) {
	b, err := r.row(keyHead)
	if err != nil {
		return head{}, err
	}
	if len(b) != 16 {
		return head{}, fmt.Errorf("reading the head: %d bytes: %w", len(b), store.ErrCorrupt)
	}
	h := head{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))}
	if h.oldest < 0 || h.oldest > h.newest || (h.oldest == 0) != (h.newest == 0) {
		return head{}, fmt.Errorf("reading the head: revisions %d to %d: %w", h.oldest, h.newest, store.ErrCorrupt)
	}
	return h, nil
}
