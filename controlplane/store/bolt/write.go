package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// update runs fn and has what it did on disk when it returns nil, or not at all. ErrFull, ErrInDoubt.
func (s *Store) update(fn func(tx *bbolt.Tx) error) error { return s.write(s.config.maxBytes(), fn) }

// write is update with a limit of its own for the file's size in bytes; 0 is none.
//
// bbolt writes pages that nothing refers to yet, then one of the file's two head pages, which refers to them. A full disk
// stops it before the head page, and then all is as it was. A disk that fails at the head page leaves it open which of
// two states is there. To write on could overwrite the later one, so nothing is written then until the store is opened
// anew, and bbolt reads which it is.
func (s *Store) write(maxBytes int64, fn func(tx *bbolt.Tx) error) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.doubt {
		return store.ErrInDoubt
	}
	s.db.MaxSize = int(maxBytes)
	var before []byte
	err := guarded(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			err := fn(tx)
			if err == nil {
				before, err = s.headPages()
			}
			return err
		})
	})
	if err != nil && before != nil { // it was bbolt's commit that failed
		after, readErr := s.headPages()
		s.doubt = readErr != nil || !bytes.Equal(before, after)
	}
	return s.writeError(err)
}

// headPages returns the two head pages as they are in the file now.
func (s *Store) headPages() ([]byte, error) {
	f, err := os.Open(s.config.path())
	if err != nil {
		return nil, err
	}
	b := make([]byte, s.headSize)
	_, err = f.ReadAt(b, 0)
	return b, errors.Join(err, f.Close())
}

// writeError gives bbolt's words the store's names. When there is no room left, the sweeper is to make some.
func (s *Store) writeError(err error) error {
	if errors.Is(err, berrors.ErrMaxSizeReached) {
		s.cramped.Store(true)
		s.wakeSweeper()
		return fmt.Errorf("%w of %d bytes", store.ErrFull, s.config.maxBytes())
	}
	return closedError(err)
}
