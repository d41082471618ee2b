package table_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// snapshotDigest is what a position holds.
func snapshotDigest(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

// crowd is content with a thousand servers and a thousand keys.
func crowd() *gatehousev1.SnapshotContent {
	c := content()
	for i := range 1000 {
		c.Config.Objects = append(c.Config.Objects,
			server(fmt.Sprintf("server-%d", i), stdio("true")),
			credential(fmt.Sprintf("key-%d", i), keyDigest(fmt.Sprint(i)), "backend"))
	}
	return c
}

// What every call does before its decision allocates nothing.
func TestLookupsAllocateNothing(t *testing.T) {
	var live table.Live
	live.Swap(build(t, crowd()))
	secret := []byte(key)
	tests := map[string]func(){
		"Principal":       func() { live.Load().Principal(secret).MayActAs("backend") },
		"Acquire/Release": func() { live.Acquire().Release() },
		"Server":          func() { live.Load().Server("server-500") },
	}
	for name, f := range tests {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times, want 0", name, n)
		}
	}
}

// BenchmarkCall is all that a call asks of the table: pin, authenticate, find, release.
func BenchmarkCall(b *testing.B) {
	var live table.Live
	live.Swap(build(b, crowd()))
	secret := []byte(key)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			t := live.Acquire()
			t.Principal(secret)
			t.Server("server-500")
			t.Release()
		}
	})
}

// BenchmarkBuild is what one new revision of two thousand objects costs a proxy.
func BenchmarkBuild(b *testing.B) {
	s := snapshot(b, crowd())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.Build(s); err != nil {
			b.Fatal(err)
		}
	}
}
