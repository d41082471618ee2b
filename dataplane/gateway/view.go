package gateway

import (
	"github.com/gatehouse-mcp/gatehouse/dataplane/record"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// view is what the gateway keeps for one table, made by the first call on it. Only the newest table has one: a call that
// ends on an older table is counted by the view that is there, which costs it nothing and holds nothing of the old table.
type view struct {
	table     *table.Table
	observers *record.Observers
}

// observers returns the metrics of a table, looked up once. The hot path is one atomic load.
func (g *Gateway) observers(t *table.Table) *record.Observers {
	v := g.view.Load()
	if v != nil && (v.table == t || t != g.config.Live.Load()) {
		return v.observers // of a newer table: names that are gone since count as "other"
	}
	if g.config.Metrics == nil {
		return nil
	}
	return g.look(t)
}

// look makes the view of a table that no call has been counted on.
func (g *Gateway) look(t *table.Table) *record.Observers {
	g.viewMu.Lock()
	defer g.viewMu.Unlock()
	if v := g.view.Load(); v != nil && v.table == t { // another call was quicker
		return v.observers
	}
	v := &view{table: t} // MUST NOT be changed once it is stored
	v.observers = g.config.Metrics.For(names(t))
	if t != nil {
		g.view.Store(v)
	}
	return v.observers
}

// names lists the servers and agents of a table; none of no table.
func names(t *table.Table) (servers, agents []string) {
	if t == nil {
		return nil, nil
	}
	for _, s := range t.Servers {
		servers = append(servers, s.Name)
	}
	for _, a := range t.Policies.Agents() {
		agents = append(agents, a.ID)
	}
	return servers, agents
}
