package front

import (
	"slices"
	"sync"
	"time"
)

// wheelSlots is into how many parts the open streams are divided, which take turns: so that thousands do not all get
// their comment at the same moment, and calls do not wait behind them. Of 10,000 streams it is forty at a time.
const wheelSlots = 256

// streams are the open event streams. One goroutine, which is there only while there are any, looks after them all.
type streams struct {
	every time.Duration  // how often each is looked after
	tasks sync.WaitGroup // the goroutine, and those that wait for agents to leave

	mu sync.Mutex // guards below
	// slots :: the next turn is at turn
	slots [wheelSlots]map[*stream]struct{}
	turn  int
	// bySession :: session → its streams
	bySession map[string][]*stream
	stop      chan struct{} // ends the goroutine; nil while there is none
	drained   bool
}

// add takes a stream in, which remove takes out, and begins to wait for its agent to leave. After the drain it ends at once.
func (w *streams) add(s *stream, wait func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bySession == nil {
		w.bySession = make(map[string][]*stream)
	}
	s.slot = (w.turn + wheelSlots - 1) % wheelSlots // the one that is farthest
	if w.slots[s.slot] == nil {
		w.slots[s.slot] = make(map[*stream]struct{})
	}
	w.slots[s.slot][s] = struct{}{}
	w.bySession[s.call.Session] = append(w.bySession[s.call.Session], s)
	w.tasks.Go(wait)
	if w.drained {
		s.end(errDrained)
	}
	if w.stop == nil {
		stop := make(chan struct{})
		w.stop = stop
		w.tasks.Go(func() { w.run(stop) })
	}
}

// remove takes a stream out.
func (w *streams) remove(s *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.slots[s.slot], s)
	left := slices.DeleteFunc(w.bySession[s.call.Session], func(other *stream) bool { return other == s })
	if w.bySession[s.call.Session] = left; len(left) == 0 {
		delete(w.bySession, s.call.Session)
	}
	if len(w.bySession) == 0 && w.stop != nil {
		close(w.stop)
		w.stop = nil
	}
}

// run looks after the streams, one slot after the other, until stop is closed.
func (w *streams) run(stop <-chan struct{}) {
	tick := time.NewTicker(max(w.every/wheelSlots, 1))
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			for _, s := range w.due() {
				s.check()
			}
		}
	}
}

// due returns the streams whose turn it is.
func (w *streams) due() []*stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	slot := w.slots[w.turn]
	w.turn = (w.turn + 1) % wheelSlots
	all := make([]*stream, 0, len(slot))
	for s := range slot {
		all = append(all, s)
	}
	return all
}

// changed has the streams of a session listen anew.
func (w *streams) changed(session string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.bySession[session] {
		s.restart()
	}
}

// drain ends all streams, and those that are still to come.
func (w *streams) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drained = true
	for _, slot := range w.slots {
		for s := range slot {
			s.end(errDrained)
		}
	}
}
