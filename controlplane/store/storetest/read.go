package storetest

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// empty sees that a new store answers as one at revision 0, not with errors.
func (c trial) empty() {
	r := c.load(0)
	if r.Record.GetRevision() != 0 || r.Config == nil || len(r.Config.Objects) != 0 {
		c.Errorf("Load(0) of an empty store = %v, %v, want revision 0 and no objects", r.Record, r.Config)
	}
	if h, err := c.History(c.Context(), 0, 10); err != nil || len(h) != 0 {
		c.Errorf("History() of an empty store = %v, %v, want none, nil", h, err)
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
		{Name: "default", Spec: &gatehousev1.Object_Settings{Settings: &gatehousev1.Settings{DenyOnMissingAgent: new(false)}}},
		{Name: "laptop", Spec: &gatehousev1.Object_Credential{Credential: &gatehousev1.Credential{
			ApiKey: &gatehousev1.ApiKey{Sha256: strings.Repeat("0f", 32)}, Agents: []string{"a"}, Expires: timestamppb.Now(),
		}}},
		Server("überall-日本", "the same name again, and out of order: that is not the store's affair"),
	}}
}

// roundTrip commits odd configurations one after the other and reads all of them back at the end.
func (c trial) roundTrip() {
	committed := []*store.Revision{
		{Record: &gatehousev1.Revision{}, Config: &gatehousev1.Config{}},
		{Record: &gatehousev1.Revision{Author: "å", Message: strings.Repeat("m", 5000), RollbackOf: 7}, Config: everyKind()},
		Revision("plain"),
		{Record: &gatehousev1.Revision{}, Config: everyKind()},
	}
	for i, r := range committed {
		if err := c.Commit(c.Context(), int64(i), r); err != nil {
			c.Fatalf("Commit(%d) = %v, want nil", i, err)
		}
	}
	for i, want := range committed {
		c.wantEqual(int64(i+1), c.load(int64(i+1)), want)
	}
	c.wantEqual(0, c.load(0), committed[len(committed)-1])
}

// private changes what it committed and what it loaded; neither may reach the store.
func (c trial) private() {
	r := Revision("as committed")
	if err := c.Commit(c.Context(), 0, r); err != nil {
		c.Fatalf("Commit(0) = %v, want nil", err)
	}
	r.Record.Message, r.Config.Objects[0].Name = "changed", "changed"
	loaded := c.load(1)
	loaded.Record.Message, loaded.Config.Objects[1].Name = "changed", "changed"
	want := Revision("as committed")
	want.Record.Revision = 1
	c.wantEqual(1, c.load(1), want)
}

// notFound asks for revisions just beyond the newest, far beyond it, and below the first.
func (c trial) notFound() {
	for _, n := range []int64{1, -1} {
		_, err := c.Load(c.Context(), n)
		c.wantError(fmt.Sprintf("Load(%d) of an empty store", n), err, store.ErrNotFound)
	}
	Commit(c.T, c.Store, 0, 2)
	for _, n := range []int64{3, 1 << 62, -1, -1 << 62} {
		_, err := c.Load(c.Context(), n)
		c.wantError(fmt.Sprintf("Load(%d) at 2", n), err, store.ErrNotFound)
	}
}

// large goes beyond the usual limits of a value and of a transaction: 1 MiB in one object, and 2,000 objects.
func (c trial) large() {
	r := Revision(strings.Repeat("x", 1<<20))
	for i := range 2000 {
		r.Config.Objects = append(r.Config.Objects, Server(fmt.Sprintf("server-%d", i), "one of many"))
	}
	if err := c.Commit(c.Context(), 0, r); err != nil {
		c.Fatalf("Commit of 2,000 objects = %v, want nil", err)
	}
	c.wantEqual(1, c.load(1), r)
}

// history cuts the history above and below; limits of nothing and bounds before the first are empty, not errors.
func (c trial) history() {
	Commit(c.T, c.Store, 0, 6)
	for _, cut := range []struct {
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
		records, err := c.History(c.Context(), cut.before, cut.limit)
		if err != nil {
			c.Fatalf("History(%d, %d) = %v, want nil", cut.before, cut.limit, err)
		}
		var got []int64
		for _, r := range records {
			got = append(got, r.Revision)
			if r.Message != fmt.Sprint(r.Revision) {
				c.Errorf("History has message %q for revision %d", r.Message, r.Revision)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(cut.want) {
			c.Errorf("History(%d, %d) = %v, want %v", cut.before, cut.limit, got, cut.want)
		}
	}
}

// backup backs up while commits go on: the copy has to be of a revision that was newest at some time meanwhile.
func (c trial) backup() {
	Commit(c.T, c.Store, 0, 3)
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := int64(3); n < 20; n++ {
			if err := c.Commit(c.Context(), n, Revision("while backing up")); err != nil {
				c.Errorf("Commit(%d) during a backup = %v, want nil", n, err)
				return
			}
		}
	})
	n, err := c.Backup(c.Context(), io.Discard)
	if err != nil || n < 3 || n > 20 {
		c.Errorf("Backup() = %d, %v, want a revision from 3 to 20, nil", n, err)
	}
	writer.Wait()
	ctx, cancel := context.WithCancel(c.Context())
	cancel()
	_, err = c.Backup(ctx, io.Discard)
	c.wantError("Backup with an ended context", err, context.Canceled)
}

// closed sees that watches end with the store, and that every method says why it does nothing any more.
func (c trial) closed() {
	Commit(c.T, c.Store, 0, 1)
	ch := c.watch(c.Context())
	for range 2 {
		if err := c.Close(); err != nil {
			c.Fatalf("Close() = %v, want nil", err)
		}
	}
	for open := true; open; {
		_, open = c.next(ch)
	}
	_, err := c.Load(c.Context(), 0)
	c.wantError("Load of a closed store", err, store.ErrClosed)
	c.wantError("Commit to a closed store", c.Commit(c.Context(), 1, Revision("late")), store.ErrClosed)
	_, err = c.History(c.Context(), 0, 1)
	c.wantError("History of a closed store", err, store.ErrClosed)
	_, err = c.Watch(c.Context())
	c.wantError("Watch of a closed store", err, store.ErrClosed)
	_, err = c.Backup(c.Context(), io.Discard)
	c.wantError("Backup of a closed store", err, store.ErrClosed)
}
