package upstream_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// benchmark performs calls of one tool from one caller, and from 16.
func benchmark(b *testing.B, u *upstream.Upstream, name string) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour) // calls come with a deadline
	defer cancel()
	c := tool(name)
	once := func() error {
		reply, err := u.Call(ctx, c)
		reply.Close()
		return err
	}
	if err := once(); err != nil {
		b.Fatal(err)
	}
	run := func(callers int) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(callers)
			var failed atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if once() != nil {
						failed.Add(1)
					}
				}
			})
			if n := failed.Load(); n > 0 {
				b.Errorf("%d calls failed, want 0", n)
			}
		}
	}
	b.Run("few", run(1))
	b.Run("many", run(8))
}

func BenchmarkStdio(b *testing.B) {
	for _, kind := range []string{"legacy", "modern"} {
		b.Run(kind, func(b *testing.B) { benchmark(b, one(b, upstream.Config{}, child(kind)), "empty") })
	}
}

func BenchmarkStdioBig(b *testing.B) {
	benchmark(b, one(b, upstream.Config{}, child("legacy")), "big")
}

// quick is a server that does as little as it can, so that the caller is measured.
func quick(modern bool, result string) *web {
	return &web{modern: modern, respond: func(w http.ResponseWriter, _ *http.Request, q request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"jsonrpc":"2.0","id":`)
		w.Write(q.ID)
		io.WriteString(w, `,"result":`+result+`}`)
	}}
}

// BenchmarkHTTP includes the server, which runs in this process.
func BenchmarkHTTP(b *testing.B) {
	for name, w := range map[string]*web{
		"legacy": quick(false, "{}"), "modern": quick(true, "{}"), "64k": quick(false, `"`+strings.Repeat("x", 64<<10)+`"`),
	} {
		w.quiet = true
		b.Run(name, func(b *testing.B) { benchmark(b, one(b, upstream.Config{}, w.start(b)), "x") })
	}
}

// BenchmarkPick is the way from a table's server to its upstream.
func BenchmarkPick(b *testing.B) {
	p := newPool(b, upstream.Config{})
	all := servers{}
	for i := range 100 {
		all["server"+mustBe(i)] = child("legacy")
	}
	tab := tableOf(b, all)
	p.Prepare(tab)
	s := tab.Server("server50")
	b.ReportAllocs()
	for b.Loop() {
		if p.Upstream(s) == nil {
			b.Fatal("Upstream = nil")
		}
	}
}

var _ mcp.Caller = (*upstream.Upstream)(nil)
