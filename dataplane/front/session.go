package front

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// errNoSession says that a session id is none of ours, is another principal's, has ended, or is too old: one answer for
// all, so that nobody learns which.
var errNoSession = errors.New("this session is not known: send initialize without a session id to begin one")

const (
	// maxSessionAge is when a session id stops working, so that ids do not live for ever.
	maxSessionAge = 30 * 24 * time.Hour // desktop clients keep theirs for days
	// maxEnded bounds the ended sessions that are remembered. Their ids would work again after that many more have ended.
	maxEnded = 64 << 10
)

// sessions makes and opens the session ids of legacy agents. All that a session is stands in its id, so nothing is kept
// for one that goes on, and another proxy can take it over; only ended ones are remembered, by each proxy that hears of it.
type sessions struct {
	key     func() []byte
	current atomic.Pointer[sealer]

	mu    sync.RWMutex // guards below
	ended map[string]struct{}
	order []string // of ended, oldest at next
	next  int
}

// sealer is a seal with the key it was made from, kept because making one costs more than using it.
type sealer struct {
	*seal.Sealer
	key []byte
}

// sealer returns the seal for the key of now, or nil while there is none.
func (s *sessions) sealer() *seal.Sealer {
	if s.key == nil {
		return nil
	}
	key := s.key()
	if len(key) == 0 {
		return nil
	}
	if c := s.current.Load(); c != nil && bytes.Equal(c.key, key) {
		return c.Sealer
	}
	c := &sealer{seal.New(key), bytes.Clone(key)}
	s.current.Store(c)
	return c.Sealer
}

// start returns the id of a new session, or "" while there is no key.
func (s *sessions) start(f seal.Facts, p *table.Principal) string {
	k := s.sealer()
	if k == nil {
		return ""
	}
	f.Issued = time.Now()
	return k.Seal(f, p.Name)
}

// open reads the session of that token into dst, if the principal may use it.
func (s *sessions) open(dst *seal.Session, token string, p *table.Principal) error {
	k := s.sealer()
	if k == nil {
		return errNoSession
	}
	err := k.Open(dst, token)
	if err != nil || !dst.BelongsTo(p.Name) || time.Since(dst.Issued) > maxSessionAge || s.hasEnded(dst.ID) {
		return errNoSession
	}
	return nil
}

func (s *sessions) hasEnded(id string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ended := s.ended[id]
	return ended
}

// end makes open refuse a session from now on.
func (s *sessions) end(id string) {
	id = strings.Clone(id) // which is part of the whole token
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = make(map[string]struct{})
	}
	if len(s.order) < maxEnded {
		s.order = append(s.order, id)
	} else {
		delete(s.ended, s.order[s.next])
		s.order[s.next] = id
		s.next = (s.next + 1) % maxEnded
	}
	s.ended[id] = struct{}{}
}
