package gateway

import (
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

// boundTo is what such a value is bound to: whoever else holds it, or holds it out to another server, has nothing.
func (f *flight) boundTo(parts ...string) string {
	return seal.Bind(append([]string{f.principal.Name, f.agent.ID, f.direct.Server}, parts...)...)
}

// seal returns a value as a raw JSON string that this principal alone can open, as this agent, for this server, and for
// what the parts say. It lasts for that long; 0 is for ever.
func (f *flight) seal(kind seal.Kind, payload []byte, lasts time.Duration, parts ...string) []byte {
	v := seal.Value{Kind: kind, Bound: f.boundTo(parts...), Payload: payload}
	if lasts > 0 {
		v.Expires = f.entry.Time.Add(lasts)
	}
	return mcp.AppendString(nil, f.g.seals.of(f.table).SealValue(v))
}

// open is the reverse of seal; false says that the raw value is none of theirs.
func (f *flight) open(kind seal.Kind, raw []byte, parts ...string) ([]byte, bool) {
	text, ok := mcp.Unquote(raw)
	if !ok {
		return nil, false
	}
	v, err := f.g.seals.of(f.table).OpenValue(text, kind, f.boundTo(parts...), f.entry.Time)
	return v.Payload, err == nil
}
