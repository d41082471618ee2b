package follow

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// The files of a state folder.
const (
	newestName   = "snapshot"          // the last one acked
	previousName = "snapshot.previous" // the one before, should the newest be damaged
	damagedName  = "snapshot.damaged"  // what a start could not use, for people
	partName     = "snapshot.part"     // being written
)

// fileHeader begins a file; then come the SHA-256 of the rest, and the rest: a serialized Snapshot. The snapshot's own
// digest covers its content only, and a changed position or feature would be as bad.
var fileHeader = []byte("gatehouse snapshot 1\n")

// Why a file is not loaded.
var (
	errNone    = errors.New("there is no such file")
	errDamaged = errors.New("the file is damaged")
)

// disk keeps the last two good snapshots in a folder. They hold the seal key and the digests of credentials, so nobody
// else may read them.
type disk struct{ dir string }

// save makes s the newest, on disk when it returns. Killed at any point, it leaves the newest or the previous whole.
func (d disk) save(s *gatehousev1.Snapshot) error {
	b, err := proto.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding revision %d: %w", s.GetPosition().GetRevision(), err)
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	if err := d.write(partName, fileHeader, sum[:], b); err != nil {
		return errors.Join(err, os.RemoveAll(d.path(partName))) // a full disk needs the room
	}
	if err := d.rename(newestName, previousName); err != nil { // here, for a moment, there is no newest: Start copes
		return err
	}
	if err := os.Rename(d.path(partName), d.path(newestName)); err != nil {
		return err
	}
	return syncDir(d.dir)
}

// load returns the snapshot of a file that is whole. errNone, errDamaged.
func (d disk) load(name string) (*gatehousev1.Snapshot, error) {
	b, err := os.ReadFile(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNone
	}
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(b, fileHeader)
	if !ok || len(rest) < sha256.Size {
		return nil, fmt.Errorf("%w: it does not begin as one should", errDamaged)
	}
	if sha256.Sum256(rest[sha256.Size:]) != [sha256.Size]byte(rest) {
		return nil, fmt.Errorf("%w: it has another digest", errDamaged)
	}
	s := new(gatehousev1.Snapshot)
	if err := proto.Unmarshal(rest[sha256.Size:], s); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return s, nil
}

// setAside keeps a bad file for people to look at, out of the way of save, which would make it the previous one.
func (d disk) setAside(name string) error { return d.rename(name, damagedName) }

// path is where a file of the folder is.
func (d disk) path(name string) string { return filepath.Join(d.dir, name) }

// rename lets from be missing.
func (d disk) rename(from, to string) error {
	if err := os.Rename(d.path(from), d.path(to)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// write puts parts into a new file, and on disk.
func (d disk) write(name string, parts ...[]byte) error {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Join(parts, nil))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes renames in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
