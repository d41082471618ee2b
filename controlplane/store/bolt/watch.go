package bolt

import (
	"context"
	"fmt"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// watchers are the channels of those who watch. Each has one slot, which holds the newest number that its reader has not
// seen; so a slow reader costs nothing and holds nobody up.
type watchers struct {
	mu     sync.Mutex // guards below, and is what makes one sender of many commits
	newest int64
	closed bool
	chans  map[chan int64]struct{} // closed when they are taken out, and only then
}

// Watch returns a channel that carries the number of the newest revision: at once, and again whenever it grows. It closes
// when ctx ends or the store closes.
func (s *Store) Watch(ctx context.Context) (<-chan int64, error) {
	ch, err := s.watchers.add()
	if err != nil {
		return nil, fmt.Errorf("watching the newest revision: %w", err)
	}
	context.AfterFunc(ctx, func() { s.watchers.remove(ch) })
	return ch, nil
}

// add makes a channel that already carries the newest number.
func (w *watchers) add() (chan int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, store.ErrClosed
	}
	if w.chans == nil {
		w.chans = make(map[chan int64]struct{})
	}
	ch := make(chan int64, 1)
	ch <- w.newest
	w.chans[ch] = struct{}{}
	return ch, nil
}

// remove closes ch once, whoever comes first: the end of its ctx or close.
func (w *watchers) remove(ch chan int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.chans[ch]; ok {
		delete(w.chans, ch)
		close(ch)
	}
}

// publish puts n where every reader finds it. Commits may get here in another order than they were made in.
func (w *watchers) publish(n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n <= w.newest {
		return
	}
	w.newest = n
	for ch := range w.chans {
		select {
		case <-ch: // an older number that nobody took
		default:
		}
		ch <- n // never waits: we alone send, under the lock
	}
}

// close ends all watches, and any that would begin later.
func (w *watchers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for ch := range w.chans {
		close(ch)
	}
	w.chans = nil
}
