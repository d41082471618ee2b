package policy

import (
	"strings"
	"unicode/utf8"
)

// IsGlob says whether a rule is more than a name: whether it holds a character that fnmatch gives a meaning.
func IsGlob(s string) bool { return strings.ContainsAny(s, "*?[") }

// Match says whether a glob matches the whole name, as Python's fnmatch.fnmatchcase does: "*" is any run of characters,
// "?" one code point, "[seq]" and "[!seq]" a set; an unclosed "[" is itself. There is no escape character.
func Match(pattern, name string) bool {
	g := compileGlob(pattern)
	return g.match(name)
}

// Pattern is a glob that is compiled once and matched against many names. It may be used by many goroutines.
type Pattern struct{ glob glob }

// NewPattern compiles a glob; every string is one.
func NewPattern(pattern string) *Pattern { return &Pattern{compileGlob(pattern)} }

// Match says whether the glob matches the whole name, as the function Match does. It allocates nothing.
func (p *Pattern) Match(name string) bool { return p.glob.match(name) }

// shape is the kind of a glob. Nearly all rules in use have one of the first four, which need no loop over tokens.
type shape uint8

const (
	literal shape = iota
	everything
	prefix
	suffix
	general
)

// glob is a compiled pattern.
type glob struct {
	shape  shape
	text   string // :: of literal, prefix and suffix
	tokens []token
}

// token matches one code point, or with star any run of them. Neither star, any nor class: it matches char. It is small,
// since a pattern may come from an agent and has as many as code points.
type token struct {
	char  rune
	star  bool
	any   bool
	class *class
}

// class is a set of code points, or with negate everything outside of it.
type class struct {
	set    []span
	negate bool
}

// span is a range of code points, both ends in.
type span struct{ low, high rune }

// compileGlob never fails: every string is a pattern.
func compileGlob(pattern string) glob {
	if g, ok := compileSimple(pattern); ok {
		return g
	}
	g := glob{shape: general}
	chars := runes(pattern)
	opens := true // :: whether a "[" can still have its "]"
	for i := 0; i < len(chars); {
		t, size := nextToken(chars[i:], opens)
		opens = opens && (chars[i] != '[' || t.class != nil)
		i += size
		if n := len(g.tokens); t.star && n > 0 && g.tokens[n-1].star {
			continue
		}
		g.tokens = append(g.tokens, t)
	}
	return g
}

// compileSimple recognises the shapes that most rules have. Comparing bytes is right there: UTF-8 is self-synchronising.
func compileSimple(pattern string) (glob, bool) {
	switch {
	case !utf8.ValidString(pattern):
		return glob{}, false
	case !IsGlob(pattern):
		return glob{shape: literal, text: pattern}, true
	case strings.Trim(pattern, "*") == "":
		return glob{shape: everything}, true
	}
	if head := strings.TrimRight(pattern, "*"); !IsGlob(head) {
		return glob{shape: prefix, text: head}, true
	}
	if tail := strings.TrimLeft(pattern, "*"); !IsGlob(tail) {
		return glob{shape: suffix, text: tail}, true
	}
	return glob{}, false
}

// nextToken reads the first token of p and returns its length. Without opens a "[" is itself: where one of them has no
// "]", those after it have none either, and looking again would make a pattern of brackets quadratic.
func nextToken(p []rune, opens bool) (token, int) {
	switch {
	case p[0] == '*':
		return token{star: true}, 1
	case p[0] == '?':
		return token{any: true}, 1
	case p[0] == '[' && opens:
		if end := classEnd(p); end >= 0 {
			return token{class: compileClass(p[1:end])}, end + 1
		}
	}
	return token{char: p[0]}, 1
}

// match says whether the glob matches the whole name. Only the last star can be worth going back to, so the work is at
// most len(name) × len(tokens).
func (g *glob) match(name string) bool {
	switch g.shape {
	case literal:
		return name == g.text
	case everything:
		return true
	case prefix:
		return strings.HasPrefix(name, g.text)
	case suffix:
		return strings.HasSuffix(name, g.text)
	}
	return g.matchTokens(name)
}

// matchTokens walks name and tokens together. On a mismatch the last star takes one code point more.
func (g *glob) matchTokens(name string) bool {
	t, n := 0, 0          // :: next token, next byte
	star, resume := -1, 0 // :: token after the last star, byte where it began to match
	for {
		switch {
		case t < len(g.tokens) && g.tokens[t].star:
			t++
			star, resume = t, n
			continue
		case n == len(name):
			return t == len(g.tokens)
		}
		r, size := decode(name[n:])
		if t < len(g.tokens) && g.tokens[t].match(r) {
			t, n = t+1, n+size
			continue
		}
		if star < 0 {
			return false
		}
		_, size = decode(name[resume:])
		resume += size
		t, n = star, resume
	}
}

// match says whether a token that is not a star matches one code point.
func (t *token) match(r rune) bool {
	switch {
	case t.any:
		return true
	case t.class != nil:
		return t.class.match(r)
	}
	return t.char == r
}

// match says whether the class matches one code point. An empty set matches none, and negated any.
func (c *class) match(r rune) bool {
	for _, s := range c.set {
		if s.low <= r && r <= s.high {
			return !c.negate
		}
	}
	return c.negate
}

// decode reads one code point. A byte that is not UTF-8 becomes a code point of its own, which no text holds, so that two
// different broken names stay different.
func decode(s string) (rune, int) {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 {
		return 0xDC00 + rune(s[0]), 1
	}
	return r, size
}

// runes decodes all of s.
func runes(s string) []rune {
	out := make([]rune, 0, len(s))
	for len(s) > 0 {
		r, size := decode(s)
		out, s = append(out, r), s[size:]
	}
	return out
}
