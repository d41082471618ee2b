package gateway

import (
	"bytes"
	"math"
	"sync"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

const (
	// maxShelf bounds the results that are kept for one table, in bytes; beyond it, all begin anew.
	maxShelf = 32 << 20
	// maxShelved bounds one of them.
	maxShelved = 4 << 20
	// minPage is the size of a page, in bytes, from which on comparing is quicker than filtering it once more.
	minPage = 2 << 10
)

// shelf keeps lists that were rendered for an agent, for as long as the table is live: what an agent sees of a server is the
// same each time until the table, or what the server has, is another.
type shelf struct {
	table *table.Table
	m     sync.Map // :: shelfKey → *shelved
	bytes atomic.Int64
}

// shelfKey names a list.
type shelfKey struct {
	agent  *policy.Agent
	server string // empty for the list of servers
	method string // empty for the gateway's own tools
	era    mcp.Era
	// mirrors and taskless are those of the request.
	mirrors, taskless bool
}

// shelved is a list as it was rendered. It MUST NOT be changed.
type shelved struct {
	// It is good for as long as this is what it was made of: a catalogue, or the page that a server sent.
	catalogue *upstream.Catalogue
	page      []byte
	result    []byte
}

// shelf returns what is kept for the flight's table; nil where another one is live.
func (f *flight) shelf() *shelf {
	s := f.g.shelf.Load()
	switch {
	case s != nil && s.table == f.table:
		return s
	case f.g.config.Live.Load() != f.table:
		return nil
	}
	fresh := &shelf{table: f.table}
	f.g.shelf.CompareAndSwap(s, fresh) // where another was quicker, this one is used once
	return fresh
}

// shelfKey names a list of the flight's agent.
func (f *flight) shelfKey(server, method string) shelfKey {
	k := shelfKey{agent: f.agent, server: server, method: method, era: f.call.Era}
	if f.direct != nil {
		k.mirrors, k.taskless = f.direct.mirrors, f.direct.taskless
	}
	return k
}

// fetch makes a list that is kept the reply, if there is one that was made of the same.
func (f *flight) fetch(k shelfKey, made shelved) bool {
	s := f.shelf()
	if s == nil {
		return false
	}
	v, ok := s.m.Load(k)
	if !ok {
		return false
	}
	kept, ok := v.(*shelved)
	if !ok || kept.catalogue != made.catalogue || !bytes.Equal(kept.page, made.page) {
		return false
	}
	f.entry.Outcome = record.OK
	f.reply.Result = kept.result
	return true
}

// keep keeps the reply, which was made of that.
func (f *flight) keep(k shelfKey, made shelved) {
	s := f.shelf()
	n := int64(len(made.page) + len(f.reply.Result))
	if s == nil || n > maxShelved {
		return
	}
	if s.bytes.Add(n) > maxShelf {
		f.g.shelf.CompareAndSwap(s, nil)
		return
	}
	made.page, made.result = bytes.Clone(made.page), bytes.Clone(f.reply.Result)
	s.m.Store(k, &made)
}

// isWhole says whether a listing is of all tools: others are as many as there are questions.
func (l *listing) isWhole() bool {
	return l.names == nil && l.pattern == nil && l.budget == math.MaxInt64
}
