package upstream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

const (
	// spillPattern names the files of large messages, for as long as they have a name.
	spillPattern = "answer-*.spill"
	// gatherBytes is how much of a large message is written at a time.
	gatherBytes = 128 << 10
)

// spills keep messages that are too large for memory, each in a file of its own. A file has no name while it is used, so
// nothing is left of it whichever way the process ends.
type spills struct {
	dir     string
	from    int   // size in bytes from which on
	most    int64 // bytes of all files together
	used    limit.Count
	refused func(limit.Name)
	// gathers hold *[gatherBytes]byte.
	gathers sync.Pool
}

// newSpills removes what a process has left that could not take the names of its files away.
func newSpills(c *Config) *spills {
	if left, err := filepath.Glob(filepath.Join(c.SpillDir, spillPattern)); err == nil {
		for _, name := range left {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				c.Logger.Warn("large answer of an earlier run not removed", "file", name, "error", err)
			}
		}
	}
	return &spills{dir: c.SpillDir, from: c.SpillBytes, most: c.MaxSpilledBytes, refused: c.Refused}
}

// storageError says that a message could not be kept, which is our trouble alone.
type storageError struct{ why string }

// Error words it without the name of the file: agents may read it.
func (e *storageError) Error() string { return e.why }

// noStorage words an error of the file system.
func noStorage(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return &storageError{err.Error()}
}

// errFull says that all large messages together take as much room as they may.
var errFull = &storageError{"as much is kept already as may be"}

// add appends a part of a message to its buffer, or to its file once it is large. With nil spills, all stays in memory.
func (s *spills) add(b *buffer, part []byte) {
	switch {
	case b.large != nil:
		b.large.add(part)
	case s == nil || len(b.b)+len(part) <= s.from:
		b.add(part)
	default:
		b.large = s.begin(b.b)
		b.large.add(part)
		b.shed() // what was gathered so far is in the file
	}
}

// begin begins a file.
func (s *spills) begin(head []byte) *large {
	l := &large{in: s, outline: mcp.NewOutline(mcp.SpillNames()...)}
	if room, ok := s.gathers.Get().(*[gatherBytes]byte); ok {
		l.gathered = room[:0]
	} else {
		l.gathered = make([]byte, 0, gatherBytes)
	}
	f, err := os.CreateTemp(s.dir, spillPattern) // readable for its owner alone
	if err != nil {
		l.fail(noStorage(err))
	} else {
		l.file, l.named = f, os.Remove(f.Name()) != nil
	}
	for part := range slices.Chunk(head, gatherBytes) {
		l.add(part)
	}
	return l
}

// large is a message in a file. What is wrong with it shows at the end, so that what follows it can still be read.
type large struct {
	in      *spills
	outline *mcp.Outline
	size    int
	kept    int64 // of it, in the file
	err     error

	file     *os.File
	named    bool   // the file has a name, since the system takes none from an open file
	gathered []byte // to be written
	head     []byte // how it begins and ends: somewhere there is an id
	tail     []byte
}

// add appends a part of at most gatherBytes.
func (l *large) add(part []byte) {
	if l.size == 0 {
		l.head = slices.Clone(part[:min(len(part), edgeBytes)])
	}
	l.size += len(part)
	if l.err != nil {
		l.tail = keepTail(l.tail, part)
		return
	}
	if len(l.gathered)+len(part) > cap(l.gathered) {
		l.flush()
	}
	if l.err == nil {
		l.gathered = append(l.gathered, part...)
	}
}

// flush reads what was gathered and writes it to the file.
func (l *large) flush() {
	l.tail = keepTail(l.tail, l.gathered)
	if _, err := l.outline.Write(l.gathered); err != nil {
		l.fail(err)
		return
	}
	n := int64(len(l.gathered))
	if !l.in.used.Take(n, l.in.most) {
		l.in.refused(limit.Disk)
		l.fail(errFull)
		return
	}
	l.kept += n
	if _, err := l.file.Write(l.gathered); err != nil {
		l.fail(noStorage(err))
		return
	}
	l.gathered = l.gathered[:0]
}

// fail gives up: the rest of the message is only counted.
func (l *large) fail(err error) {
	l.close()
	l.err = err
}

// gatherNoMore gives back what was gathered.
func (l *large) gatherNoMore() {
	if l.gathered != nil {
		l.in.gathers.Put((*[gatherBytes]byte)(l.gathered[:gatherBytes]))
		l.gathered = nil
	}
}

// close gives the file back.
func (l *large) close() {
	l.gatherNoMore()
	l.in.used.Give(l.kept)
	l.kept = 0
	if l.file == nil {
		return
	}
	_ = l.file.Close() // nobody will read it
	if l.named {
		_ = os.Remove(l.file.Name()) // else the next start does
	}
	l.file = nil
}

// message ends the message and returns what it is, without its parts.
func (l *large) message() (mcp.Message, error) {
	if l.err == nil && len(l.gathered) > 0 {
		l.flush()
	}
	l.gatherNoMore()
	if l.err != nil {
		return mcp.Message{}, l.err
	}
	return l.outline.Close()
}

// isResult says whether it is a result, the only thing that may stay outside of memory.
func (l *large) isResult() bool { return l.outline.Result().Size() > 0 }

// guess finds an id of ours near one of the ends. The TypeScript SDK writes the id last, others write it first.
func (l *large) guess() (int64, bool) {
	if id, ok := guessID(l.tail); ok {
		return id, true
	}
	return guessID(l.head)
}

// scan reads the message in a buffer. A large result stays where it is; everything else is taken into memory, up to most
// bytes. For what stays, the message is without its parts.
func (b *buffer) scan(most int) (mcp.Message, error) {
	if b.large == nil {
		return mcp.ScanMessage(b.b)
	}
	msg, err := b.large.message()
	if err != nil || b.large.isResult() {
		return msg, err
	}
	return b.takeIn(most)
}

// takeIn takes a large message into memory.
func (b *buffer) takeIn(most int) (mcp.Message, error) {
	l := b.large
	if l.size > most {
		return mcp.Message{}, tooBig(most)
	}
	text := make([]byte, l.size)
	_, err := io.ReadFull(io.NewSectionReader(l.file, 0, int64(l.size)), text)
	l.close()
	b.b, b.large = text, nil
	if err != nil {
		return mcp.Message{}, noStorage(err)
	}
	return mcp.ScanMessage(b.b)
}

// length is the message's, in bytes.
func (b *buffer) length() int {
	if b.large != nil {
		return b.large.size
	}
	return len(b.b)
}

// errTooBig says that a message is over the limit.
var errTooBig = errors.New("message over the size limit")

// tooBig names the limit.
func tooBig(most int) error { return fmt.Errorf("%w of %d bytes", errTooBig, most) }

// unread says why a message of a server's cannot be used: it is too big, we have no room for it, or what it did is wrong.
func unread(server, what string, err error) error {
	if _, ok := errors.AsType[*storageError](err); ok {
		return fmt.Errorf("%w: server %s sent a large answer, which could not be kept: %s", mcp.ErrStorage, server, err.Error())
	}
	if errors.Is(err, errTooBig) {
		what = "sent an answer that is too big"
	}
	return invalid(server, what, err)
}
