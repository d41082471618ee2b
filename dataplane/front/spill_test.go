package front_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// spiller is a gateway whose results stand in a file, two bytes behind its beginning.
type spiller struct {
	*tools
	t      *testing.T
	result string
	freed  chan struct{}
}

func (g *spiller) reply() *mcp.Reply {
	message := `{"jsonrpc":"2.0","id":1,"result":` + g.result + `}`
	o := mcp.NewOutline(mcp.SpillNames()...)
	if _, err := o.Write([]byte(message)); err != nil {
		g.t.Errorf("Write = %v", err)
	}
	if _, err := o.Close(); err != nil {
		g.t.Errorf("Close = %v", err)
	}
	name := filepath.Join(g.t.TempDir(), "message")
	if err := os.WriteFile(name, []byte(message), 0o600); err != nil {
		g.t.Error(err)
	}
	f, err := os.Open(name)
	if err != nil {
		g.t.Error(err)
	}
	return &mcp.Reply{Spill: mcp.NewSpill(f, o), Free: func() {
		f.Close()
		g.freed <- struct{}{}
	}}
}

func (g *spiller) CallTool(context.Context, *gateway.Call) (*mcp.Reply, error) { return g.reply(), nil }

func (g *spiller) Direct(ctx context.Context, d *gateway.Direct) (*mcp.Reply, error) {
	if d.Name != "tools/call" {
		return g.tools.Direct(ctx, d)
	}
	if d.Subject == "loud" {
		d.Stream.Notify("notifications/progress", []byte(`{"progressToken":7}`))
	}
	return g.reply(), nil
}

func newSpiller(t *testing.T, result string) *spiller {
	return &spiller{tools: newTools(), t: t, result: result, freed: make(chan struct{}, 8)}
}

const callSpilled = `{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"loud","_meta":{"progressToken":7}}}`

func TestLargeResultReachesTheAgentFromItsFile(t *testing.T) {
	g := newSpiller(t, `{"content":[ "`+strings.Repeat("0123456789", 300_000)+"\" ],\r\n\"a\":1}")
	s := serve(t, config(t, g))
	want := `{"jsonrpc":"2.0","id":"x","result":` + g.result + `}`
	a := agent{t, s.URL}
	resp, err := a.send(t.Context(), http.MethodPost, callSpilled)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(got) != want || resp.ContentLength != int64(len(want)) {
		t.Errorf("answer of %d bytes, %d announced, %v; want %d", len(got), resp.ContentLength, err, len(want))
	}
	receive(t, g.freed)
	// Without a connection that can copy by itself.
	if w := post(front.New(config(t, g)), []byte(callSpilled)); w.Body.String() != want {
		t.Errorf("answer of %d bytes without a connection, want %d", w.Body.Len(), len(want))
	}
	receive(t, g.freed)
	// As an event, of one line.
	flat := strings.NewReplacer("\r", " ", "\n", " ").Replace(want)
	resp = direct(t, s.URL, "", callSpilled)
	got, err = io.ReadAll(resp.Body)
	if _, answer, _ := strings.Cut(string(got), "\n\n"); err != nil || answer != "event: message\ndata: "+flat+"\n\n" {
		t.Errorf("events of %d bytes, %v; want a notification and %d", len(got), err, len(flat))
	}
	receive(t, g.freed)
	// On a pipe.
	var out bytes.Buffer
	if err := front.New(config(t, g)).ServeStdio(t.Context(), strings.NewReader(callSpilled+"\n"), &out); err != nil || out.String() != flat+"\n" {
		t.Errorf("ServeStdio = %v with %d bytes, want %d", err, out.Len(), len(flat)+1)
	}
	receive(t, g.freed)
}

// The file goes as soon as its agent has gone, and the gateway serves on.
func TestLargeResultWhoseAgentLeavesIsGivenBack(t *testing.T) {
	g := newSpiller(t, `{"a":"`+strings.Repeat("x", 32<<20)+`"}`)
	s := serve(t, config(t, g))
	conn := connect(t, s.URL, fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		laptopKey, len(callSpilled), callSpilled))
	if _, err := io.ReadFull(conn, make([]byte, 1<<10)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	receive(t, g.freed)
	g.result = `{}`
	if _, text := (agent{t, s.URL}).post(callSpilled); text != `{"jsonrpc":"2.0","id":"x","result":{}}` {
		t.Errorf("the next answer = %s", text)
	}
}
