package table

import "sync"

// OnRetire has f called once, when another table takes this one's place, or now where that has happened: for whoever holds
// the table longer than a call. F MUST NOT wait: the swap waits for it. Forget takes it back and may be called at any time.
func (t *Table) OnRetire(f func()) (forget func()) { return t.news.expect(f) }

// news are those who want to know that a table is no longer the live one. Calls do not: they ask nothing of it.
type news struct {
	mu sync.Mutex // guards below
	// waiting hold a function each, by its address.
	waiting map[*func()]struct{}
	over    bool
}

// expect calls f when the news come, or now if they have come already.
func (n *news) expect(f func()) (forget func()) {
	n.mu.Lock()
	over := n.over
	if !over {
		if n.waiting == nil {
			n.waiting = make(map[*func()]struct{})
		}
		n.waiting[&f] = struct{}{}
	}
	n.mu.Unlock()
	if over {
		f()
	}
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.waiting, &f)
	}
}

// spread calls all who wait, once.
func (n *news) spread() {
	n.mu.Lock()
	waiting := n.waiting
	n.waiting, n.over = nil, true
	n.mu.Unlock()
	for f := range waiting {
		(*f)()
	}
}
