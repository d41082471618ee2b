package front_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
)

// TestConversationsGoAsWritten plays testdata/http_*.txtar over TCP: each request file as it stands, then what came back
// against the response file beside it. SESSION1 and so on stand for the session ids in order of appearance.
func TestConversationsGoAsWritten(t *testing.T) {
	for _, path := range golden(t, "http") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			s := serve(t, config(t, newTools()))
			c := conversation{t: t, addr: s.Listener.Addr().String()}
			play(t, path, c.exchange)
		})
	}
}

// TestPipesGoAsWritten plays testdata/stdio_*.txtar: each request file is all that the agent writes, the response file
// all that it reads until the gateway is done.
func TestPipesGoAsWritten(t *testing.T) {
	for _, path := range golden(t, "stdio") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			conf := config(t, newTools())
			conf.Parallel = 1 // so that the answers have an order
			conf.MaxBody = 1 << 10
			play(t, path, func(request []byte) string {
				var out bytes.Buffer
				if err := front.New(conf).ServeStdio(t.Context(), bytes.NewReader(request), &out); err != nil {
					t.Errorf("ServeStdio: %v", err)
				}
				return out.String()
			})
		})
	}
}

func golden(t *testing.T, kind string) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/" + kind + "_*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no conversations: %v", err)
	}
	return paths
}

func play(t *testing.T, path string, exchange func([]byte) string) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatalf("ParseFile: %v", err)
	}
	var played txtar.Archive
	played.Comment = archive.Comment
	for _, f := range archive.Files {
		name, isRequest := strings.CutSuffix(f.Name, ".request")
		if !isRequest {
			continue
		}
		got := exchange(f.Data)
		played.Files = append(played.Files, f, txtar.File{Name: name + ".response", Data: []byte(got)})
		if want := find(archive, name+".response"); got != want && !*update {
			t.Errorf("%s: response to %s:\n%s\nwant:\n%s", path, f.Name, got, want)
		}
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(&played), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func find(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

// conversation is one agent's, a connection for each request.
type conversation struct {
	t        *testing.T
	addr     string
	sessions []string
}

func (c *conversation) exchange(request []byte) string {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		c.t.Fatalf("Dial: %v", err)
	}
	defer conn.Close()
	if _, err := conn.Write(c.wire(string(request))); err != nil {
		c.t.Fatalf("Write: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		c.t.Fatalf("ReadResponse: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("ReadAll: %v", err)
	}
	return c.render(resp, body)
}

// wire completes a request as it is written in a file: Host, the usual headers unless the file has them, and the length.
func (c *conversation) wire(text string) []byte {
	for i, id := range c.sessions {
		text = strings.ReplaceAll(text, fmt.Sprintf("SESSION%d", i+1), id)
	}
	head, body, _ := strings.Cut(text, "\n\n")
	body = strings.TrimSuffix(body, "\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	lines[0] += " HTTP/1.1"
	for _, usual := range []string{"Host: " + c.addr, "Authorization: Bearer " + laptopKey, "Content-Type: application/json"} {
		name, _, _ := strings.Cut(usual, " ")
		if !strings.Contains(head, "\n"+name) {
			lines = append(lines, usual)
		}
	}
	lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)), "Connection: close", "", body)
	return []byte(strings.Join(lines, "\r\n"))
}

func (c *conversation) render(resp *http.Response, body []byte) string {
	if id := resp.Header.Get("Mcp-Session-Id"); id != "" {
		c.sessions = append(c.sessions, id)
		resp.Header.Set("Mcp-Session-Id", fmt.Sprintf("SESSION%d", len(c.sessions)))
	}
	var b strings.Builder
	fmt.Fprintln(&b, resp.Status)
	names := make([]string, 0, len(resp.Header))
	for name := range resp.Header {
		if name != "Date" && name != "Content-Length" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(resp.Header[name], ", "))
	}
	if len(body) > 0 {
		fmt.Fprintf(&b, "\n%s\n", body)
	}
	return b.String()
}
