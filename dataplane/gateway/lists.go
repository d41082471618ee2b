package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// The bounds of a list that is read to find out what has changed. What is beyond them counts as changed.
const (
	maxListPages   = 1000
	maxListEntries = 20_000
	maxListBytes   = 64 << 20
)

// kindCount is how many kinds of lists there are.
const kindCount = 3

// digest names what is in a list, whatever the order.
type digest [sha256.Size]byte

// glance is one list at one time: all of it, and what one agent may see of it.
type glance struct{ whole, seen digest }

// listed is one entry of a list.
type listed struct {
	name string // by which policy decides
	sum  digest // of the entry, and of the list that it is in
}

// reading is a list as it was read once.
type reading struct {
	entries []listed // :: sorted by sum; never changed
	whole   digest

	mu sync.Mutex // guards below
	// seen is what agents may see of it, by their names, so that it is computed once for all streams of an agent.
	seen map[string]sight
}

// sight is what an agent of one policy may see.
type sight struct {
	agent *policy.Agent
	seen  digest
}

// newReading sorts and sums up what was read.
func newReading(entries []listed) *reading {
	slices.SortFunc(entries, func(a, b listed) int { return bytes.Compare(a.sum[:], b.sum[:]) })
	r := &reading{entries: entries, seen: map[string]sight{}}
	r.whole = r.sum(func(string) bool { return true })
	return r
}

// sum is the digest of the entries that are taken.
func (r *reading) sum(take func(name string) bool) (d digest) {
	h := sha256.New()
	for i := range r.entries {
		if take(r.entries[i].name) {
			h.Write(r.entries[i].sum[:])
		}
	}
	h.Sum(d[:0])
	return d
}

// glance is the list as the agent may see it.
func (r *reading) glance(a *policy.Agent, kind policy.Kind, server string) glance {
	if !a.Narrows(kind, server) {
		return glance{r.whole, r.whole}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.seen[a.ID]
	if !ok || !known.agent.Same(a) {
		known = sight{a, r.sum(func(name string) bool { return a.May(kind, server, name).Allow })}
		r.seen[a.ID] = known
	}
	return glance{r.whole, known.seen}
}

// roster is one list of an upstream, for the agents that hear of its changes. What is read is kept until the next change is
// announced, and for as long as anybody listens.
type roster struct {
	mu sync.Mutex // guards below
	// users are the streams on which changes of the list are told.
	users int
	// heard counts the announcements, on whatever stream they came.
	heard int64
	kept  *attempt // the newest that succeeded
	under *attempt // under way; nil: none is
}

// attempt is one try to read a list.
type attempt struct {
	heard int64         // announcements that came before it began
	done  chan struct{} // closed when the rest is set
	*reading
	err error
}

// announce counts a change that was announced.
func (l *roster) announce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard++
}

// use counts a stream; a negative number takes some away. The last one takes with it what was kept, since nobody would hear
// of changes any more.
func (l *roster) use(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users += n; l.users == 0 {
		l.kept = nil
	}
}

// read returns a reading that began after all that has been announced so far. Those who want one at the same time share it.
func (l *roster) read(ctx context.Context, fetch func(context.Context) ([]listed, error)) (*reading, error) {
	l.mu.Lock()
	need := l.heard
	for {
		if l.kept != nil && l.kept.heard >= need {
			defer l.mu.Unlock()
			return l.kept.reading, nil
		}
		if l.under == nil {
			break
		}
		a := l.under
		l.mu.Unlock()
		select {
		case <-a.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		// That the reader's agent went away is no failure of the list's.
		if a.heard >= need && a.err != nil && !errors.Is(a.err, context.Canceled) {
			return nil, a.err
		}
		l.mu.Lock()
	}
	a := &attempt{heard: l.heard, done: make(chan struct{})}
	l.under = a
	l.mu.Unlock()
	entries, err := fetch(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.err = err; err == nil {
		a.reading = newReading(entries)
		if l.users > 0 {
			l.kept = a
		}
	}
	l.under = nil
	close(a.done)
	return a.reading, err
}

// lists are the lists of one upstream on one session.
type lists struct {
	kinds [kindCount]roster // :: by policy.Kind
	users int               // :: guarded by allLists.mu
}

// listsKey names them.
type listsKey struct {
	upstream Upstream
	owner    string // of the session; empty: it is shared
}

// allLists are those that anybody listens to. The zero value is ready.
type allLists struct {
	mu sync.Mutex // guards below
	m  map[listsKey]*lists
}

// join returns the lists of an upstream, which leave gives back.
func (a *allLists) join(key listsKey) *lists {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.m == nil {
		a.m = make(map[listsKey]*lists)
	}
	l := a.m[key]
	if l == nil {
		l = new(lists)
		a.m[key] = l
	}
	l.users++
	return l
}

// leave gives lists back; those that nobody uses are forgotten.
func (a *allLists) leave(key listsKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.m[key]
	if l.users--; l.users == 0 {
		delete(a.m, key)
	}
}

// listMethods are the methods that a kind is listed by.
func listMethods(kind policy.Kind) []string {
	switch kind {
	case policy.Resources:
		return []string{methodResourceList, methodTemplatesList}
	case policy.Prompts:
		return []string{methodPromptsList}
	}
	return []string{methodToolsList}
}

// notifyList is the notification that says that a list of the kind has changed.
func notifyList(kind policy.Kind) string { return "notifications/" + kind.String() + listChanged }

// listChanged ends the methods that announce a change of a list.
const listChanged = "/list_changed"

// kindOf returns the kind whose list a notification announces a change of.
func kindOf(method string) (policy.Kind, bool) {
	if !strings.HasSuffix(method, listChanged) {
		return 0, false
	}
	for _, kind := range policy.Kinds() {
		if method == notifyList(kind) {
			return kind, true
		}
	}
	return 0, false
}

// fetch reads all that there is of a kind, on the session that an agent's request selects.
func fetch(ctx context.Context, u Upstream, d *Direct, agent string, kind policy.Kind) ([]listed, error) {
	r := listReader{upstream: u}
	for _, method := range listMethods(kind) {
		r.call = mcp.Call{Method: method, Agent: agent, Session: d.Session, Client: d.Client}
		if err := r.readAll(ctx); err != nil {
			return nil, err
		}
	}
	return r.entries, nil
}

// listReader reads all pages of lists.
type listReader struct {
	upstream Upstream
	call     mcp.Call
	entries  []listed
	bytes    int
}

// readAll follows the cursors of one list to the end.
func (r *listReader) readAll(ctx context.Context) error {
	p, _ := pageOf(r.call.Method)
	for range maxListPages {
		next, err := r.page(ctx, p)
		if err != nil || next == nil {
			return err
		}
		r.call.Params = append(append([]byte(`{"cursor":`), next...), '}')
	}
	return fmt.Errorf("reading %s: more than %d pages", r.call.Method, maxListPages)
}

// page reads one page; the raw cursor of the next is nil at the end. A server that does not know the method has nothing to
// list.
func (r *listReader) page(ctx context.Context, p page) (next []byte, err error) {
	again := r.call // the server may still be reading the one before
	reply, err := r.upstream.Call(ctx, &again)
	if err != nil {
		return nil, err
	}
	defer reply.Close()
	if e := reply.Error; e != nil {
		if e.Code == mcp.CodeMethodNotFound {
			return nil, nil
		}
		return nil, fmt.Errorf("reading %s: %w", r.call.Method, e)
	}
	var v [2][]byte
	if _, err := mcp.Pick(reply.Result, []string{p.member, "nextCursor"}, v[:]); err != nil {
		return nil, fmt.Errorf("reading %s: %w", r.call.Method, err)
	}
	if v[0] != nil {
		if err := mcp.Elements(v[0], func(entry []byte) error { return r.take(p, entry) }); err != nil {
			return nil, fmt.Errorf("reading %s: %w", r.call.Method, err)
		}
	}
	if len(v[1]) > 0 && v[1][0] == '"' {
		return bytes.Clone(v[1]), nil
	}
	return nil, nil
}

// take adds an entry. One without a clear name is shown to nobody.
func (r *listReader) take(p page, entry []byte) error {
	name, ok := p.nameOf(entry)
	if !ok {
		return nil
	}
	if r.bytes += len(entry); r.bytes > maxListBytes || len(r.entries) >= maxListEntries {
		return errors.New("too many entries")
	}
	h := sha256.New()
	h.Write([]byte(p.member + ":"))
	h.Write(entry)
	e := listed{name: name}
	h.Sum(e.sum[:0])
	r.entries = append(r.entries, e)
	return nil
}
