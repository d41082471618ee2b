package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// The bounds of a catalogue: a server beyond them is broken or hostile.
const (
	// Tools and bytes are bounded by the configuration.
	maxPages      = 1000
	maxOdd        = 10          // tools that are left out and named in the log
	refreshPause  = time.Second // between two readings that agents cause by asking for what is not there
	catalogueTime = time.Minute // for all pages together
)

// Tool is one tool as its upstream describes it.
type Tool struct {
	// Name is the tool's name.
	Name string
	// Raw is the definition as the upstream sent it, without insignificant white space.
	Raw json.RawMessage
	// Tokens estimates what Raw costs a model: a quarter of its bytes, rounded up.
	Tokens int

	mirrors []mirror // the parameters that travel in headers too
}

// Catalogue is the tools of one upstream, in its order. It MUST NOT be changed.
type Catalogue struct {
	Tools []Tool
	// byName points into Tools.
	byName map[string]*Tool
	names  []string // sorted
	// read is when reading ended.
	read time.Time
	gen  int64 // of the cache when reading began
}

// Tool returns the tool of that name, or nil.
func (c *Catalogue) Tool(name string) *Tool { return c.byName[name] }

// newCatalogue indexes tools; of two with one name the first counts.
func newCatalogue(tools []Tool) *Catalogue {
	c := &Catalogue{byName: make(map[string]*Tool, len(tools)), names: []string{}, Tools: tools}
	for i := range tools {
		c.byName[tools[i].Name] = &tools[i]
		c.names = append(c.names, tools[i].Name)
	}
	slices.Sort(c.names)
	return c
}

// catalogueCache keeps one upstream's catalogue, and reads it at most once for all that ask at the same time.
type catalogueCache struct {
	up *Upstream
	// kept is the newest that was read; it may be stale.
	kept atomic.Pointer[Catalogue]
	gen  atomic.Int64 // grows whenever the tools may have changed

	mu sync.Mutex // guards below
	// flight is the reading under way.
	flight *flight
}

// invalidate says that what is kept is no longer true.
func (k *catalogueCache) invalidate() { k.gen.Add(1) }

// Tools returns the catalogue, read at most once for all that ask at the same time and kept until it changes. One that is
// merely old is returned and read anew beside the caller. The error is as for Call.
func (u *Upstream) Tools(ctx context.Context) (*Catalogue, error) {
	k := &u.cat
	c := k.kept.Load()
	if c == nil || c.gen != k.gen.Load() {
		return k.await(ctx)
	}
	if time.Since(c.read) > u.cfg.CatalogueAge {
		k.start(ctx)
	}
	return c, nil
}

// Refresh reads the catalogue again, for a caller that misses a tool in it, unless that was done within the last second.
func (u *Upstream) Refresh(ctx context.Context) (*Catalogue, error) {
	// Agents decide when this is called, so they must not decide how often the server is asked.
	if c := u.cat.kept.Load(); c != nil && time.Since(c.read) < refreshPause {
		return u.Tools(ctx)
	}
	return u.cat.await(ctx)
}

// await waits for a reading, which it starts if none is under way.
func (k *catalogueCache) await(ctx context.Context) (*Catalogue, error) {
	f := k.start(ctx)
	select {
	case <-f.done:
		if f.err != nil {
			return nil, f.err
		}
		return k.kept.Load(), nil
	case <-ctx.Done():
		return nil, ended(ctx, k.up.name)
	}
}

// start begins a reading, or joins the one under way. It outlives the caller's ctx, since others may wait for it.
func (k *catalogueCache) start(ctx context.Context) *flight {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flight != nil {
		return k.flight
	}
	f := &flight{done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), catalogueTime)
	k.flight = f
	if err := k.up.background(func() { defer cancel(); k.run(ctx, f) }); err != nil {
		cancel()
		k.flight, f.err = nil, err
		close(f.done)
	}
	return f
}

// run reads the catalogue, twice if it changes meanwhile.
func (k *catalogueCache) run(ctx context.Context, f *flight) {
	// Once more is enough: a server that changes all the time would be read without end, and the next caller reads again.
	c, err := k.read(ctx)
	if err == nil && c.gen != k.gen.Load() {
		c, err = k.read(ctx)
	}
	// Kept before the flight ends: whoever waits reads it from there.
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.kept.Store(c)
	}
	k.flight, f.err = nil, err
	close(f.done)
}

// read reads all pages over one connection. The generation is taken before the first page: whatever changes after that
// makes the result stale.
func (k *catalogueCache) read(ctx context.Context) (*Catalogue, error) {
	gen := k.gen.Load()
	s := k.up.shared
	if !k.up.isShared() { // it belongs to no agent, so it gets a session of its own
		var err error
		if s, err = k.up.temporary(nil); err != nil {
			return nil, err
		}
		defer k.up.release(s)
	}
	l, err := s.ready(ctx)
	if err != nil {
		return nil, err
	}
	r := &listReader{up: k.up, call: l.call, modernHTTP: l.mirrorsParams(), seen: make(map[string]bool)}
	if err := r.readAll(ctx); err != nil {
		return nil, err
	}
	c := newCatalogue(r.tools)
	c.gen, c.read = gen, time.Now()
	return c, nil
}

// paramHeaders gives the headers that mirror parameters of a call, for tools whose schema asks for them.
func (k *catalogueCache) paramHeaders(c *mcp.Call) map[string]string {
	cat := k.kept.Load()
	if cat == nil || c.Method != "tools/call" {
		return nil
	}
	if t := cat.byName[c.Name]; t != nil {
		return t.mirrored(c.Params)
	}
	return nil
}

// listReader reads all pages of tools/list.
type listReader struct {
	// up names the server, and takes warnings.
	up   *Upstream
	call func(context.Context, *mcp.Call) (*mcp.Reply, error)
	// modernHTTP says that parameters may have to be mirrored into headers.
	modernHTTP bool
	tools      []Tool
	// names are those of tools.
	names map[string]bool
	seen  map[string]bool // cursors
	// bytes is how much was read, in all pages, and odd how many tools were left out.
	bytes, odd int
}

// readAll follows the cursors to the end. Cursors are the server's: they are compared, never understood.
func (r *listReader) readAll(ctx context.Context) error {
	r.names = make(map[string]bool)
	var cursor []byte
	for range maxPages {
		next, err := r.page(ctx, cursor)
		if err != nil || next == nil {
			return err
		}
		if r.seen[string(next)] {
			return invalid(r.up.name, "sent pages of tools without end", errors.New("a cursor came twice"))
		}
		r.seen[string(next)] = true
		cursor = next
	}
	return invalid(r.up.name, "sent pages of tools without end", fmt.Errorf("more than %d", maxPages))
}

// page reads one page; the cursor of the next is nil at the end, and raw otherwise, since "" is a cursor too.
func (r *listReader) page(ctx context.Context, cursor []byte) (next []byte, err error) {
	c := &mcp.Call{Method: "tools/list"}
	if cursor != nil {
		c.Params = append(append([]byte(`{"cursor":`), cursor...), '}')
	}
	reply, err := r.call(ctx, c)
	if err != nil {
		return nil, err
	}
	defer reply.Close()
	if reply.Error != nil {
		return nil, r.refused(reply.Error)
	}
	var parts [2][]byte
	if _, err := mcp.Pick(reply.Result, []string{"tools", "nextCursor"}, parts[:]); err != nil {
		return nil, invalid(r.up.name, "sent a tools/list result that is none", err)
	}
	if err := mcp.Elements(parts[0], r.take); err != nil {
		return nil, invalid(r.up.name, "sent a tools/list result that is none", err)
	}
	// Null and other types are no cursor: some servers send them at the end.
	if next := parts[1]; len(next) > 0 && next[0] == '"' {
		return bytes.Clone(next), nil
	}
	return nil, nil
}

// refused deals with an error answer. A server without tools at all does not know the method.
func (r *listReader) refused(e *mcp.Error) error {
	if e.Code == mcp.CodeMethodNotFound {
		return nil
	}
	return fmt.Errorf("%w: server %s refuses tools/list: %w", mcp.ErrUnavailable, r.up.name, e)
}

// take adds one tool. An odd one is left out, so that it does not hide the others.
func (r *listReader) take(raw []byte) error {
	cfg := r.up.cfg
	switch r.bytes += len(raw); {
	case r.bytes > cfg.MaxCatalogueBytes:
		cfg.Refused(limit.Catalogue)
		return fmt.Errorf("its tools take more than %d bytes", cfg.MaxCatalogueBytes)
	case len(r.tools) >= cfg.MaxTools:
		cfg.Refused(limit.Tools)
		return fmt.Errorf("it has more than %d tools", cfg.MaxTools)
	}
	t, err := readTool(raw, r.modernHTTP)
	if err == nil && r.names[t.Name] {
		err = errors.New("there are two of that name")
	}
	if err != nil {
		if r.odd++; r.odd <= maxOdd { // a server must not fill the log
			r.up.log.Warn("tool left out of the catalogue", "tool", t.Name, "reason", err)
		}
		return nil
	}
	r.names[t.Name] = true
	r.tools = append(r.tools, t)
	return nil
}

// readTool reads a definition, of which it decodes nothing but the name.
func readTool(raw []byte, modernHTTP bool) (Tool, error) {
	var name [1][]byte
	if _, err := mcp.Pick(raw, []string{"name"}, name[:]); err != nil {
		return Tool{}, fmt.Errorf("reading definition: %w", err)
	}
	var t Tool
	if err := json.Unmarshal(name[0], &t.Name); err != nil || t.Name == "" {
		return t, errors.New("it has no name")
	}
	var compact bytes.Buffer
	err := json.Compact(&compact, raw)
	if err != nil {
		return t, fmt.Errorf("reading definition: %w", err)
	}
	t.Raw = compact.Bytes()
	t.Tokens = (len(t.Raw) + 3) / 4
	if t.mirrors, err = readMirrors(t.Raw); err != nil && !modernHTTP {
		return t, nil // only where headers are sent it matters
	}
	return t, err
}
