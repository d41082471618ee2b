package follow_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/dataplane/follow"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// What a child process follows, and where it keeps its state, until it is killed.
const (
	childControl = "GATEHOUSE_TEST_FOLLOW"
	childState   = "GATEHOUSE_TEST_FOLLOW_STATE"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(childControl); addr != "" {
		followForever(addr, os.Getenv(childState))
		return
	}
	goleak.VerifyTestMain(m)
}

func followForever(addr, dir string) {
	live := new(table.Live)
	f, err := follow.New(follow.Config{ControlPlane: addr, StateDir: dir, ID: "p1", Live: live, Pool: &pool{live: live}})
	if err == nil {
		err = f.Start()
	}
	if err == nil {
		err = f.Run(context.Background())
	}
	fmt.Println(err)
}

// TestKilledProxyComesBackWithWhatItAcked kills a proxy in the midst of a stream of snapshots, ten times. It may have
// saved more than it acked, never less.
func TestKilledProxyComesBackWithWhatItAcked(t *testing.T) {
	c, dir := listen(t, "127.0.0.1:0"), t.TempDir()
	n := int64(0)
	for round := range 10 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childControl+"="+c.addr, childState+"="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		s := c.welcome(t, nil)
		var acked int64
		for range 1 + round%4 {
			n++
			s.push(snapshot(t, at{"s", 1, n}))
			acked = s.ack().Position.Revision
		}
		n++
		s.push(snapshot(t, at{"s", 1, n})) // the kill meets this one anywhere
		_ = child.Process.Kill()
		_ = child.Wait() // it was killed, and says so
		if got := revision(newProxy(t, "127.0.0.1:1", dir).live.Load()); got < acked {
			t.Fatalf("round %d: revision %d serves after the kill, want at least %d", round, got, acked)
		}
	}
}
