package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func mustBe(n int) string { return strconv.Itoa(n) }

// names are the tools of a server, in its order.
func names(t testing.TB, u *upstream.Upstream) (list []string) {
	t.Helper()
	c, err := u.Tools(soon(t))
	if err != nil {
		t.Fatalf("Tools = %v", err)
	}
	for _, tool := range c.Tools {
		list = append(list, tool.Name)
	}
	return list
}

func TestEveryPageIsReadAndDefinitionsStayAsTheyAre(t *testing.T) {
	for _, kind := range []string{"legacy", "modern"} {
		u := one(t, upstream.Config{}, child(kind))
		if got, want := names(t, u), []string{"p0", "q0", "p1", "q1", "last1"}; !slices.Equal(got, want) {
			t.Errorf("%s: tools = %v, want %v", kind, got, want)
		}
		c, err := u.Tools(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		want := `{"name":"p0","inputSchema":{"$schema":"x","oneOf":[{}],"big":9007199254740993},"vendor":[1,2]}`
		if got := c.Tool("p0"); string(got.Raw) != want || got.Tokens != (len(want)+3)/4 {
			t.Errorf("%s: p0 = %s with %d tokens, want %s with %d", kind, got.Raw, got.Tokens, want, (len(want)+3)/4)
		}
		if got := c.Tool("nothing"); got != nil {
			t.Errorf("%s: Tool(nothing) = %v, want nil", kind, got)
		}
		if got, want := u.Status().Tools, []string{"last1", "p0", "p1", "q0", "q1"}; !slices.Equal(got, want) {
			t.Errorf("%s: Status.Tools = %v, want %v", kind, got, want)
		}
	}
}

func TestPagesThatNeverEndAreRefused(t *testing.T) {
	u := one(t, upstream.Config{}, child("looping"))
	if _, err := u.Tools(soon(t)); !errors.Is(err, mcp.ErrInvalidResponse) {
		t.Errorf("Tools = %v, want %v", err, mcp.ErrInvalidResponse)
	}
}

// counted is a child that notes each reading of its first page, and a function that counts them.
func counted(t *testing.T, kind string) (*gatehousev1.Server, func() int) {
	path := filepath.Join(t.TempDir(), "lists")
	s := child(kind)
	s.GetStdio().Env["LISTS"] = path
	return s, func() int {
		b, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		return len(b) / 3 // pages
	}
}

func TestCatalogueIsReadOnceForAllThatAsk(t *testing.T) {
	s, lists := counted(t, "legacy")
	u := one(t, upstream.Config{}, s)
	done := make(chan error, 32)
	for range cap(done) {
		go func() {
			_, err := u.Tools(soon(t))
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := lists(); got != 1 {
		t.Errorf("catalogue was read %d times, want 1", got)
	}
}

func TestListChangedMakesTheCatalogueStale(t *testing.T) {
	for _, kind := range []string{"legacy", "modern"} {
		u := one(t, upstream.Config{}, child(kind))
		names(t, u)
		mustCall(t, u, tool("change"))
		if got, want := names(t, u), "last2"; !slices.Contains(got, want) {
			t.Errorf("%s: tools = %v after list_changed, want %s among them", kind, got, want)
		}
	}
}

func TestOldCatalogueIsReadAnewBesideTheCaller(t *testing.T) {
	s, lists := counted(t, "legacy")
	u := one(t, upstream.Config{CatalogueAge: time.Millisecond}, s)
	names(t, u)
	eventually(t, "the catalogue was read again", func() bool {
		names(t, u)
		return lists() > 1
	})
}

func TestRefreshReadsAgainButNotAtOnce(t *testing.T) {
	s, lists := counted(t, "legacy")
	u := one(t, upstream.Config{}, s)
	names(t, u)
	for range 10 {
		if _, err := u.Refresh(soon(t)); err != nil {
			t.Fatal(err)
		}
	}
	if got := lists(); got != 1 {
		t.Errorf("catalogue was read %d times within a second, want 1", got)
	}
}

func TestCallerThatGivesUpDoesNotSpoilTheCatalogueForOthers(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := u.Tools(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("Tools = %v, want %v", err, context.Canceled)
	}
	names(t, u)
}

func TestCatalogueOfIsolatedServersLeavesNoSession(t *testing.T) {
	u := one(t, upstream.Config{}, withMode(gatehousev1.SessionMode_SESSION_MODE_AGENT))
	names(t, u)
	eventually(t, "the process that gave the catalogue is gone", func() bool { return len(children(t)) == 0 })
}

func TestServerWithoutToolsHasAnEmptyCatalogue(t *testing.T) {
	w := &web{}
	u := one(t, upstream.Config{}, w.start(t))
	if got := names(t, u); len(got) != 0 {
		t.Errorf("tools = %v, want none", got)
	}
}

func TestListChangedIsHeardOnTheGetStream(t *testing.T) {
	changed := make(chan struct{})
	w := &web{stateful: true, page: `{"name":"before"}`}
	w.onGet = func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		rw.(http.Flusher).Flush()
		select {
		case <-changed:
			fmt.Fprint(rw, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n")
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		case <-r.Context().Done():
		}
	}
	u := one(t, upstream.Config{}, w.start(t))
	if got := names(t, u); !slices.Equal(got, []string{"before"}) {
		t.Errorf("tools = %v, want before", got)
	}
	w.mu.Lock()
	w.page = `{"name":"after"}`
	w.mu.Unlock()
	close(changed)
	eventually(t, "the new tools are there", func() bool { return slices.Equal(names(t, u), []string{"after"}) })
}
