package upstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

var reference = regexp.MustCompile(`\$\{([^}]+)\}`) // never changed

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"", "${A}", "${A:-b}", "a${", "${}", "$${A}${B:-}", "${:-x}", "${A${B}}", "${A\n}"} {
		f.Add(s)
	}
	lookup := func(name string) (string, bool) { return "<" + name + ">", name != "UNSET" }
	f.Fuzz(func(t *testing.T, s string) {
		got, _ := upstream.Expand(s, lookup)
		want := reference.ReplaceAllStringFunc(s, func(m string) string {
			name, _, _ := strings.Cut(m[2:len(m)-1], ":-")
			v, _ := lookup(name)
			return v
		})
		if !strings.Contains(s, "UNSET") && got != want {
			t.Errorf("Expand(%q) = %q, want %q", s, got, want)
		}
	})
}

// pieces is a stream that comes in pieces, as streams from a network do: of as many bytes as cuts says, over and over.
type pieces struct {
	stream, cuts []byte
	n            int
}

func (p *pieces) Read(to []byte) (int, error) {
	if len(p.stream) == 0 {
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

// plainEvents is the reader of events as the standard words it, for streams that fit into memory, but for a lone CR: that
// ends no line, and for fields other than data that are longer than the reader's memory. The second result is the newest event's id; the third says that an event with more data than limit ended
// it all.
func plainEvents(stream string, limit int) (events []upstream.Event, lastID string, over bool) {
	var name, data, id string
	begun, beside := false, 0
	flush := func() {
		if data != "" {
			beside, lastID = 0, id
			events = append(events, upstream.Event{Name: name, Data: data})
		}
		name, data, begun = "", "", false
	}
	for line := range strings.Lines(stream) {
		line = strings.TrimSuffix(line, "\n")
		long := len(line) >= upstream.ReadBytes
		line = strings.TrimSuffix(line, "\r")
		empty := line == "" && data == ""
		if line == "" {
			flush()
		}
		if field, _, _ := strings.Cut(line, ":"); empty || line != "" && field != "data" {
			if beside += len(line) + 1; beside > limit {
				return events, lastID, true
			}
		}
		if line == "" {
			lastID = id
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case long && field != "data": // thrown away
		case field == "id" && strings.ContainsFunc(value, unicode.IsControl): // it cannot be a header
		case field == "id":
			id = value
		case field == "event":
			name = value
		case field == "data":
			if begun {
				data += "\n"
			}
			if data, begun = data+value, true; len(data) > limit {
				return events, lastID, true
			}
		}
	}
	flush()
	return events, lastID, false
}

func FuzzEvents(f *testing.F) {
	for _, s := range []string{
		"data: a\n\n", "event: x\r\ndata:a\r\ndata:  b\r\n\r\n", ": c\nid: 7\nretry: 5\ndata\n\ndata:\n" + "data:\n\n", "data: cut",
		"data: " + strings.Repeat("x", 90) + "\ndata: y\n\n", "\n\n", "datax: 1\n\n", "event: e\n\ndata: 1\n\n",
		":" + strings.Repeat("c", 200) + "\ndata: z\n\n", "data: " + strings.Repeat("x", upstream.ReadBytes-7) + "\r\n\r\ndata: z",
		"data: " + strings.Repeat("x", upstream.ReadBytes-6) + "\n\n", "id:" + strings.Repeat("x", 90) + "\ndata: z\n\n", "\r\r\n",
		"id: 1\ndata: a\n\nid: 2\ndata: b", "id: 1\n\nid: 2\n", "id: 1\n\nid: \x00\n\n", "id: a\rb\n\n", "id: 1\n\nid\n\n",
		"database: " + strings.Repeat("x", 90) + "\ndata: z\n\n",
	} {
		f.Add([]byte(s), []byte(nil), 1<<20)
		f.Add([]byte(s), []byte{0}, 3)
		f.Add([]byte(s), []byte{250, 3, 80, 0}, 89)
	}
	f.Fuzz(func(t *testing.T, stream, cuts []byte, limit int) {
		limit = max(1, limit)
		got, id, err := upstream.ReadEvents(&pieces{stream: stream, cuts: cuts}, limit)
		want, lastID, over := plainEvents(string(stream), limit)
		if over != errors.Is(err, upstream.ErrTooBig) || !over && err != nil {
			t.Fatalf("ReadEvents(%q, %d) = %v, want one that is too big: %v", stream, limit, err, over)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || id != lastID {
			t.Errorf("ReadEvents(%q, %d) = %q after %q, want %q after %q", stream, limit, got, id, want, lastID)
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), []byte{0}, 10)
	f.Add([]byte(strings.Repeat("x", 2000)+"\nshort\n"), []byte{255, 7}, 1000)
	f.Add([]byte(strings.Repeat("x", 700)+"\nshort\n"), []byte(nil), 1)
	f.Add([]byte(strings.Repeat("x", upstream.ReadBytes-1)+"\r\n\r\r\n{}"), []byte(nil), 1<<20)
	f.Add([]byte("{}\n\x00\n\xff"), []byte{1}, 3)
	f.Fuzz(func(t *testing.T, stream, cuts []byte, limit int) {
		limit = max(1, limit)
		var want []string
		for line := range bytes.Lines(stream) {
			want = append(want, string(line))
		}
		got := upstream.ReadLines(&pieces{stream: stream, cuts: cuts}, limit)
		if len(got) != len(want) {
			t.Fatalf("ReadLines(%q, %d) = %d lines, want %d", stream, limit, len(got), len(want))
		}
		for i, line := range got {
			sameLine(t, line, want[i], limit)
		}
	})
}

// sameLine holds a line against what stands in the stream, its end included.
func sameLine(t *testing.T, got upstream.Line, want string, limit int) {
	text := strings.TrimRight(want, "\r\n")
	switch {
	case got.Long != (len(want) > limit):
		t.Errorf("line of %d bytes is too long for %d: %v", len(want), limit, got.Long)
	case got.Long && (!strings.HasPrefix(want, got.Head) || !strings.HasSuffix(text, got.Tail)):
		t.Errorf("long line has the ends %q and %q, want those of %q", got.Head, got.Tail, text)
	case !got.Long && got.Text != text:
		t.Errorf("line = %q, want %q", got.Text, text)
	}
}

func FuzzGuessID(f *testing.F) {
	for _, s := range []string{`{"id":7}`, `"id": 12,"x"`, `"id":"7"`, `"id":`, `"id":99999999999999999999`, `"id":-1`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		id, ok := upstream.GuessID(text)
		if ok && (id < 0 || !bytes.Contains(text, fmt.Append(nil, id))) {
			t.Errorf("GuessID(%q) = %d, want an id of the text", text, id)
		}
	})
}
