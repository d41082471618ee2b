package gateway

import (
	"errors"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

// boundTo is what such a value is bound to: whoever else holds it, or holds it out to another server, has nothing.
func (f *flight) boundTo(parts ...string) string {
	return seal.Bind(append([]string{f.principal.Name, f.agent.ID, f.direct.Server}, parts...)...)
}

// errNotTheirs says that a value was not given to this principal, as this agent, at this server, for this.
var errNotTheirs = errors.New("the value is not theirs")

// keeper is the address of the proxy at which a server's own words mean something; empty where they do at any. A server on
// stdio is a process of each proxy's own.
func (f *flight) keeper() string {
	if s := f.table.Server(f.direct.Server); s != nil && s.Spec.GetStdio() != nil {
		return f.g.config.Address
	}
	return ""
}

// seal returns a value as a raw JSON string that this principal alone can open, as this agent, for this server, and for
// what the parts say. It lasts for that long; 0 is for ever.
func (f *flight) seal(kind seal.Kind, payload []byte, lasts time.Duration, parts ...string) []byte {
	v := seal.Value{Kind: kind, Bound: f.boundTo(parts...), Address: f.keeper(), Payload: payload}
	if lasts > 0 {
		v.Expires = f.entry.Time.Add(lasts)
	}
	return mcp.AppendString(nil, f.g.seals.of(f.table).SealValue(v))
}

// open is the reverse of seal. The error is errNotTheirs, or an *ElsewhereError where another proxy's process knows what it means.
func (f *flight) open(kind seal.Kind, raw []byte, parts ...string) ([]byte, error) {
	text, ok := mcp.Unquote(raw)
	if !ok {
		return nil, errNotTheirs
	}
	v, err := f.g.seals.of(f.table).OpenValue(text, kind, f.boundTo(parts...), f.entry.Time)
	if err != nil {
		return nil, errNotTheirs
	}
	if v.Address != "" && v.Address != f.g.config.Address && !f.direct.Lost {
		return nil, &ElsewhereError{Address: v.Address}
	}
	return v.Payload, nil
}
