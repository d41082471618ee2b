package upstream_test

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// letters is a stream of so many letters.
func letters(n int64) io.Reader {
	return io.LimitReader(endlessly("x"), n)
}

type endlessly string

func (e endlessly) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e[0]
	}
	return len(p), nil
}

// The clock of the bubble goes on only while everything waits, so what is measured is what was waited.
func TestLargeMessagesArePaced(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	const limit = 64 << 20
	read := map[string]func(text io.Reader){
		"lines": func(text io.Reader) { upstream.ReadLines(text, limit) },
		"events": func(text io.Reader) {
			_, _, _ = upstream.ReadEvents(io.MultiReader(strings.NewReader("data: "), text), limit)
		},
	}
	for name, read := range read {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			read(letters(1 << 20))
			if waited := time.Since(begin); waited != 0 {
				t.Errorf("%s: a message of 1 MiB waited %v, want nothing", name, waited)
			}
			read(letters(32 << 20))
			// 200 MiB a second, of which a hundredth of a second is free.
			if waited, want := time.Since(begin), 100*time.Millisecond; waited < want || waited > 2*want {
				t.Errorf("%s: a message of 32 MiB waited %v, want about %v", name, waited, want)
			}
		})
	}
}

func TestManyMessagesOfUsualSizeAreNotPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		upstream.ReadLines(strings.NewReader(strings.Repeat(strings.Repeat("x", 1<<20)+"\n", 32)), 2<<20)
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("32 lines of 1 MiB waited %v, want nothing", waited)
		}
	})
}
