package gateway

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// cursorAge is for how long a cursor opens: long enough for a person who turns pages, too short to be kept in a file.
const cursorAge = 12 * time.Hour

// seals keep the sealer of the key of now, since making one costs more than using it. The zero value is ready.
type seals struct{ current atomic.Pointer[keyedSealer] }

// keyedSealer is a sealer and the key that it was made from. It MUST NOT be changed.
type keyedSealer struct {
	*seal.Sealer
	key []byte
}

// of returns the sealer of a table's key.
func (s *seals) of(t *table.Table) *seal.Sealer {
	if c := s.current.Load(); c != nil && bytes.Equal(c.key, t.SealKey) {
		return c.Sealer
	}
	c := &keyedSealer{seal.New(t.SealKey), t.SealKey}
	s.current.Store(c)
	return c.Sealer
}

// bound is whom and what a cursor is for: with another principal, agent, server or list it is none.
func (f *flight) bound() string {
	return seal.Bind(f.principal.Name, f.agent.ID, f.direct.Server, f.direct.Name)
}

// appendCursor appends an upstream's raw cursor, sealed: agents can neither read it nor make one up, and every proxy with
// the same key takes it back. What is no string is no cursor, and stays as it is.
func (f *flight) appendCursor(dst, raw []byte) []byte {
	if len(raw) == 0 || raw[0] != '"' {
		return append(dst, raw...)
	}
	text := f.g.seals.of(f.table).SealValue(seal.Value{
		Kind: seal.KindCursor, Bound: f.bound(), Expires: time.Now().Add(cursorAge), Payload: raw,
	})
	return mcp.AppendString(dst, text)
}

// openCursor returns the params of a request, of a list with the upstream's own cursor in the place of the sealed one.
func (f *flight) openCursor(params []byte) ([]byte, error) {
	if _, ok := pageOf(f.direct.Name); !ok {
		return params, nil
	}
	var v [1][]byte
	if _, err := mcp.Pick(params, []string{"cursor"}, v[:]); err != nil {
		return nil, refuseArgument("params: %v", err)
	}
	if v[0] == nil {
		return params, nil
	}
	text, _ := mcp.Unquote(v[0]) // what is no string is no cursor of ours either
	cursor, err := f.g.seals.of(f.table).OpenValue(text, seal.KindCursor, f.bound(), time.Now())
	if err != nil {
		return nil, refuseArgument("invalid cursor: ask for the first page again, without a cursor, and use each nextCursor "+
			"as it came, for the same list, agent and server, within %d hours", int(cursorAge.Hours()))
	}
	return replaced(params, "cursor", func([]byte) ([]byte, error) { return cursor.Payload, nil })
}
