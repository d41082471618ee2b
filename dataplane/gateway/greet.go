package gateway

import (
	"fmt"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// metaServerInfo is where the modern era puts what the legacy era says in serverInfo.
const metaServerInfo = mcp.MetaPrefix + "serverInfo"

// greet makes the answer to an agent's handshake of what the upstream said in its own: the server's name, capabilities
// and instructions, with the versions that the gateway speaks to agents.
func (f *flight) greet(h *upstream.Hello) (*mcp.Reply, error) {
	var v [3][]byte
	if _, err := mcp.Pick(h.Result, []string{"serverInfo", "_meta", "protocolVersion"}, v[:]); err != nil {
		return nil, f.unreadable("greeted", err)
	}
	info := v[0]
	if info == nil && v[1] != nil {
		var m [1][]byte
		if _, err := mcp.Pick(v[1], []string{metaServerInfo}, m[:]); err != nil {
			return nil, f.unreadable("greeted", err)
		}
		info = m[0]
	}
	dst := []byte{'{'}
	if f.call.Name == methodInitialize {
		dst = mcp.AppendString(append(dst, `"protocolVersion":`...), f.version(v[2]))
		if info != nil {
			dst = append(append(dst, `,"serverInfo":`...), info...)
		}
	} else {
		dst = append(dst, `"resultType":"complete","supportedVersions":[`...)
		dst = mcp.AppendString(dst, mcp.ModernVersion)
		for _, version := range mcp.LegacyVersions {
			dst = mcp.AppendString(append(dst, ','), version)
		}
		dst = append(dst, `],"ttlMs":`+noTTL+`,"cacheScope":`+privateScope...)
		if info != nil {
			dst = append(append(dst, `,"_meta":{"`+metaServerInfo+`":`...), info...)
			dst = append(dst, '}')
		}
	}
	dst, err := f.appendRest(dst, h)
	if err != nil {
		return nil, f.unreadable("greeted", err)
	}
	return &mcp.Reply{Result: dst}, nil
}

// appendRest appends the members of a handshake's result that are the same in both eras, or unknown, and the brace.
func (f *flight) appendRest(dst []byte, h *upstream.Hello) ([]byte, error) {
	own := []string{"protocolVersion", "serverInfo", "resultType", "supportedVersions", "ttlMs", "cacheScope", "_meta"}
	err := mcp.Members(h.Result, func(name, value []byte) error {
		plain, _ := mcp.Unquote(name)
		if plain == "capabilities" && h.Era != f.call.Era {
			value = taskless(value)
		}
		if !slices.Contains(own, plain) {
			dst = append(append(append(append(dst, ','), name...), ':'), value...)
		}
		return nil
	})
	return append(dst, '}'), err
}

// version is the protocol version that an initialize is answered with: the one that the agent asks for, if we speak it,
// and none that is newer than what a legacy upstream speaks.
func (f *flight) version(theirs []byte) string {
	var v [1][]byte
	version := mcp.LegacyVersions[0]
	if f.direct.Params != nil {
		if _, err := mcp.Pick(f.direct.Params, []string{"protocolVersion"}, v[:]); err == nil {
			if asked, ok := mcp.Unquote(v[0]); ok && slices.Contains(mcp.LegacyVersions, asked) {
				version = asked
			}
		}
	}
	if limit, ok := mcp.Unquote(theirs); ok && slices.Contains(mcp.LegacyVersions, limit) {
		version = min(version, limit) // dates, so they sort by their text
	}
	return version
}

// unreadable says that the server said something that cannot be read. err is there in words alone: as an *mcp.Error in
// the chain it would pass for the server's own.
func (f *flight) unreadable(how string, err error) error {
	return fmt.Errorf("%w: server %s %s with %v", mcp.ErrInvalidResponse, f.direct.Server, how, err) //nolint:errorlint // see above
}

// taskless are a server's capabilities without tasks, which are not the same in the other era.
func taskless(capabilities []byte) []byte {
	if rest, err := without(capabilities, "tasks"); err == nil {
		capabilities = rest
	}
	from, to, err := mcp.Locate(capabilities, "extensions")
	if err != nil || from == 0 {
		return capabilities
	}
	rest, err := without(capabilities[from:to], tasksExtension)
	if err != nil {
		return capabilities
	}
	return mcp.AppendSpliced(nil, capabilities, from, to, rest)
}
