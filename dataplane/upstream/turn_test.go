package upstream_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"runtime/debug"
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

// event is a stream of one event of so many bytes.
func event(n int64) io.Reader {
	return io.MultiReader(strings.NewReader("data: "), letters(n), strings.NewReader("\n\n"))
}

// waited is how long the clock of the bubble went on meanwhile.
func waited(during func()) time.Duration {
	begin := time.Now()
	during()
	return time.Since(begin)
}

func TestAServerThatSendsWithoutEndIsReadSlowlyUntilAMessageEnds(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	synctest.Test(t, func(t *testing.T) {
		s := upstream.NewServer()
		well := func() {
			if err := s.Read(t.Context(), event(5<<20), 16<<20); err != nil {
				t.Error(err)
			}
		}
		before := waited(well)
		if err := s.Read(t.Context(), event(5<<20), 3<<20); !errors.Is(err, upstream.ErrTooBig) {
			t.Errorf("an event over the limit = %v", err)
		}
		if slow := waited(well); slow < 5*before {
			t.Errorf("a message waited %v, and %v behind one that was cut off, want five times as much", before, slow)
		}
		if after := waited(well); after > 2*before {
			t.Errorf("a message waited %v, and %v once one had ended well again", before, after)
		}
	})
}

func TestAServerMakesGoodAsMuchAsItSentWithoutEnd(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	synctest.Test(t, func(t *testing.T) {
		s := upstream.NewServer()
		well := func(size int64) time.Duration {
			return waited(func() {
				if err := s.Read(t.Context(), event(size), 16<<20); err != nil {
					t.Error(err)
				}
			})
		}
		trusted := well(1 << 20)
		_ = s.Read(t.Context(), event(5<<20), 3<<20)
		for i := range 3 { // what is owed are the 3 MiB of the one that was cut off, and a little more
			if took := well(1 << 20); took < 4*trusted+30*time.Millisecond {
				t.Errorf("message %d behind one that was cut off waited %v, and %v before it", i, took, trusted)
			}
		}
		well(1 << 20)
		if took := well(1 << 20); took > trusted {
			t.Errorf("a message waited %v, and %v once as much as was cut off had ended well", trusted, took)
		}
	})
}

func TestMessagesOfUsualSizeMayBeCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upstream.NewServer()
		if took := waited(func() {
			for range 8 {
				if err := s.Read(t.Context(), event(1<<20), 1<<19); !errors.Is(err, upstream.ErrTooBig) {
					t.Errorf("an event over the limit = %v", err)
				}
			}
			_ = s.Read(t.Context(), event(1<<18), 1<<20)
		}); took != 0 {
			t.Errorf("messages of less than 2 MiB that are cut off waited %v, want nothing", took)
		}
	})
}

func TestNobodyWaitsForAMessageThatIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upstream.NewServer()
		_ = s.Read(t.Context(), event(5<<20), 3<<20)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if took := waited(func() { _ = s.Read(ctx, event(5<<20), 16<<20) }); took != 0 {
			t.Errorf("reading for nobody waited %v, want nothing", took)
		}
	})
}

// Sixteen messages of 2 MiB take 64 MiB where each doubles its way up in memory of its own.
func TestMemoryOfLongMessagesIsUsedAgain(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would empty what is kept
	const messages, size = 16, 2 << 20
	s := upstream.NewServer()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range messages {
		if err := s.Read(t.Context(), event(size), 2*size); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	// Were none used again, it would be more than twice that together. The race detector has pools lose each fourth of what
	// they are given, at random: half of it leaves room for any luck.
	if took, most := after.TotalAlloc-before.TotalAlloc, uint64(messages*size*3/2); took > most {
		t.Errorf("%d messages of %d bytes took %d bytes of memory, want at most %d", messages, size, took, most)
	}
}
