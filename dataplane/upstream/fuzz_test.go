package upstream_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

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

// plainEvents is the reader of events as the standard words it, for streams that fit into memory.
func plainEvents(stream string) (events []upstream.Event) {
	var name, data string
	begun := false
	flush := func() {
		if data != "" {
			events = append(events, upstream.Event{Name: name, Data: data})
		}
		name, data, begun = "", "", false
	}
	for line := range strings.SplitSeq(stream, "\n") {
		if line = strings.TrimRight(line, "\r"); line == "" {
			flush()
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "data":
			if begun {
				data += "\n"
			}
			data, begun = data+value, true
		}
	}
	flush()
	return events
}

func FuzzEvents(f *testing.F) {
	for _, s := range []string{
		"data: a\n\n", "event: x\r\ndata:a\r\ndata:  b\r\n\r\n", ": c\nid: 7\nretry: 5\ndata\n\ndata:\n" + "data:\n\n", "data: cut",
		"data: " + strings.Repeat("x", 9000) + "\ndata: y\n\n", "\n\n", "datax: 1\n\n", "event: e\n\ndata: 1\n\n",
		":" + strings.Repeat("c", 20000) + "\ndata: z\n\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		got, _, err := upstream.ReadEvents(stream, 1<<20)
		if err != nil {
			t.Fatalf("ReadEvents(%q) = %v", stream, err)
		}
		if want := plainEvents(string(stream)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("ReadEvents(%q) = %q, want %q", stream, got, want)
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), 10)
	f.Add([]byte(strings.Repeat("x", 200_000)+"\nshort\n"), 100_000)
	f.Add([]byte(strings.Repeat("x", 70_000)+"\nshort\n"), 1)
	f.Fuzz(func(t *testing.T, stream []byte, limit int) {
		limit = max(1, limit)
		var want []string
		for line := range bytes.Lines(stream) {
			want = append(want, string(line))
		}
		got := upstream.ReadLines(stream, limit)
		if len(got) != len(want) {
			t.Fatalf("ReadLines(%q, %d) = %d lines, want %d", stream, limit, len(got), len(want))
		}
		for i, line := range got {
			text := strings.TrimRight(want[i], "\r\n")
			switch {
			case line.Long && len(want[i]) <= limit:
				t.Errorf("line %d of %d bytes is too long for %d", i, len(want[i]), limit)
			case line.Long && (!strings.HasPrefix(want[i], line.Head) || !strings.HasSuffix(text, line.Tail)):
				t.Errorf("line %d has the ends %q and %q, want those of %q", i, line.Head, line.Tail, text)
			case !line.Long && line.Text != text:
				t.Errorf("line %d = %q, want %q", i, line.Text, text)
			}
		}
	})
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
