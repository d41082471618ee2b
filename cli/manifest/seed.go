package manifest

import (
	"fmt"
	"slices"
	"strings"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// LoadMCPConfig reads an .mcp.json file: one Server for each entry of mcpServers. Fields that have no meaning here are
// warnings. The error is of type Problems where the content is at fault.
func LoadMCPConfig(file string) (*Set, error) {
	doc, err := readSeed(file)
	if err != nil {
		return nil, err
	}
	set, top := &Set{}, doc.top()
	top.readLoosely(fields{"mcpServers": func(c cursor) {
		for _, m := range c.members() {
			set.addRead(m.cursor, func(cursor) *gatehousev1.Object { return seedServer(m) }, seedServerField)
		}
	}})
	if top.node.form == formMap {
		top.require("mcpServers")
	}
	doc.problems.sort()
	doc.warnings.sort()
	set.Warnings = doc.warnings
	return set, doc.problems.err()
}

// LoadRules reads a rules file: one Policy for each of agents, and the Settings that defaults and defaultAgent make; none
// where both are absent. Unknown fields are errors. The error is of type Problems where the content is at fault.
func LoadRules(file, defaultAgent string) (*Set, error) {
	doc, err := readSeed(file)
	if err != nil {
		return nil, err
	}
	set, top := &Set{}, doc.top()
	// No settings at all is what a rules file without defaults says: another file may hold them then.
	settings, inOrder := &gatehousev1.Settings{DefaultAgent: defaultAgent}, top.has("defaults") || defaultAgent != ""
	top.read(fields{
		"agents": func(c cursor) {
			for _, m := range c.members() {
				set.addRead(m.cursor, func(cursor) *gatehousev1.Object { return seedPolicy(m) }, seedPolicyField)
			}
		},
		"defaults": func(c cursor) {
			before := len(doc.problems)
			c.read(fields{"deny_on_missing_agent": func(c cursor) { settings.DenyOnMissingAgent = new(c.boolean()) }})
			inOrder = len(doc.problems) == before
		},
	})
	if inOrder {
		set.addSettings(doc, settings)
	}
	doc.problems.sort()
	return set, doc.problems.err()
}

// addSettings takes in the settings that a rules file and --default-agent make.
func (s *Set) addSettings(doc *document, settings *gatehousev1.Settings) {
	o := &gatehousev1.Object{Name: "default", Spec: &gatehousev1.Object_Settings{Settings: settings}}
	translate := func(field string) string {
		switch {
		case field == "spec.denyOnMissingAgent":
			return "defaults.deny_on_missing_agent"
		case field == "spec.defaultAgent" && settings.GetDefaultAgent() != "":
			return "--default-agent"
		default:
			return "defaults"
		}
	}
	doc.problems = append(doc.problems, s.add(o, source{doc: doc, translate: translate})...)
}

// readSeed reads the one document of a seed file: JSON, unless its name says YAML.
func readSeed(file string) (*document, error) {
	in, err := readInput(file, nil)
	if err != nil {
		return nil, err
	}
	if problem := in.check(); problem != nil {
		return nil, Problems{*problem}
	}
	parse := in.parseJSON
	if isYAML(file) {
		parse = in.parseYAML
	}
	docs, problems := parse()
	if err := problems.err(); err != nil {
		return nil, err
	}
	if len(docs) != 1 {
		return nil, Problems{in.at(0, fmt.Sprintf("file holds %d documents, want 1", len(docs)))}
	}
	return docs[0], nil
}

// seedServerField finds a manifest's field in an entry of mcpServers, which knows no level for the transport.
func seedServerField(base, field string) string {
	if field == "spec.http.transport" {
		return base + ".type"
	}
	for _, prefix := range []string{"spec.stdio", "spec.http", "spec"} {
		if rest, ok := strings.CutPrefix(field, prefix); ok {
			return base + rest
		}
	}
	return base
}

// seedPolicyField finds a manifest's field in an entry of agents.
func seedPolicyField(base, field string) string {
	if rest, ok := strings.CutPrefix(field, "spec"); ok {
		return base + rest
	}
	return base
}

// seedPolicy reads one entry of agents, whose key is the agent's id.
func seedPolicy(m member) *gatehousev1.Object {
	p := &gatehousev1.Policy{}
	m.read(policyFields(p, seedAccessFields))
	return &gatehousev1.Object{Name: m.name, Spec: &gatehousev1.Object_Policy{Policy: p}}
}

// seedServer reads one entry of mcpServers. Which transport it is, the seed tells by the one of command and url that is
// there. References are kept: the seed resolved them when it read the file, and a variable that was not set stopped it.
func seedServer(m member) *gatehousev1.Object {
	s := &gatehousev1.Server{}
	stdio, http := &gatehousev1.Stdio{}, &gatehousev1.Http{}
	m.readLoosely(fields{
		"description": func(c cursor) { s.Description = c.text() },
		"command":     func(c cursor) { stdio.Command = c.text() },
		"args":        func(c cursor) { stdio.Args = c.texts() },
		"env":         func(c cursor) { stdio.Env = c.textMap() },
		"cwd":         func(c cursor) { stdio.Cwd = c.text() },
		"url":         func(c cursor) { http.Url = c.text() },
		"headers":     func(c cursor) { http.Headers = c.textMap() },
		"type":        func(c cursor) { http.Transport = seedType(c) },
	})
	switch {
	case m.node.form != formMap:
	case m.has("command") == m.has("url"):
		m.complainf("must have either command or url, and not both")
	case m.has("command"):
		s.Transport = &gatehousev1.Server_Stdio{Stdio: stdio}
		m.unused("a server with command", "headers")
	default:
		s.Transport = &gatehousev1.Server_Http{Http: http}
		m.unused("a server with url", "args", "env", "cwd")
	}
	return &gatehousev1.Object{Name: m.name, Spec: &gatehousev1.Object_Server{Server: s}}
}

// unused warns of fields that belong to the other transport.
func (m member) unused(where string, names ...string) {
	for _, e := range m.node.entries {
		if slices.Contains(names, e.key) {
			m.warnAt(place{e.line, e.column}, "."+e.key, "has no meaning for "+where+"; left out")
		}
	}
}

// seedType reads the spellings of type that MCP clients write; those of stdio say nothing that command does not.
func seedType(c cursor) gatehousev1.HttpTransport {
	switch choose(c, []string{"stdio", "http", "streamable-http", "streamableHttp", "sse"}) {
	case "http", "streamable-http", "streamableHttp":
		return gatehousev1.HttpTransport_HTTP_TRANSPORT_STREAMABLE_HTTP
	case "sse":
		return gatehousev1.HttpTransport_HTTP_TRANSPORT_SSE
	default:
		return gatehousev1.HttpTransport_HTTP_TRANSPORT_UNSPECIFIED
	}
}
