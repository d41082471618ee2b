package record

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Config says where the audit log goes.
type Config struct {
	// Path is a file to append to, made with mode 0600 where it does not exist; "-" is Stdout.
	Path string
	// Stdout takes the lines where Path is "-". It is not closed.
	Stdout io.Writer
	// Proxy is the name of this proxy, written into each line.
	Proxy string
	// MaxWaiting bounds the bytes that wait for the disk; then calls wait with them. Zero means 8 MiB.
	MaxWaiting int
	// Gather is how long lines gather before they go out in one write: a write for each would take a processor from the
	// calls, a third of the latency of one call at a time on two processors. Zero means five milliseconds.
	Gather time.Duration
	// RetryDelay is the pause after a write that went wrong. Zero means one second.
	RetryDelay time.Duration
	// CloseTimeout bounds how long Close waits for a write that is under way. Zero means five seconds.
	CloseTimeout time.Duration
	// Logger takes what the log has to say of itself; nil discards it.
	Logger *slog.Logger
}

// errStuck says that Close has given up on a write.
var errStuck = errors.New("closing audit log: a write does not end, what waits behind it is lost")

func (c Config) maxWaiting() int {
	if c.MaxWaiting == 0 {
		return 8 << 20
	}
	return c.MaxWaiting
}

func (c Config) gather() time.Duration {
	if c.Gather == 0 {
		return 5 * time.Millisecond
	}
	return c.Gather
}

func (c Config) retryDelay() time.Duration {
	if c.RetryDelay == 0 {
		return time.Second
	}
	return c.RetryDelay
}

func (c Config) closeTimeout() time.Duration {
	if c.CloseTimeout == 0 {
		return 5 * time.Second
	}
	return c.CloseTimeout
}

func (c Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// Log is the audit log: JSON lines, none of which is lost or dropped while the process lives.
//
// The way of an entry is:
//
//	Append     -- on the call's goroutine: encode, then copy into the buffer that is being filled
//	* write    -- one goroutine: let lines gather, swap the two buffers, write the full one, again while there is more
//
// A line is on its way to the file within Gather; SIGKILL can take what is younger, an orderly end loses nothing. While the
// disk is slow, more lines gather and go out in one write. When too many bytes wait, Append waits too. A write that
// goes wrong is tried again until it succeeds, or Close gives up on it.
//
// Two buffers and a lock held for one copy are quicker than a channel of lines, and need no bound in lines: what is
// bounded is what matters, the memory.
type Log struct {
	config Config
	prefix string        // makes ids unique among processes
	serial atomic.Uint64 // makes ids unique in this one
	wake   chan struct{} // one slot: there is something to write
	quit   chan struct{} // closed by Close
	done   chan struct{} // closed when the writer has ended
	failed atomic.Pointer[error]

	out struct {
		sync.Mutex // guards below; held while writing, never together with mu
		w          io.Writer
		file       *os.File // nil where the lines go to Stdout
		ended      bool     // Close has closed the file
	}

	mu      sync.Mutex // guards below
	room    sync.Cond  // waiting has shrunk, or closed is set
	filling []byte
	waiting int // bytes in filling and in the writer's hands
	closed  bool
}

// Open opens the file and starts the writer, which Close ends.
func Open(c Config) (*Log, error) {
	l := &Log{config: c, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	l.room.L = &l.mu
	var random [6]byte // 2^48: enough that no two processes of a fleet share ids
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("making ids for the audit log: %w", err)
	}
	l.prefix = hex.EncodeToString(random[:]) + "-"
	l.out.w = c.Stdout
	if err := l.Reopen(); err != nil {
		return nil, err
	}
	go l.write()
	return l, nil
}

// Reopen closes the file and opens the path anew, so that whatever rotates logs can move the file away first. Where the
// path does not open, the old file stays in use.
func (l *Log) Reopen() error {
	if l.config.Path == "-" { // Open has set it; the lock would wait for a reader
		return nil
	}
	file, err := openFile(l.config.Path)
	if err != nil {
		return fmt.Errorf("opening audit log: %w", err)
	}
	l.out.Lock()
	defer l.out.Unlock()
	if l.out.ended { // too late: nothing would close the new one
		return file.Close()
	}
	if l.out.file != nil {
		err = l.out.file.Close()
	}
	l.out.file, l.out.w = file, file
	return err
}

// openFile opens a file to append lines to. What a process that was killed left of a line gets an end of its own, so that
// it spoils no other.
func openFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	var last [1]byte
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() == 0) {
		return file, nil // a pipe or a device, or nothing to look at
	}
	if err == nil {
		_, err = file.ReadAt(last[:], info.Size()-1)
	}
	if err == nil && last[0] != '\n' {
		_, err = file.WriteString("\n")
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Append writes one line, soon. It waits while too many bytes wait already; after Close it does nothing.
func (l *Log) Append(e *Entry) {
	var space [1024]byte // most lines fit, and none of them needs the heap
	line := l.encode(space[:0], e)
	l.mu.Lock()
	// A line that is longer than all that may wait goes through alone.
	for l.waiting > 0 && l.waiting+len(line) > l.config.maxWaiting() && !l.closed {
		l.room.Wait()
	}
	if !l.closed {
		l.filling = append(l.filling, line...)
		l.waiting += len(line)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default: // the writer will look again anyhow
	}
}

// Err returns why the last write went wrong; nil once one has succeeded. While it is not nil, calls will come to wait.
func (l *Log) Err() error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Close writes what waits, has the disk confirm it (fsync), and closes the file. What still does not go out is lost, and
// the error says how much. A write that does not end, such as to a pipe that nobody reads, is left behind with its file.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.room.Broadcast() // calls that wait for room go on without their lines
	l.mu.Unlock()
	close(l.quit)
	timer := time.NewTimer(l.config.closeTimeout())
	defer timer.Stop()
	select {
	case <-l.done:
		return l.finish()
	case <-timer.C: // a write that the system does not end holds the writer, and the file
		return errStuck
	}
}

// finish closes the file once the writer has ended. What is lost is said before anything else.
func (l *Log) finish() error {
	l.mu.Lock()
	lost := l.waiting
	l.mu.Unlock()
	err := l.closeFile()
	if lost > 0 {
		return fmt.Errorf("closing audit log with %d bytes unwritten: %w", lost, l.Err())
	}
	return err
}

func (l *Log) closeFile() error {
	l.out.Lock()
	defer l.out.Unlock()
	if l.out.ended = true; l.out.file == nil {
		return nil
	}
	if err := l.out.file.Sync(); err != nil {
		return fmt.Errorf("syncing audit log: %w", err)
	}
	return l.out.file.Close()
}
