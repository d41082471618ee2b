package storetest

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// testEmpty sees that a new store answers as one at revision 0, not with errors.
func testEmpty(t *testing.T, s store.Store) {
	r := load(t, s, 0)
	if r.Record.GetRevision() != 0 || r.Config == nil || len(r.Config.Objects) != 0 {
		t.Errorf("Load(0) of an empty store = %v, %v, want revision 0 and no objects", r.Record, r.Config)
	}
	if h, err := s.History(t.Context(), 0, 10); err != nil || len(h) != 0 {
		t.Errorf("History() of an empty store = %v, %v, want none, nil", h, err)
	}
}

// everyKind is a Config with every kind of object, texts in several scripts, absent and empty values.
func everyKind() *gatehousev1.Config {
	return &gatehousev1.Config{Objects: []*gatehousev1.Object{
		Server("überall-日本", "\u200b \U0001F980 ${VAR:-}"),
		{Name: "nothing", Labels: map[string]string{"": "", "team": "платформа"}, Owner: "up"},
		{Name: "a", Spec: &gatehousev1.Object_Policy{Policy: &gatehousev1.Policy{
			Allow: &gatehousev1.Access{Servers: []string{"*", ""}, Tools: []*gatehousev1.ToolRule{{Server: "x"}, {}}},
			Deny:  &gatehousev1.Access{},
		}}},
		{Name: "default", Spec: &gatehousev1.Object_Settings{Settings: &gatehousev1.Settings{DenyOnMissingAgent: proto.Bool(false)}}},
		{Name: "laptop", Spec: &gatehousev1.Object_Credential{Credential: &gatehousev1.Credential{
			ApiKey: &gatehousev1.ApiKey{Sha256: strings.Repeat("0f", 32)}, Agents: []string{"a"}, Expires: timestamppb.Now(),
		}}},
		Server("überall-日本", "the same name again, and out of order: that is not the store's affair"),
	}}
}

// testRoundTrip commits odd configurations one after the other and reads all of them back at the end.
func testRoundTrip(t *testing.T, s store.Store) {
	committed := []*store.Revision{
		{Record: &gatehousev1.Revision{}, Config: &gatehousev1.Config{}},
		{Record: &gatehousev1.Revision{Author: "å", Message: strings.Repeat("m", 5000), RollbackOf: 7}, Config: everyKind()},
		Revision("plain"),
		{Record: &gatehousev1.Revision{}, Config: everyKind()},
	}
	for i, r := range committed {
		if err := s.Commit(t.Context(), int64(i), r); err != nil {
			t.Fatalf("Commit(%d) = %v, want nil", i, err)
		}
	}
	for i, want := range committed {
		wantEqual(t, int64(i+1), load(t, s, int64(i+1)), want)
	}
	wantEqual(t, 0, load(t, s, 0), committed[len(committed)-1])
}

// testPrivate changes what it committed and what it loaded; neither may reach the store.
func testPrivate(t *testing.T, s store.Store) {
	r := Revision("as committed")
	if err := s.Commit(t.Context(), 0, r); err != nil {
		t.Fatalf("Commit(0) = %v, want nil", err)
	}
	r.Record.Message, r.Config.Objects[0].Name = "changed", "changed"
	loaded := load(t, s, 1)
	loaded.Record.Message, loaded.Config.Objects[1].Name = "changed", "changed"
	want := Revision("as committed")
	want.Record.Revision = 1
	wantEqual(t, 1, load(t, s, 1), want)
}

// testNotFound asks for revisions just beyond the newest, far beyond it, and below the first.
func testNotFound(t *testing.T, s store.Store) {
	for _, n := range []int64{1, -1} {
		_, err := s.Load(t.Context(), n)
		wantError(t, fmt.Sprintf("Load(%d) of an empty store", n), err, store.ErrNotFound)
	}
	Commit(t, s, 0, 2)
	for _, n := range []int64{3, 1 << 62, -1, -1 << 62} {
		_, err := s.Load(t.Context(), n)
		wantError(t, fmt.Sprintf("Load(%d) at 2", n), err, store.ErrNotFound)
	}
}

// testLarge goes beyond the usual limits of a value and of a transaction: 1 MiB in one object, and 2,000 objects.
func testLarge(t *testing.T, s store.Store) {
	r := Revision(strings.Repeat("x", 1<<20))
	for i := range 2000 {
		r.Config.Objects = append(r.Config.Objects, Server(fmt.Sprintf("server-%d", i), "one of many"))
	}
	if err := s.Commit(t.Context(), 0, r); err != nil {
		t.Fatalf("Commit of 2,000 objects = %v, want nil", err)
	}
	wantEqual(t, 1, load(t, s, 1), r)
}

// testHistory cuts the history above and below; limits of nothing and bounds before the first are empty, not errors.
func testHistory(t *testing.T, s store.Store) {
	Commit(t, s, 0, 6)
	for _, c := range []struct {
		before int64
		limit  int
		want   []int64
	}{
		{0, 100, []int64{6, 5, 4, 3, 2, 1}},
		{0, 2, []int64{6, 5}},
		{3, 100, []int64{2, 1}},
		{100, 1, []int64{6}},
		{1, 5, nil},
		{0, 0, nil},
		{-3, 5, nil},
	} {
		records, err := s.History(t.Context(), c.before, c.limit)
		if err != nil {
			t.Fatalf("History(%d, %d) = %v, want nil", c.before, c.limit, err)
		}
		var got []int64
		for _, r := range records {
			got = append(got, r.Revision)
			if r.Message != fmt.Sprint(r.Revision) {
				t.Errorf("History has message %q for revision %d", r.Message, r.Revision)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("History(%d, %d) = %v, want %v", c.before, c.limit, got, c.want)
		}
	}
}

// testBackup backs up while commits go on: the copy has to be of a revision that was newest at some time meanwhile.
func testBackup(t *testing.T, s store.Store) {
	Commit(t, s, 0, 3)
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := int64(3); n < 20; n++ {
			if err := s.Commit(t.Context(), n, Revision("while backing up")); err != nil {
				t.Errorf("Commit(%d) during a backup = %v, want nil", n, err)
				return
			}
		}
	})
	n, err := s.Backup(t.Context(), io.Discard)
	if err != nil || n < 3 || n > 20 {
		t.Errorf("Backup() = %d, %v, want a revision from 3 to 20, nil", n, err)
	}
	writer.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Backup(ctx, io.Discard)
	wantError(t, "Backup with an ended context", err, context.Canceled)
}

// testClosed sees that watches end with the store, and that every method says why it does nothing any more.
func testClosed(t *testing.T, s store.Store) {
	Commit(t, s, 0, 1)
	ch := watch(t, t.Context(), s)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close() = %v, want nil", err)
		}
	}
	for open := true; open; {
		_, open = next(t, ch)
	}
	_, err := s.Load(t.Context(), 0)
	wantError(t, "Load of a closed store", err, store.ErrClosed)
	wantError(t, "Commit to a closed store", s.Commit(t.Context(), 1, Revision("late")), store.ErrClosed)
	_, err = s.History(t.Context(), 0, 1)
	wantError(t, "History of a closed store", err, store.ErrClosed)
	_, err = s.Watch(t.Context())
	wantError(t, "Watch of a closed store", err, store.ErrClosed)
	_, err = s.Backup(t.Context(), io.Discard)
	wantError(t, "Backup of a closed store", err, store.ErrClosed)
}
