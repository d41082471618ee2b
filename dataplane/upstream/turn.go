package upstream

import (
	"runtime"
	"time"
)

// A goroutine that always finds more to read is let run for 10 ms at a time, and a dozen servers that talk without end would
// have every other call wait for all of them, again and again. So whoever reads lets others run in between.
const (
	turnBytes = 128 << 10 // of a message, before others get a turn
	turnHeard = 64        // messages before an answer
)

// turn counts the bytes that were read since others had a turn.
type turn int

// took counts n more. It costs one that is alone nothing.
func (t *turn) took(n int) {
	if *t += turn(n); *t > turnBytes {
		*t = 0
		runtime.Gosched()
	}
}

// letOthers pauses once in so many messages of one stream, which may be tiny and still keep many parts of the gateway busy.
func letOthers(heard int) {
	if heard%turnHeard == 0 {
		time.Sleep(time.Millisecond)
	}
}
