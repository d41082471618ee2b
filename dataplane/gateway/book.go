package gateway

import "sync"

const (
	// maxTaskOwners bounds the sessions whose tasks are remembered; those forgotten are still reached by their ids.
	maxTaskOwners = 1024
	// maxOwnTasks bounds the tasks that are remembered of one session; the oldest go first.
	maxOwnTasks = 256
)

// taskOwner is whom a task of the legacy era belongs to, and at which server.
type taskOwner struct{ principal, agent, server, session string }

// taskBook remembers which tasks of servers of the legacy era are whose, as far as this proxy has seen: such a server lists
// and reports tasks to whoever has its credential, and all agents have the gateway's. The zero value is ready.
type taskBook struct {
	mu sync.Mutex // guards below
	m  map[taskOwner]*ownTasks
	// order are the owners in m, oldest at next once it is full.
	order []taskOwner
	next  int
}

// ownTasks are the tasks of one owner.
type ownTasks struct {
	texts map[string][]byte // :: the server's id → what the agent calls it, raw
	order []string          // oldest first
}

// note remembers a task, and what its agent calls it.
func (b *taskBook) note(o taskOwner, id string, text []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.ownLocked(o)
	if own.texts[id] == nil {
		if len(own.order) >= maxOwnTasks {
			delete(own.texts, own.order[0])
			own.order = own.order[1:]
		}
		own.order = append(own.order, id)
	}
	own.texts[id] = text
}

// ownLocked returns the tasks of an owner, and makes room for them where they are the first.
func (b *taskBook) ownLocked(o taskOwner) *ownTasks {
	if own := b.m[o]; own != nil {
		return own
	}
	if b.m == nil {
		b.m = make(map[taskOwner]*ownTasks)
	}
	if len(b.order) < maxTaskOwners {
		b.order = append(b.order, o)
	} else {
		delete(b.m, b.order[b.next])
		b.order[b.next] = o
		b.next = (b.next + 1) % maxTaskOwners
	}
	own := &ownTasks{texts: make(map[string][]byte)}
	b.m[o] = own
	return own
}

// text is what an owner calls a task; nil where it is not known to be theirs. It MUST NOT be changed.
func (b *taskBook) text(o taskOwner, id string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if own := b.m[o]; own != nil {
		return own.texts[id]
	}
	return nil
}
