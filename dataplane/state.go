package dataplane

import (
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// live is the live table, and the news of the first one.
type live struct {
	*table.Live
	once  sync.Once
	first chan struct{} // closed by the first Swap
}

func newLive() *live { return &live{Live: new(table.Live), first: make(chan struct{})} }

// Swap is table.Live's.
func (l *live) Swap(next *table.Table) (prev *table.Table) {
	prev = l.Live.Swap(next)
	l.once.Do(func() { close(l.first) })
	return prev
}

// upstream finds a server's upstream for the gateway. The pool always has an answer, be it one that is unavailable.
func (s *Server) upstream(server *table.Server) gateway.Upstream { return s.pool.Upstream(server) }

// sealKey is the key of the newest snapshot; it is made with the store and does not change with revisions.
func (s *Server) sealKey() []byte {
	if t := s.live.Load(); t != nil {
		return t.SealKey
	}
	return nil
}

// statuses says how each server is doing, sorted by name.
func (s *Server) statuses() []*gatehousev1.ServerStatus {
	t := s.live.Load()
	if t == nil {
		return nil
	}
	all := make([]*gatehousev1.ServerStatus, 0, len(t.Servers))
	for _, server := range t.Servers {
		status := s.pool.Upstream(server).Status()
		all = append(all, &gatehousev1.ServerStatus{
			Server: server.Name, State: status.State, Error: status.Error, Tools: status.Tools,
		})
	}
	return all
}

// status is what get_gateway_status tells of the proxy.
func (s *Server) status() gateway.Status {
	f := s.follower.State()
	status := gateway.Status{Since: f.Since, LastAck: f.LastAck, LastNack: f.LastNack}
	// Each is something that works, but that an operator should look at. Agents read them too, so none says why: reasons name
	// objects that policy may hide from them, and paths.
	warn := func(message string) { status.Warnings = append(status.Warnings, message) }
	if !f.Connected {
		warn("the control plane is out of reach; serving what came from " + f.Source)
	}
	if f.Refused != "" {
		warn("a newer snapshot was refused; gwctl status and the proxy's log say why")
	}
	if s.config.Auth == auth.None {
		warn("callers need no key and may act as any agent (auth none)")
	}
	if s.audit.Err() != nil {
		warn("the audit log cannot be written; the proxy's log says why")
	}
	return status
}

// registerProxy adds the metrics of the proxy itself.
func (s *Server) registerProxy() {
	record.RegisterProxy(s.registry, record.Proxy{
		Version:  s.config.Version,
		Insecure: s.config.Auth == auth.None,
		Servers:  s.statuses,
		Forwards: s.front.Forwards,
		Revision: func() int64 {
			if t := s.live.Load(); t != nil {
				return t.Revision
			}
			return 0
		},
		Calls: func() int64 {
			if t := s.live.Load(); t != nil {
				return t.Calls()
			}
			return 0
		},
		Connected: func() bool { return s.follower.State().Connected },
	})
}
