package mcp

import (
	"fmt"
	"io"
	"slices"
)

// Spill is a result that is too large to be held in memory: it stands in a message outside of it, mostly a file, and goes
// from there to the agent. It is for one goroutine at a time.
type Spill struct {
	from  io.ReadSeeker
	at    Extent
	extra []byte // members that were appended, each with a comma before it
	names []string
	kept  [][]byte
	err   error // the members are ambiguous
	kind  bool  // it is an object
	empty bool
}

// SpillNames are the members of a result's object that a Spill knows.
func SpillNames() []string { return []string{"resultType", "isError", "ttlMs", "cacheScope"} }

// NewSpill returns the result of a message, of which o is the outline for SpillNames.
func NewSpill(from io.ReadSeeker, o *Outline) *Spill {
	s := &Spill{from: from, at: o.Result(), names: SpillNames(), kind: o.IsObject(), empty: o.isEmpty()}
	s.kept, s.err = o.Members()
	return s
}

// Size is the length in bytes of what WriteTo writes.
func (s *Spill) Size() int64 { return s.at.Size() + int64(len(s.extra)) }

// IsObject says whether the result is an object.
func (s *Spill) IsObject() bool { return s.kind }

// Member returns the raw value of one of SpillNames, or nil where there is none; of what is long, the beginning. The error
// says that the members are ambiguous, as for Pick.
func (s *Spill) Member(name string) ([]byte, error) {
	if i := slices.Index(s.names, name); s.err == nil && i >= 0 {
		return s.kept[i], nil
	}
	return nil, s.err
}

// Append adds a member to the result's object, at its end: name must need no escapes, value is raw. It does not look
// whether there is one of that name.
func (s *Spill) Append(name string, value []byte) {
	if !s.empty || len(s.extra) > 0 {
		s.extra = append(s.extra, ',')
	}
	s.extra = append(append(append(append(s.extra, '"'), name...), `":`...), value...)
}

// WriteTo writes the result as it stands in the message, with what was appended.
func (s *Spill) WriteTo(w io.Writer) (n int64, err error) {
	if _, err := s.from.Seek(s.at.Start, io.SeekStart); err != nil {
		return 0, fmt.Errorf("reading a large result: %w", err)
	}
	size := s.at.Size()
	if len(s.extra) == 0 {
		return copyN(w, s.from, size)
	}
	n, err = copyN(w, s.from, size-1) // all but the closing brace
	if err != nil {
		return n, err
	}
	m, err := w.Write(append(slices.Clip(s.extra), '}'))
	return n + int64(m), err
}

// copyN lets a connection of the operating system's take the bytes from a file by itself.
func copyN(w io.Writer, from io.Reader, size int64) (int64, error) {
	n, err := io.CopyN(w, from, size)
	if err != nil {
		return n, fmt.Errorf("passing a large result on: %w", err)
	}
	return n, nil
}
