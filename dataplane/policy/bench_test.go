package policy_test

import (
	"fmt"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

const (
	fleetAgents  = 1000
	fleetServers = 10 // :: named by each policy
)

// fleet is 1,000 agents with 100 rules each: ten servers, and for each nine rules about tools, one in three a glob.
func fleet(t testing.TB) *policy.Set {
	t.Helper()
	c := &gatehousev1.Config{}
	for a := range fleetAgents {
		p := &gatehousev1.Policy{Allow: &gatehousev1.Access{}, Deny: &gatehousev1.Access{}}
		for s := range fleetServers {
			server := fmt.Sprintf("server-%d", s)
			p.Allow.Servers = append(p.Allow.Servers, server)
			p.Allow.Tools = append(p.Allow.Tools, &gatehousev1.ToolRule{
				Server: server, Tools: []string{"query", "describe", "explain", "insert", "list_*", "*_get_*"},
			})
			p.Deny.Tools = append(p.Deny.Tools, &gatehousev1.ToolRule{Server: server, Tools: []string{"truncate", "vacuum", "drop_*"}})
		}
		c.Objects = append(c.Objects, policyObject(fmt.Sprintf("agent-%d", a), p))
	}
	set, err := policy.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// question is one access; the four of them are decided by an exact rule, a glob that allows, one that denies, and none.
type question struct{ agent, server, tool string }

func questions() []question {
	return []question{
		{"agent-1", "server-0", "query"},
		{"agent-500", "server-9", "list_tables"},
		{"agent-999", "server-5", "drop_table"},
		{"agent-7", "server-3", "unlisted"},
	}
}

// BenchmarkDecide is a whole decision: find the agent, then decide about a tool.
func BenchmarkDecide(b *testing.B) {
	set, asked := fleet(b), questions()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			q := &asked[i%len(asked)]
			agent, _ := set.Resolve(q.agent)
			agent.Tool(q.server, q.tool)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

// BenchmarkCompile is what one new revision costs.
func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		fleet(b)
	}
}

func TestDecisionsAllocateNothing(t *testing.T) {
	set := fleet(t)
	globs := compile(t, strict(`{"allow":{"servers":["*"],"tools":{"d*":["a*b*c","[!x]?z"]}},"deny":{"tools":{"*":["*q*q"]}}}`)).Agent("a")
	for _, q := range questions() {
		n := testing.AllocsPerRun(100, func() {
			agent, _ := set.Resolve(q.agent)
			agent.Server(q.server)
			agent.Tool(q.server, q.tool)
			globs.Tool("db", "a"+"bbbé\xffc")
		})
		if n != 0 {
			t.Errorf("deciding %v allocates %v times, want 0", q, n)
		}
	}
}
