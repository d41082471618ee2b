package manifest

import (
	"fmt"
	"io"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Set is the objects of some files, with the place of every field. The zero value is the empty set.
type Set struct {
	// Objects are in the order in which they were read.
	Objects []*gatehousev1.Object
	// Warnings are about input that has no meaning here and was left out.
	Warnings Problems

	// sources outlive the reading, so that what the control plane refuses later can be shown at its line.
	sources map[string]source // :: object reference → where it was read
}

// source is where one object was read. Complaints name fields as manifests do; in the seed's files the same field has
// another path, and an operator must be shown that one.
type source struct {
	doc       *document
	translate func(field string) string // from the manifest's path to the path in this kind of file
}

// Load reads manifests: files, the *.yaml, *.yml and *.json of folders (not below them), and standard input for "-". The
// error is of type Problems where the content is at fault; the set then holds the objects that are in order.
func Load(paths []string, stdin io.Reader) (*Set, error) {
	inputs, err := readAll(paths, stdin)
	if err != nil {
		return nil, err
	}
	// Files are told apart in the problems, and within a file problems stand as a reader meets them.
	set, problems := &Set{}, Problems(nil)
	for _, in := range inputs {
		docs, bad := in.parse()
		for _, doc := range docs {
			bad = append(bad, set.addManifest(doc)...)
		}
		bad.sort()
		problems = append(problems, bad...)
	}
	return set, problems.err()
}

// Join makes one set of several, such as those of manifests and of both seed files. The error is of type Problems: each
// object that is in two of them.
func Join(sets ...*Set) (*Set, error) {
	all, problems := &Set{}, Problems(nil)
	for _, s := range sets {
		all.Warnings = append(all.Warnings, s.Warnings...)
		for _, o := range s.Objects {
			problems = append(problems, all.add(o, s.sources[config.Ref(o)])...)
		}
	}
	return all, problems.err()
}

// Locate makes a problem of a complaint about an object's field, in the manifest's notation ("spec.allow.servers[0]"). The
// place is that of the field or, where the file does not hold it, of the nearest one around it; an object that is not of
// this set has none.
func (s *Set) Locate(object, field, message string) Problem {
	src, ok := s.sources[object]
	if !ok {
		return Problem{Field: field, Message: object + ": " + message}
	}
	return src.doc.problem(src.translate(field), message)
}

// add takes an object in, unless one of that reference is there already. The second is at fault, not the first: whoever
// adds a file to a folder finds the problem in the new file.
func (s *Set) add(o *gatehousev1.Object, src source) Problems {
	ref := config.Ref(o)
	if first, ok := s.sources[ref]; ok {
		at := first.doc.problem(first.translate(nameField), "")
		message := fmt.Sprintf("%s is defined twice, first at %s", ref, at.place())
		return Problems{src.doc.problem(src.translate(nameField), message)}
	}
	if s.sources == nil {
		s.sources = make(map[string]source)
	}
	s.sources[ref] = src
	s.Objects = append(s.Objects, o)
	return nil
}

// addManifest decodes one document: an object, or a list of objects as `gwctl get` prints it.
func (s *Set) addManifest(doc *document) Problems {
	top := doc.top()
	if !top.has("items") || top.has("kind") {
		s.addRead(top, readObject, inList)
		return doc.problems
	}
	top.read(fields{
		"revision": func(c cursor) { c.want(formNumber, "a number") },
		"items": func(c cursor) {
			for _, item := range c.list() {
				s.addRead(item, readObject, inList)
			}
		},
	})
	return doc.problems
}

// inList finds an object's field below the object, which is the whole document or an item of a list.
func inList(base, field string) string { return strings.TrimPrefix(base+"."+field, ".") }

// addRead reads one object and takes it in. An object that has problems stays out, since a half-read one would be
// validated for what it lacks. Field leads from the manifest's path to the path in the file, below base.
func (s *Set) addRead(c cursor, read func(cursor) *gatehousev1.Object, field func(base, field string) string) {
	before := len(c.doc.problems)
	o := read(c)
	if len(c.doc.problems) > before {
		return
	}
	src := source{doc: c.doc, translate: func(f string) string { return field(c.field, f) }}
	c.doc.problems = append(c.doc.problems, s.add(o, src)...)
}
