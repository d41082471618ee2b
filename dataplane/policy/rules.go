package policy

import (
	"slices"
	"strconv"
	"strings"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// side is the allow or the deny half of one policy.
type side struct {
	servers list
	tools   tools
}

// compileSide compiles one half; word is "allow" or "deny". Keys are sorted here, since the order of a map's keys in the
// document means nothing.
func compileSide(ref, agent, word string, a *gatehousev1.Access) (side, error) {
	path := "agents." + agent + "." + word
	s := side{servers: compileList(path+".servers", a.GetServers()), tools: tools{equal: map[string]*toolRule{}}}
	for _, r := range a.GetTools() {
		key := r.GetServer()
		if s.tools.equal[key] != nil {
			field := "spec." + word + ".tools." + key
			return side{}, &FieldError{Object: ref, Field: field, Message: "there are two rules for this server"}
		}
		rule := &toolRule{key: key, list: compileList(path+".tools."+key, r.GetTools())}
		s.tools.equal[key] = rule
		if IsGlob(key) {
			rule.glob = compileGlob(key)
			s.tools.globs = append(s.tools.globs, rule)
		}
	}
	slices.SortFunc(s.tools.globs, func(a, b *toolRule) int { return strings.Compare(a.key, b.key) })
	return s, nil
}

// list is the names and globs of one rule, in the order of the document. Globs are among the exact entries too: a name
// that is written like one is that name first.
type list struct {
	exact map[string]string // :: entry as written → its path; the first one of equal entries
	globs []pattern
}

// pattern is one glob and the path of its entry.
type pattern struct {
	glob glob
	path string
}

// compileList precomputes all paths, so that a decision only picks one. An entry that is there twice is its first one.
func compileList(path string, entries []string) list {
	l := list{exact: make(map[string]string, len(entries))}
	for i, e := range entries {
		p := path + "[" + strconv.Itoa(i) + "]"
		if _, ok := l.exact[e]; ok {
			continue
		}
		l.exact[e] = p
		if IsGlob(e) {
			l.globs = append(l.globs, pattern{glob: compileGlob(e), path: p})
		}
	}
	return l
}

// match returns the path of the entry that is the name, else of the first glob that matches it.
func (l *list) match(name string) (string, bool) {
	if path, ok := l.exact[name]; ok {
		return path, true
	}
	return l.matchGlob(name)
}

// matchGlob returns the path of the first glob that matches.
func (l *list) matchGlob(name string) (string, bool) {
	for i := range l.globs {
		if l.globs[i].glob.match(name) {
			return l.globs[i].path, true
		}
	}
	return "", false
}

// toolRule is the list of one key of a tools map. It exists where the list is empty, too: the key alone narrows.
type toolRule struct {
	key  string
	glob glob // :: of the key, where it is one
	list list
}

// tools is a tools map: servers or globs of servers, each with its list.
type tools struct {
	equal map[string]*toolRule // :: by the key as written
	globs []*toolRule          // :: keys that are globs, sorted by bytes
}

// anyKey asks every key that matches the server: the equal one, then globs by bytes. An exact tool name under a later
// key comes before a pattern under an earlier one.
func (t *tools) anyKey(server, tool string) (string, bool) {
	m := matcher{tool: tool}
	equal := t.equal[server]
	if equal != nil && m.try(&equal.list) {
		return m.path, true
	}
	return t.globKeys(server, equal, &m)
}

// bestKey asks the key equal to the server if there is one, else every glob key that matches it. The last result says
// whether there was such a key at all.
func (t *tools) bestKey(server, tool string) (path string, ok, narrowed bool) {
	if equal := t.equal[server]; equal != nil {
		path, ok = equal.list.match(tool)
		return path, ok, true
	}
	m := matcher{tool: tool}
	path, ok = t.globKeys(server, nil, &m)
	return path, ok, m.tried
}

// globKeys lets m try the list of each glob key that matches the server, but for skip, which was tried before.
func (t *tools) globKeys(server string, skip *toolRule, m *matcher) (string, bool) {
	for _, r := range t.globs {
		if r != skip && r.glob.match(server) && m.try(&r.list) {
			break
		}
	}
	return m.path, m.found
}

// matcher looks for one tool in several lists in one pass: it stops at an exact name and remembers the first pattern. It
// lives on the stack of a decision.
type matcher struct {
	tool  string
	path  string // :: of what was found
	found bool
	tried bool // :: whether there was any list
}

// try asks one more list; true means that nothing after it can change the result.
func (m *matcher) try(l *list) bool {
	m.tried = true
	if path, ok := l.exact[m.tool]; ok {
		m.path, m.found = path, true
		return true
	}
	if !m.found {
		m.path, m.found = l.matchGlob(m.tool)
	}
	return false
}
