package manifest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// apiVersion is that of every manifest.
const apiVersion = "gatehouse/v1"

// nameField is the path of an object's name.
const nameField = "metadata.name"

// kind is one kind of object, and what reads its spec.
type kind struct {
	name string // as in manifests
	read func(c cursor, o *gatehousev1.Object)
}

// kinds are all kinds, in the order of a configuration. A new kind is a line here, a reader below, and a document in
// marshal.go.
func kinds() []kind {
	return []kind{
		{"Server", readServer},
		{"Policy", readPolicy},
		{"Settings", readSettings},
		{"Credential", readCredential},
	}
}

// readObject reads a manifest. What is wrong with it is in the document's problems afterwards.
func readObject(top cursor) *gatehousev1.Object {
	if hint := seedHint(top); hint != "" {
		top.complainf("%s", hint)
		return nil
	}
	o := &gatehousev1.Object{}
	// What a spec may hold depends on the kind, which may stand below it.
	var spec *cursor
	var k kind
	top.read(fields{
		"apiVersion": func(c cursor) {
			if v := c.text(); c.node.form == formText && v != apiVersion {
				c.complainf("must be %s, got %q", apiVersion, shorten(v))
			}
		},
		"kind":     func(c cursor) { k = readKind(c) },
		"metadata": func(c cursor) { readMetadata(c, o) },
		"spec":     func(c cursor) { spec = &c },
	})
	if top.node.form == formMap {
		top.require("apiVersion", "kind", "metadata", "spec")
	}
	if spec != nil && k.read != nil {
		k.read(*spec, o)
	}
	return o
}

// seedHint recognises the seed's files, which are read by flags of their own. They are not read here as well, since a
// folder of manifests must not change who may do what because somebody left a copy of an old file in it.
func seedHint(c cursor) string {
	switch {
	case c.has("apiVersion") || c.has("kind"):
		return ""
	case c.has("mcpServers"):
		return "this is an .mcp.json file, not a manifest; give it with --mcp-config"
	case c.has("agents") || c.has("defaults"):
		return "this is a rules file, not a manifest; give it with --rules"
	default:
		return ""
	}
}

// require complains about every field that is not there, at the place of the mapping that lacks it.
func (c cursor) require(names ...string) {
	for _, name := range names {
		if !c.has(name) {
			field := strings.TrimPrefix(c.field+"."+name, ".")
			c.doc.problems = append(c.doc.problems, c.doc.problem(field, "is missing"))
		}
	}
}

// readKind finds the kind by its name; the zero kind where there is none, whose spec is then not looked at.
func readKind(c cursor) kind {
	all := kinds()
	names := make([]string, len(all))
	for i, k := range all {
		names[i] = k.name
	}
	i := slices.Index(names, choose(c, names))
	if i < 0 {
		return kind{}
	}
	return all[i]
}

// choose reads a string that must be one of some names; empty where it is not. Case counts, as everywhere in a manifest.
func choose(c cursor, names []string) string {
	value := c.text()
	if c.node.form != formText || slices.Contains(names, value) {
		return value
	}
	if near := nearest(value, names); near != "" {
		c.complainf("must be one of %s, got %q, did you mean %q?", strings.Join(names, ", "), shorten(value), near)
		return ""
	}
	c.complainf("must be one of %s, got %q", strings.Join(names, ", "), shorten(value))
	return ""
}

// readMetadata reads what every kind has. What a name may consist of is for the validation to say.
func readMetadata(c cursor, o *gatehousev1.Object) {
	c.read(fields{
		"name":   func(c cursor) { o.Name = c.text() },
		"labels": func(c cursor) { o.Labels = c.textMap() },
	})
	if c.node.form == formMap {
		c.require("name")
	}
}

// readServer reads the spec of a Server. Of two transports the protobuf could keep only one, so this is where both are
// refused; that there must be one is for the validation.
func readServer(c cursor, o *gatehousev1.Object) {
	s := &gatehousev1.Server{}
	o.Spec = &gatehousev1.Object_Server{Server: s}
	c.read(fields{
		"description":    func(c cursor) { s.Description = c.text() },
		"stdio":          func(c cursor) { s.Transport = &gatehousev1.Server_Stdio{Stdio: readStdio(c)} },
		"http":           func(c cursor) { s.Transport = &gatehousev1.Server_Http{Http: readHTTP(c)} },
		"session":        func(c cursor) { s.Session = readSession(c) },
		"callTimeout":    func(c cursor) { s.CallTimeout = c.text() },
		"maxCallTimeout": func(c cursor) { s.MaxCallTimeout = c.text() },
		"disabled":       func(c cursor) { s.Disabled = c.boolean() },
		"questions":      func(c cursor) { s.Questions = readQuestions(c) },
	})
	if c.has("stdio") && c.has("http") {
		problem := c.doc.problem(c.field+".http", "a server has either stdio or http, not both")
		c.doc.problems = append(c.doc.problems, problem)
	}
}

// readStdio reads a server that is run. References in it are text like any other.
func readStdio(c cursor) *gatehousev1.Stdio {
	s := &gatehousev1.Stdio{}
	c.read(fields{
		"command": func(c cursor) { s.Command = c.text() },
		"args":    func(c cursor) { s.Args = c.texts() },
		"env":     func(c cursor) { s.Env = c.textMap() },
		"cwd":     func(c cursor) { s.Cwd = c.text() },
	})
	return s
}

// readHTTP reads a server behind a URL.
func readHTTP(c cursor) *gatehousev1.Http {
	h := &gatehousev1.Http{}
	c.read(fields{
		"url":       func(c cursor) { h.Url = c.text() },
		"headers":   func(c cursor) { h.Headers = c.textMap() },
		"transport": func(c cursor) { h.Transport = readTransport(c) },
	})
	return h
}

// readTransport reads a name of the enum. The empty name of the unspecified value cannot be written.
func readTransport(c cursor) gatehousev1.HttpTransport {
	names := transportNames()
	return gatehousev1.HttpTransport(indexOf(names, choose(c, names[1:])))
}

// readSession reads who shares a session.
func readSession(c cursor) gatehousev1.SessionMode {
	names := sessionNames()
	return gatehousev1.SessionMode(indexOf(names, choose(c, names[1:])))
}

// transportNames are the names of the enum's values, by number.
func transportNames() []string { return []string{"", "streamable-http", "sse"} }

// sessionNames are the names of the enum's values, by number.
func sessionNames() []string { return []string{"", "shared", "agent", "session", "call"} }

// indexOf is the number of a name; 0, the unspecified one, for a name that was refused.
func indexOf(names []string, name string) int32 {
	return int32(max(slices.Index(names, name), 0))
}

// readPolicy reads the spec of a Policy. Without allow it allows nothing, so neither side is required.
func readPolicy(c cursor, o *gatehousev1.Object) {
	p := &gatehousev1.Policy{}
	o.Spec = &gatehousev1.Object_Policy{Policy: p}
	c.read(policyFields(p, accessFields))
}

// policyFields are the two sides of a policy, named alike in manifests and in the rules file; side is what each may hold.
func policyFields(p *gatehousev1.Policy, side func(*gatehousev1.Access) fields) fields {
	read := func(to **gatehousev1.Access) func(cursor) {
		return func(c cursor) {
			*to = &gatehousev1.Access{}
			c.read(side(*to))
		}
	}
	return fields{"allow": read(&p.Allow), "deny": read(&p.Deny)}
}

// accessFields are what one side of a policy may hold. Names and globs are text here; the policy compiler looks at them.
func accessFields(a *gatehousev1.Access) fields {
	f := seedAccessFields(a)
	f["resources"] = func(c cursor) { a.Resources = readRules(c) }
	f["prompts"] = func(c cursor) { a.Prompts = readRules(c) }
	return f
}

// seedAccessFields are what one side may hold in the rules file, which knows servers and tools alone.
func seedAccessFields(a *gatehousev1.Access) fields {
	return fields{
		"servers": func(c cursor) { a.Servers = c.texts() },
		"tools":   func(c cursor) { a.Tools = readRules(c) },
	}
}

// readRules makes the map of rules a list sorted by server: equal policies are equal bytes, in whatever order people
// write the keys. The names of one key keep their order, since their indexes are in the paths of rules.
func readRules(c cursor) []*gatehousev1.ToolRule {
	var rules []*gatehousev1.ToolRule
	for _, m := range c.members() {
		rules = append(rules, &gatehousev1.ToolRule{Server: m.name, Tools: m.texts()})
	}
	slices.SortFunc(rules, func(a, b *gatehousev1.ToolRule) int { return strings.Compare(a.GetServer(), b.GetServer()) })
	return rules
}

// readSettings reads the spec of Settings. That the only such object is named default is for the validation.
func readSettings(c cursor, o *gatehousev1.Object) {
	s := &gatehousev1.Settings{}
	o.Spec = &gatehousev1.Object_Settings{Settings: s}
	c.read(fields{
		"denyOnMissingAgent": func(c cursor) { s.DenyOnMissingAgent = new(c.boolean()) },
		"defaultAgent":       func(c cursor) { s.DefaultAgent = c.text() },
	})
}

// readCredential reads the spec of a Credential.
func readCredential(c cursor, o *gatehousev1.Object) {
	s := &gatehousev1.Credential{}
	o.Spec = &gatehousev1.Object_Credential{Credential: s}
	c.read(fields{
		"apiKey": func(c cursor) {
			s.ApiKey = &gatehousev1.ApiKey{}
			c.read(fields{"sha256": func(c cursor) { s.ApiKey.Sha256 = c.text() }})
		},
		"agents":  func(c cursor) { s.Agents = c.texts() },
		"expires": func(c cursor) { s.Expires = readTime(c) },
	})
}

// readTime reads a moment; nil where it is none. The years are those that protobuf can hold.
func readTime(c cursor) *timestamppb.Timestamp {
	value := c.text()
	if c.node.form != formText {
		return nil
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil || t.Year() < 1 || t.Year() > 9999 {
		c.complainf("must be a moment such as 2027-02-20T00:00:00Z, got %s", fmt.Sprintf("%q", shorten(value)))
		return nil
	}
	return timestamppb.New(t)
}
