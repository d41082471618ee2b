package follow_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestFollowerNeverGoesBack(t *testing.T) {
	for _, c := range []struct {
		name     string
		serving  at
		next     at
		accepted bool
	}{
		{"the next revision", at{"s", 1, 5}, at{"s", 1, 6}, true},
		{"revisions left out", at{"s", 1, 5}, at{"s", 1, 99}, true},
		{"the same again", at{"s", 1, 5}, at{"s", 1, 5}, true},
		{"an older revision", at{"s", 1, 5}, at{"s", 1, 4}, false},
		{"an older revision of a newer epoch", at{"s", 1, 5}, at{"s", 2, 3}, true},
		{"a newer revision of an older epoch", at{"s", 2, 3}, at{"s", 1, 5}, false},
		{"an older revision of another store", at{"s", 2, 3}, at{"other", 1, 1}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			control := listen(t, "127.0.0.1:0")
			p := newProxy(t, control.addr, t.TempDir())
			p.run(t)
			s := control.welcome(t, nil)
			serving, next := snapshot(t, c.serving), snapshot(t, c.next)
			s.push(serving)
			s.ack()
			s.push(next)
			if c.accepted {
				if got := s.ack(); !proto.Equal(got.Position, next.Position) || revision(p.live.Load()) != c.next.revision {
					t.Errorf("ack = %v while %d serves, want %v", got, revision(p.live.Load()), next.Position)
				}
				return
			}
			got := s.nack()
			if !proto.Equal(got.Position, next.Position) || !proto.Equal(got.Serving, serving.Position) || !strings.Contains(got.Reason, "older") {
				t.Errorf("nack = %v, want %v refused as older, %v serving", got, next.Position, serving.Position)
			}
		})
	}
}

// TestGoingBackIsRefusedAcrossRestarts has the disk remember how far the proxy was.
func TestGoingBackIsRefusedAcrossRestarts(t *testing.T) {
	c, dir := listen(t, "127.0.0.1:0"), t.TempDir()
	stop := newProxy(t, c.addr, dir).run(t)
	s := c.welcome(t, nil)
	s.push(snapshot(t, at{"s", 1, 9}))
	s.ack()
	stop()
	newProxy(t, c.addr, dir).run(t)
	s = c.welcome(t, nil)
	s.push(snapshot(t, at{"s", 1, 8}))
	s.nack()
}

// TestRefusalChangesNothing pushes what cannot be served; the good snapshot before it stays, in memory and on disk, and
// the next good one is taken.
func TestRefusalChangesNothing(t *testing.T) {
	refused := map[string]func(s *gatehousev1.Snapshot){
		"content of another digest": func(s *gatehousev1.Snapshot) { s.Content = append(s.Content, 0) },
		"no position":               func(s *gatehousev1.Snapshot) { s.Position = nil },
		"no digest":                 func(s *gatehousev1.Snapshot) { s.Position.Digest = nil },
		"an unknown feature":        func(s *gatehousev1.Snapshot) { s.RequiredFeatures = []string{"deny-by-moonlight"} },
		"content of another number": func(s *gatehousev1.Snapshot) { s.Position.Revision++ },
	}
	for name, spoil := range refused {
		t.Run(name, func(t *testing.T) {
			c, dir := listen(t, "127.0.0.1:0"), t.TempDir()
			p := newProxy(t, c.addr, dir)
			p.run(t)
			s := c.welcome(t, nil)
			good, bad := snapshot(t, at{"s", 1, 1}), snapshot(t, at{"s", 1, 2})
			s.push(good)
			s.ack()
			spoil(bad)
			s.push(bad)
			if got := s.nack(); !proto.Equal(got.Position, bad.Position) || !proto.Equal(got.Serving, good.Position) || got.Reason == "" {
				t.Errorf("nack = %v, want %v refused and %v serving", got, bad.Position, good.Position)
			}
			if st := p.State(); revision(p.live.Load()) != 1 || st.Refused == "" || st.LastNack.IsZero() {
				t.Errorf("after the nack revision %d serves, state %+v; want 1 and a reason", revision(p.live.Load()), st)
			}
			if kept := newProxy(t, c.addr, dir).live.Load(); revision(kept) != 1 {
				t.Errorf("after the nack the disk holds revision %d, want 1", revision(kept))
			}
			s.push(snapshot(t, at{"s", 1, 3}))
			s.ack()
			if st := p.State(); st.Refused != "" {
				t.Errorf("after an ack State().Refused = %q, want none", st.Refused)
			}
		})
	}
}

// TestDiskThatRefusesIsTriedAgain puts a file where the state folder has to be, and takes it away again. The control
// plane, which was told no, does not send the snapshot a second time.
func TestDiskThatRefusesIsTriedAgain(t *testing.T) {
	c, dir := listen(t, "127.0.0.1:0"), t.TempDir()
	obstacle := filepath.Join(dir, "state")
	p := newProxy(t, c.addr, filepath.Join(obstacle, "p1"))
	p.run(t)
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := c.welcome(t, nil)
	good := snapshot(t, at{"s", 1, 1})
	s.push(good)
	if got := s.nack(); !strings.Contains(got.Reason, "disk") || p.live.Load() != nil {
		t.Errorf("nack = %v while %d serves, want a reason with the disk, and nothing", got, revision(p.live.Load()))
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	if got := s.ack(); !proto.Equal(got.Position, good.Position) || revision(p.live.Load()) != 1 {
		t.Errorf("ack = %v while %d serves, want %v", got, revision(p.live.Load()), good.Position)
	}
}
