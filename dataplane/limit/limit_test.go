package limit_test

import (
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
)

func TestCountNeverPassesItsBound(t *testing.T) {
	var (
		c     limit.Count
		tasks sync.WaitGroup
	)
	for range 8 {
		tasks.Go(func() {
			for range 2000 {
				if c.Take(3, 10) {
					if n := c.InUse(); n < 3 {
						t.Errorf("InUse = %d while 3 are taken", n)
					}
					c.Give(3)
				}
			}
		})
	}
	tasks.Wait()
	if n := c.InUse(); n != 0 {
		t.Errorf("InUse = %d after all was given back, want 0", n)
	}
	if !c.Take(10, 10) || c.Take(1, 10) {
		t.Error("Take gives more than the bound, or less")
	}
}

func BenchmarkTake(b *testing.B) {
	var c limit.Count
	b.ReportAllocs()
	for b.Loop() {
		if c.Take(1, 10) {
			c.Give(1)
		}
	}
}
