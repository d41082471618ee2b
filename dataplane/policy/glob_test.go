package policy_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// testdata/fnmatch.jsonl was printed by testdata/fnmatch.py with CPython's own fnmatch.
func TestGlobsAreFnmatch(t *testing.T) {
	f, err := os.Open("testdata/fnmatch.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	n := 0
	for ; lines.Scan(); n++ {
		var pattern, name string
		var want bool
		if err := json.Unmarshal(lines.Bytes(), &[]any{&pattern, &name, &want}); err != nil {
			t.Fatal(err)
		}
		if got := policy.Match(pattern, name); got != want || policy.NewPattern(pattern).Match(name) != want {
			t.Errorf("Match(%q, %q) = %t, want %t", pattern, name, got, want)
		}
	}
	if err := lines.Err(); err != nil || n < 2000 {
		t.Fatalf("read %d cases: %v; want at least 2000", n, err)
	}
}

// Brokenness must not make names equal: a deny rule for one of them would then hold for the other, or an allow rule.
func TestGlobsKeepBrokenNamesApart(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"a\xff?", "a\xffb", true},
		{"a\xff?", "a\xfeb", false},
		{"a\uFFFD?", "a\xffb", false},
		{"?", "\xff", true},
		{"?", "\xc3\xa9", true},
		{"?", "\xc3", true},
		{"*\xa9", "\xc3\xa9", false},
		{"\xc3*", "\xc3\xa9", false},
		{"[\xfe-\xff]", "\xff", true},
	}
	for _, tt := range tests {
		if got := policy.Match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %t, want %t", tt.pattern, tt.name, got, tt.want)
		}
	}
}

// Stars multiply the work of a matcher that backtracks into all of them: this would not end in a lifetime.
func TestGlobWithManyStarsEnds(t *testing.T) {
	pattern := strings.Repeat("*a", 1000) + "?b"
	if policy.Match(pattern, strings.Repeat("a", 5000)) {
		t.Error("Match(*a*a…?b, aaa…) = true, want false")
	}
}

// Reading a pattern is linear too: looking for the end of each of these brackets is not.
func TestGlobWithManyBracketsEnds(t *testing.T) {
	pattern := "?" + strings.Repeat("[", 1<<18)
	if !policy.Match(pattern, "a"+pattern[1:]) {
		t.Error("Match(?[[[…, a[[[…) = false, want true")
	}
}

func TestIsGlobSeesWhatHasAMeaning(t *testing.T) {
	for s, want := range map[string]bool{"": false, "a-b_c.d]!^": false, "*": true, "a?": true, "a[": true, `\`: false} {
		if got := policy.IsGlob(s); got != want {
			t.Errorf("IsGlob(%q) = %t, want %t", s, got, want)
		}
	}
}

// The matcher agrees with the plainest implementation there is: a table of all prefixes against all prefixes.
func FuzzMatchAgreesWithOracle(f *testing.F) {
	for _, s := range [][2]string{
		{"*", ""}, {"a*b?c", "axxbyc"}, {"[!a-c]*", "dx"}, {"[]a]", "]"}, {"[a-c-e]", "d"}, {"get[_*", "get[_x"},
		{"*[*]*", "a*b"}, {"é?", "éж"}, {"[c-a]", "b"}, {"[!", "[!"}, {"\xff*", "\xffa"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern)*len(name) > 1<<16 {
			t.Skip("too much work for the oracle")
		}
		want, ok := oracle(codePoints(pattern), codePoints(name))
		if !ok {
			t.Skip("a class that begins with a reversed range and !: left to the table of fnmatch")
		}
		if got := policy.Match(pattern, name); got != want {
			t.Errorf("Match(%q, %q) = %t, want %t", pattern, name, got, want)
		}
	})
}

// oracle fills one row a pattern element: row[n] says that the elements so far match the first n code points.
func oracle(p, name []rune) (matches, ok bool) {
	row := make([]bool, len(name)+1)
	row[0] = true
	for len(p) > 0 {
		accepts, size, ok := element(p)
		if !ok {
			return false, false
		}
		next := make([]bool, len(row))
		for n := range row {
			if accepts == nil {
				next[n] = row[n] || n > 0 && next[n-1]
			} else {
				next[n] = n > 0 && row[n-1] && accepts(name[n-1])
			}
		}
		row, p = next, p[size:]
	}
	return row[len(name)], true
}

// element reads the first element of p: what it accepts, nil for a star, and its length.
func element(p []rune) (accepts func(rune) bool, size int, ok bool) {
	switch p[0] {
	case '*':
		return nil, 1, true
	case '?':
		return func(rune) bool { return true }, 1, true
	case '[':
		begin := 1 // :: where a closing bracket counts
		if begin < len(p) && p[begin] == '!' {
			begin++
		}
		if begin < len(p) && p[begin] == ']' {
			begin++
		}
		if n := slices.Index(p[begin:], ']'); n >= 0 {
			accepts, ok := class(p[1 : begin+n])
			return accepts, begin + n + 1, ok
		}
	}
	return func(r rune) bool { return r == p[0] }, 1, true
}

// class reads from left to right: three code points with a hyphen in the middle are a range, any other one is itself.
func class(c []rune) (accepts func(rune) bool, ok bool) {
	rest := c
	for len(rest) > 2 && rest[0] != '!' && rest[1] == '-' && rest[0] > rest[2] {
		rest = rest[3:]
	}
	if len(rest) < len(c) && len(rest) > 0 && rest[0] == '!' {
		return nil, false
	}
	negated := len(c) > 0 && c[0] == '!'
	if negated {
		c = c[1:]
	}
	return func(r rune) bool { return holds(c, r) != negated }, true
}

// holds says whether r is in the content of a class.
func holds(c []rune, r rune) bool {
	for len(c) > 0 {
		size, low, high := 1, c[0], c[0]
		if len(c) > 2 && c[1] == '-' {
			size, high = 3, c[2]
		}
		if low <= r && r <= high {
			return true
		}
		c = c[size:]
	}
	return false
}

// codePoints decodes s. Bytes that are not UTF-8 become what Python makes of them: lone surrogates.
func codePoints(s string) []rune {
	var out []rune
	for i, r := range s {
		if r == '\uFFFD' && !strings.HasPrefix(s[i:], "\uFFFD") {
			r = 0xDC00 + rune(s[i])
		}
		out = append(out, r)
	}
	return out
}
