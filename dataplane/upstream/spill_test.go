package upstream_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// spillFrom is small, so that all sizes around it can be tried.
const spillFrom = 1 << 10

// spilling is a configuration whose large results go to a folder of the test's.
func spilling(t *testing.T) upstream.Config {
	return upstream.Config{SpillBytes: spillFrom, SpillDir: t.TempDir()}
}

// sized answers a call of the tool of that name with a result of so many bytes; others are answered as they say.
func sized(kind string) *web {
	return &web{respond: func(w http.ResponseWriter, _ *http.Request, q request) {
		w.Header().Set("Content-Type", kind)
		text := sizedAnswer(q)
		if kind == "text/event-stream" {
			text = "data: " + text + "\n\n"
		}
		io.WriteString(w, text)
	}}
}

func sizedAnswer(q request) string {
	var n int
	var p struct{ Name string }
	json.Unmarshal(q.Params, &p)
	switch p.Name {
	case "garbled":
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"a":"%s"`, q.ID, strings.Repeat("x", 2*spillFrom))
	case "refused":
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":7,"message":"%s"}}`, q.ID, strings.Repeat("x", 2*spillFrom))
	default:
		fmt.Sscan(p.Name, &n)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, q.ID, sizedResult(n))
}

// sizedResult is a result of n bytes.
func sizedResult(n int) string {
	const around = `{"isError":true,"a":""}`
	return around[:len(around)-2] + strings.Repeat("x", max(0, n-len(around))) + `"}`
}

// large makes a call of a tool that takes large results.
func large(name string) *mcp.Call {
	c := tool(name)
	c.Large = true
	return c
}

// text is the result of a reply, wherever it stands.
func text(t *testing.T, reply *mcp.Reply) string {
	t.Helper()
	if reply.Spill == nil {
		return string(reply.Result)
	}
	var b bytes.Buffer
	n, err := reply.Spill.WriteTo(&b)
	if err != nil || n != reply.Spill.Size() || int(n) != b.Len() {
		t.Errorf("WriteTo = %d, %v with %d bytes, want all %d", n, err, b.Len(), reply.Spill.Size())
	}
	return b.String()
}

// spillServers have each transport that answers come on.
func spillServers(t *testing.T) map[string]*gatehousev1.Server {
	return map[string]*gatehousev1.Server{
		"json": sized("application/json").start(t), "events": sized("text/event-stream").start(t), "stdio": child("sized"),
	}
}

func TestLargeResultsPassWholeWhereverTheyStand(t *testing.T) {
	for kind, s := range spillServers(t) {
		c := spilling(t)
		u := one(t, c, s)
		for _, n := range []int{100, spillFrom - 60, spillFrom - 40, spillFrom - 1, spillFrom, spillFrom + 1, 300 << 10} {
			for _, call := range []*mcp.Call{large(fmt.Sprint(n)), tool(fmt.Sprint(n))} {
				reply, err := u.Call(soon(t), call)
				if err != nil {
					t.Fatalf("%s: Call(%s) = %v", kind, call.Name, err)
				}
				if n > spillFrom && (reply.Spill != nil) != call.Large {
					t.Errorf("%s: %d bytes are in a file: %v, want %v", kind, n, reply.Spill != nil, call.Large)
				}
				if got := text(t, reply); got != sizedResult(n) {
					t.Errorf("%s: result of %d bytes has %d and other ones", kind, n, len(got))
				}
				if left, _ := os.ReadDir(c.SpillDir); len(left) > 0 {
					t.Errorf("%s: %v has a name while it is used", kind, left)
				}
				reply.Close()
			}
		}
	}
}

func TestLargeResultTellsOfItself(t *testing.T) {
	u := one(t, spilling(t), sized("application/json").start(t))
	reply, err := u.Call(soon(t), large("5000"))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close()
	isError, err := reply.Spill.Member("isError")
	if string(isError) != "true" || err != nil || !reply.Spill.IsObject() {
		t.Errorf("isError = %s, %v, want true", isError, err)
	}
	reply.Spill.Append("resultType", []byte(`"complete"`))
	reply.Spill.Append("ttlMs", []byte(`0`))
	want := strings.TrimSuffix(sizedResult(5000), "}") + `,"resultType":"complete","ttlMs":0}`
	for range 2 { // it can be read again
		if got := text(t, reply); got != want {
			t.Errorf("result with what was appended = …%s, want …%s", got[len(got)-50:], want[len(want)-50:])
		}
	}
}

func TestLargeAnswersThatAreNoResults(t *testing.T) {
	for kind, s := range spillServers(t) {
		u := one(t, spilling(t), s)
		if _, err := u.Call(soon(t), large("garbled")); !errors.Is(err, mcp.ErrInvalidResponse) {
			t.Errorf("%s: Call(garbled) = %v, want %v", kind, err, mcp.ErrInvalidResponse)
		}
		reply, err := u.Call(soon(t), large("refused"))
		if err != nil || reply.Error == nil || reply.Error.Code != 7 {
			t.Errorf("%s: Call(refused) = %+v, %v, want error 7", kind, reply, err)
		}
		mustCall(t, u, large("10"))
	}
}

func TestLargeResultsThatCannotBeKept(t *testing.T) {
	for kind, s := range spillServers(t) {
		gone := spilling(t)
		gone.SpillDir = filepath.Join(gone.SpillDir, "gone")
		full := spilling(t)
		full.MaxSpilledBytes = 250 << 10
		for want, c := range map[string]upstream.Config{"no such file or directory": gone, "as much is kept": full} {
			u := one(t, c, s)
			_, err := u.Call(soon(t), large("300000"))
			if !errors.Is(err, mcp.ErrStorage) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), c.SpillDir) {
				t.Errorf("%s: Call = %v, want %v with %q and without a path", kind, err, mcp.ErrStorage, want)
			}
			mustCall(t, u, large("10"))
		}
		reply, err := one(t, full, s).Call(soon(t), large("200000")) // what was given up takes no room
		if err != nil {
			t.Errorf("%s: Call = %v, want nil", kind, err)
		}
		reply.Close()
	}
}

func TestMessagesOverTheirLimitNameIt(t *testing.T) {
	for kind, s := range spillServers(t) {
		c := spilling(t)
		c.MaxMessageBytes, c.MaxMemoryBytes = 200<<10, 100<<10
		u := one(t, c, s)
		for call, want := range map[*mcp.Call]string{large("300000"): "204800 bytes", tool("150000"): "102400 bytes"} {
			if _, err := u.Call(soon(t), call); !errors.Is(err, mcp.ErrInvalidResponse) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: Call(%s) = %v, want %v with %q", kind, call.Name, err, mcp.ErrInvalidResponse, want)
			}
		}
		reply, err := u.Call(soon(t), large("150000"))
		if err != nil {
			t.Errorf("%s: Call = %v, want nil", kind, err)
		}
		reply.Close()
	}
}

func TestFilesOfAnEarlierRunAreRemoved(t *testing.T) {
	c := spilling(t)
	left := filepath.Join(c.SpillDir, "answer-7.spill")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	newPool(t, c)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat = %v, want %v", err, os.ErrNotExist)
	}
}
