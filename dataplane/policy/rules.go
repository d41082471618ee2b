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
	kinds   [kindCount]rules // :: by Kind
}

// compileSide compiles one half; word is "allow" or "deny".
func compileSide(ref, agent, word string, a *gatehousev1.Access) (side, error) {
	path := "agents." + agent + "." + word
	s := side{servers: compileList(path+".servers", a.GetServers())}
	for _, kind := range Kinds() {
		all, twice := compileRules(path+"."+kind.String()+".", kind.Rules(a))
		if twice != nil {
			field := "spec." + word + "." + kind.String() + "." + twice.GetServer()
			return side{}, &FieldError{Object: ref, Field: field, Message: "there are two rules for this server"}
		}
		s.kinds[kind] = all
	}
	return s, nil
}

// compileRules compiles the map of one kind, whose path ends with the dot before a key. Keys are sorted here, since the
// order of a map's keys in the document means nothing. The second result is a rule whose key was there before.
func compileRules(path string, entries []*gatehousev1.ToolRule) (all rules, twice *gatehousev1.ToolRule) {
	if len(entries) == 0 { // as nearly everywhere: a map that is not there can be asked, too
		return rules{}, nil
	}
	all.equal = make(map[string]*rule, len(entries))
	for _, e := range entries {
		key := e.GetServer()
		if all.equal[key] != nil {
			return rules{}, e
		}
		r := &rule{key: key, list: compileList(path+key, e.GetTools())}
		all.equal[key] = r
		if IsGlob(key) {
			r.glob = compileGlob(key)
			all.globs = append(all.globs, r)
		}
	}
	slices.SortFunc(all.globs, func(a, b *rule) int { return strings.Compare(a.key, b.key) })
	return all, nil
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

// rule is the list of one key of a map. It exists where the list is empty, too: the key alone narrows.
type rule struct {
	key  string
	glob glob // :: of the key, where it is one
	list list
}

// rules are the map of one kind: servers or globs of servers, each with its list.
type rules struct {
	equal map[string]*rule // :: by the key as written
	globs []*rule          // :: keys that are globs, sorted by bytes
}

// anyKey asks every key that matches the server: the equal one, then globs by bytes. An exact name under a later key
// comes before a pattern under an earlier one.
func (t *rules) anyKey(server, name string) (string, bool) {
	m := matcher{name: name}
	equal := t.equal[server]
	if equal != nil && m.try(&equal.list) {
		return m.path, true
	}
	return t.globKeys(server, equal, &m)
}

// bestKey asks the key equal to the server if there is one, else every glob key that matches it. The last result says
// whether there was such a key at all.
func (t *rules) bestKey(server, name string) (path string, ok, narrowed bool) {
	if equal := t.equal[server]; equal != nil {
		path, ok = equal.list.match(name)
		return path, ok, true
	}
	m := matcher{name: name}
	path, ok = t.globKeys(server, nil, &m)
	return path, ok, m.tried
}

// reach says whether any key is for the server.
func (t *rules) reach(server string) bool {
	if t.equal[server] != nil {
		return true
	}
	return slices.ContainsFunc(t.globs, func(r *rule) bool { return r.glob.match(server) })
}

// globKeys lets m try the list of each glob key that matches the server, but for skip, which was tried before.
func (t *rules) globKeys(server string, skip *rule, m *matcher) (string, bool) {
	for _, r := range t.globs {
		if r != skip && r.glob.match(server) && m.try(&r.list) {
			break
		}
	}
	return m.path, m.found
}

// matcher looks for one name in several lists in one pass: it stops at an exact name and remembers the first pattern. It
// lives on the stack of a decision.
type matcher struct {
	name  string
	path  string // :: of what was found
	found bool
	tried bool // :: whether there was any list
}

// try asks one more list; true means that nothing after it can change the result.
func (m *matcher) try(l *list) bool {
	m.tried = true
	if path, ok := l.exact[m.name]; ok {
		m.path, m.found = path, true
		return true
	}
	if !m.found {
		m.path, m.found = l.matchGlob(m.name)
	}
	return false
}
