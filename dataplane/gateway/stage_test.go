package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

// patience is how long a test waits for something that has to come.
const patience = time.Minute

// stage is a server whose lists change, and the streams on which it announces that.
type stage struct {
	*memory
	t testing.TB

	mu      sync.Mutex
	names   map[string][]string // :: by method
	reads   map[string]int      // :: lists, by method
	streams []mcp.Stream        // of those who listen, in order
	params  []string            // that they came with
}

// onStage plays a server of an era.
func onStage(t testing.TB, era mcp.Era) *stage {
	s := &stage{t: t, names: map[string][]string{}, reads: map[string]int{}}
	s.memory = &memory{hello: &upstream.Hello{Era: era, Result: []byte(`{}`)}, said: func() {}, quiet: true}
	s.listens = func(c *mcp.Call) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.streams, s.params = append(s.streams, c.Stream), append(s.params, string(c.Params))
	}
	s.answer = func(_ context.Context, c *mcp.Call) (*mcp.Reply, error) {
		member, name := map[string][2]string{
			"tools/list": {"tools", "name"}, "prompts/list": {"prompts", "name"}, "resources/list": {"resources", "uri"},
			"resources/templates/list": {"resourceTemplates", "uriTemplate"},
		}[c.Method][0], "name"
		if strings.HasPrefix(c.Method, "resources/") {
			name = strings.Replace(strings.TrimSuffix(member, "s"), "resource", "uri", 1)
		}
		if member == "" {
			return &mcp.Reply{Result: []byte(`{}`)}, nil
		}
		return &mcp.Reply{Result: s.page(c, member, name)}, nil
	}
	return s
}

// page is the page of a list that is asked for: each holds one entry.
func (s *stage) page(c *mcp.Call, member, name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := 0
	if c.Params == nil {
		s.reads[c.Method]++
	} else {
		fmt.Sscanf(string(c.Params), `{"cursor":"%d"}`, &i)
	}
	all := s.names[c.Method]
	if i >= len(all) {
		return fmt.Appendf(nil, `{%q:[]}`, member)
	}
	return fmt.Appendf(nil, `{%q:[{%q:%q}],"nextCursor":"%d"}`, member, name, all[i], i+1)
}

// set changes a list.
func (s *stage) set(method string, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[method] = names
}

// announce says on all streams that a list has changed.
func (s *stage) announce(kind string) {
	s.mu.Lock()
	all := slices.Clone(s.streams)
	s.mu.Unlock()
	for _, stream := range all {
		stream.Notify("notifications/"+kind+"/list_changed", nil)
	}
}

// count waits until a number is reached.
func (s *stage) count(what string, want int, number func() int) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		got := number()
		s.mu.Unlock()
		if got >= want {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%s = %d, want %d", what, got, want)
		}
	}
}

// listening waits until that many streams have been opened.
func (s *stage) listening(want int) {
	s.t.Helper()
	s.count("streams", want, func() int { return len(s.streams) })
}

// read waits until a list has been read that often.
func (s *stage) read(method string, want int) {
	s.t.Helper()
	s.count("readings of "+method, want, func() int { return s.reads[method] })
}

// ear is an agent that listens.
type ear struct {
	t     testing.TB
	heard chan string
	ended chan string // what the request was answered with
}

func (e *ear) Notify(method string, _ []byte) { e.heard <- method }

func (e *ear) Ask(context.Context, string, []byte) (*mcp.Reply, error) { return nil, context.Canceled }

// next waits for what the agent hears next.
func (e *ear) next(want string) {
	e.t.Helper()
	select {
	case got := <-e.heard:
		if got != "notifications/"+want {
			e.t.Errorf("agent heard %s, want %s", got, want)
		}
	case <-time.After(patience):
		e.t.Fatalf("agent heard nothing, want %s", want)
	}
}

// nothing holds that nothing is left to hear.
func (e *ear) nothing() {
	e.t.Helper()
	select {
	case got := <-e.heard:
		e.t.Errorf("agent heard %s, want nothing", got)
	default:
	}
}

// tune begins to listen as an agent, until the test ends.
func tune(w *world, agent string, era mcp.Era, change func(*gateway.Direct)) *ear {
	e := &ear{t: w.t, heard: make(chan string, 64), ended: make(chan string, 1)}
	d := request("s", agent, "subscriptions/listen", "")
	if era == mcp.Modern {
		d.Params = []byte(`{"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}}`)
	}
	d.ID, d.Era, d.Stream = []byte(`1`), era, e
	if change != nil {
		change(d)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	listening.Go(func() {
		reply, err := w.Direct(ctx, d)
		switch {
		case err != nil:
			e.ended <- err.Error()
		case reply.Error != nil:
			e.ended <- string(reply.Error.Data)
		default:
			e.ended <- string(reply.Result)
		}
		reply.Close()
	})
	w.t.Cleanup(func() { cancel(); listening.Wait() })
	return e
}

// play is a gateway with the server s on stage, and the agents a, by rules, and b.
func play(t testing.TB, era mcp.Era, rules ...string) (*world, *stage) {
	w, _ := ruled(t, rules...)
	s := onStage(t, era)
	w.servers["s"] = s.memory
	return w, s
}
