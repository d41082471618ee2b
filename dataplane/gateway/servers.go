package gateway

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// listServers is list_servers: the servers that the agent may use, sorted by name. Disabled ones are out of service and
// are left out. It asks no upstream anything.
func (f *flight) listServers(context.Context) error {
	v, err := f.pick(listServersArguments)
	if err != nil {
		return err
	}
	agent, err := text("agent_id", v[0])
	if err != nil {
		return err
	}
	f.entry.AgentAsked = agent
	metadata, err := flag("include_metadata", v[1])
	if err != nil {
		return err
	}
	if err := f.identify(agent); err != nil {
		return err
	}
	f.entry.Allow = true // being somebody is all that it takes
	key := f.shelfKey("", "")
	if !metadata && f.fetch(key, shelved{}) { // how servers are doing changes all the time
		return nil
	}
	document := f.g.buffers.take()
	*document = f.appendServers(*document, metadata)
	f.answerJSON(*document)
	f.g.buffers.give(document)
	if !metadata {
		f.keep(key, shelved{})
	}
	return nil
}

// appendServers appends the array. A server that policy hides is not even counted.
func (f *flight) appendServers(dst []byte, metadata bool) []byte {
	dst = append(dst, '[')
	first := true
	for _, s := range f.table.Servers {
		if s.Spec.GetDisabled() || !f.agent.Server(s.Name).Allow {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = mcp.AppendString(append(dst, `{"name":`...), s.Name)
		dst = mcp.AppendString(append(dst, `,"description":`...), s.Spec.GetDescription())
		if metadata {
			dst = f.appendMetadata(dst, s)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// appendMetadata appends what an agent may know beyond the name: never command, arguments, environment, headers or URL.
func (f *flight) appendMetadata(dst []byte, s *table.Server) []byte {
	dst = mcp.AppendString(append(dst, `,"transport":`...), transport(s.Spec))
	return mcp.AppendString(append(dst, `,"status":`...), f.g.state(s).State)
}

// transport names how a server is reached, without saying where.
func transport(s *gatehousev1.Server) string {
	if s.GetStdio() != nil {
		return "stdio"
	}
	return "http"
}
