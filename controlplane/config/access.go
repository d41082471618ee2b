package config

import gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

// Access says who gains or loses which tool between two configurations, sorted by agent, server and tool. catalogues
// holds, by server, the tools that proxies reported; it may be nil.
func Access(a, b *gatehousev1.Config, catalogues map[string][]string) []*gatehousev1.AccessChange {
	return nil
}
