package front_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/front"
	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// speaker is a gateway whose servers say what it holds and then answer.
type speaker struct {
	*tools
	said   [][]byte // params of notifications
	method string
	result []byte
}

func (s *speaker) Direct(_ context.Context, d *gateway.Direct) (*mcp.Reply, error) {
	for _, params := range s.said {
		d.Stream.Notify(s.method, bytes.Clone(params))
	}
	return &mcp.Reply{Result: bytes.Clone(s.result)}, nil
}

// airy makes an object of a text, with the white space that JSON allows between its tokens; which, space says.
func airy(text string, space []byte) []byte {
	out := []byte("{")
	for _, token := range [][]byte{[]byte(`"text"`), []byte(":"), mcp.AppendString(nil, text), []byte("}")} {
		for _, b := range space {
			out = append(out, " \n\r\t"[b%4])
		}
		out = append(out, token...)
	}
	return out
}

// spoken reads a stream of events as the standard words it, a lone CR as the end of a line included.
func spoken(stream string) (events []string) {
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	var data []string
	for line := range strings.SplitSeq(stream, "\n") {
		if line == "" && data != nil {
			events = append(events, strings.Join(data, "\n"))
			data = nil
		}
		if value, ok := strings.CutPrefix(line, "data:"); ok {
			data = append(data, strings.TrimPrefix(value, " "))
		}
	}
	return events
}

// compact is a JSON text without white space between its tokens.
func compact(t *testing.T, text []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		t.Fatalf("%q is no JSON: %v", text, err)
	}
	return out.String()
}

// FuzzEventsComeBack: whatever a server says and answers, an agent that reads events by the book reads the same messages.
func FuzzEventsComeBack(f *testing.F) {
	f.Add("hi", "notifications/message", []byte{1, 2, 0}, uint8(2))
	f.Add("a\r\ndata: b\n\nevent: x", "notifications/\n\ndata: {}", []byte{1}, uint8(1))
	f.Add("\u2028\u2029\x85\ufeff", "m", []byte{2, 2, 1, 1}, uint8(3))
	f.Add("", "", []byte(nil), uint8(0))
	g := &speaker{tools: newTools()}
	conf := config(f, g.tools)
	conf.Gateway = g
	h := front.New(conf)
	f.Fuzz(func(t *testing.T, text, method string, space []byte, times uint8) {
		g.said, g.method, g.result = nil, method, airy("result of "+text, space)
		for i := range times % 8 {
			g.said = append(g.said, airy(fmt.Sprint(i, text), space))
		}
		w := postTo(h, "/mcp/everything", `{"jsonrpc":"2.0","id":"é","method":"tools/call","params":{"name":"x"}}`, "Accept", "application/json, text/event-stream")
		got := []string{w.Body.String()}
		if len(g.said) > 0 {
			got = spoken(w.Body.String())
		}
		if len(got) != len(g.said)+1 {
			t.Fatalf("%d events came back of %d: %q", len(got), len(g.said)+1, w.Body)
		}
		for i, params := range g.said {
			if want := compact(t, mcp.AppendNotification(nil, method, params)); compact(t, []byte(got[i])) != want {
				t.Errorf("event %d = %q, want %q", i, got[i], want)
			}
		}
		if want := compact(t, mcp.AppendResponse(nil, []byte(`"é"`), g.result)); compact(t, []byte(got[len(g.said)])) != want {
			t.Errorf("answer = %q, want %q", got[len(g.said)], want)
		}
	})
}

// pieces is a stream that comes in pieces: of as many bytes as cuts says, over and over.
type pieces struct {
	stream string
	cuts   []byte
	n      int
}

func (p *pieces) Read(to []byte) (int, error) {
	if p.stream == "" {
		return 0, io.EOF
	}
	size := len(p.stream)
	if len(p.cuts) > 0 {
		size = min(size, 1+int(p.cuts[p.n%len(p.cuts)]))
		p.n++
	}
	n := copy(to, p.stream[:size])
	p.stream = p.stream[n:]
	return n, nil
}

// answerable returns the ids that a pipe has to answer, "null" for messages whose id cannot be told; false says that the
// agent cancels, and then nobody knows what is answered.
func answerable(in string, most int) (ids []string, certain bool) {
	for line := range strings.Lines(in) {
		if strings.TrimSpace(line) == "" && len(line) <= most {
			continue
		}
		m, err := mcp.ScanMessage([]byte(line))
		switch {
		case len(line) > most || err != nil && m.ID == nil:
			ids = append(ids, "null")
		case err != nil || m.Kind == mcp.Request:
			ids = append(ids, string(m.ID))
		case m.Method == "notifications/cancelled":
			return nil, false
		}
	}
	return ids, true
}

// FuzzPipe: a pipe answers every message that wants an answer once, in lines, however its bytes come in.
func FuzzPipe(f *testing.F) {
	const most = 256
	f.Add(waitCall+"\n"+cancelIt, []byte(nil))
	f.Add("{}\n\n[1]\r\n\x00", []byte{0})
	f.Add(`{"jsonrpc":"2.0","id":1,"method":"ping"}`+"\r\n\r\n"+`{"jsonrpc":"2.0","id":"a","method":"tools/list"}`+"\n  \n{\"id\":7}", []byte{3, 0, 200})
	f.Add(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"odd"},"x":%q}`, strings.Repeat("x", 300)), []byte{90})
	f.Add(strings.Repeat(" ", 400)+"\n"+strings.Repeat("x", 70_000)+"\n"+`{"jsonrpc":"2.0","id":9,"method":"x"}`, []byte{255})
	g := newTools()
	close(g.release)
	conf := config(f, g)
	conf.MaxBody = most
	h := front.New(conf)
	f.Fuzz(func(t *testing.T, in string, cuts []byte) {
		var out strings.Builder
		if err := h.ServeStdio(t.Context(), &pieces{stream: in, cuts: cuts}, &out); err != nil {
			t.Fatalf("ServeStdio(%q) = %v", in, err)
		}
		drainSignals(g)
		var got []string
		for line := range strings.Lines(out.String()) {
			m, err := mcp.ScanMessage([]byte(line))
			if err != nil || m.Kind != mcp.Response {
				t.Errorf("ServeStdio(%q) wrote %q, want responses", in, line)
			}
			if m.ID == nil {
				m.ID = []byte("null")
			}
			got = append(got, string(m.ID))
		}
		want, certain := answerable(in, most)
		slices.Sort(got)
		if certain && !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("ServeStdio(%q) answered %q, want %q", in, got, want)
		}
	})
}
