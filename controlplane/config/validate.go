package config

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// maxNameSize is the longest name of an object, in bytes. Names become labels of metrics and parts of URLs.
const maxNameSize = 128

// settingsName is the name of the only Settings object.
const settingsName = "default"

// Validate says all that is wrong with a whole configuration, and what stops nothing but deserves a look. Both are in
// the order of the objects. A configuration without violations is one that every proxy of this version takes.
func Validate(c *gatehousev1.Config) (violations []Violation, warnings []*gatehousev1.Warning) {
	k := &checker{objects: index(c), seen: map[string]bool{}, digests: map[string]string{}}
	for _, o := range c.GetObjects() {
		k.object(o)
	}
	if len(k.bad.Violations) == 0 {
		k.prove(c)
	}
	return k.bad.Violations, k.warnings
}

// checker collects what is found. Its methods go on after a violation, so that one run finds all of them.
type checker struct {
	objects map[string]*gatehousev1.Object // :: the whole configuration, by reference
	seen    map[string]bool                // :: references met so far
	digests map[string]string              // :: digest of a key → the credential that has it

	ref      string // :: the object it is at
	bad      InvalidError
	warnings []*gatehousev1.Warning
}

// refuse adds a violation of the object it is at.
func (k *checker) refuse(field, message string) { k.bad.add(k.ref, field, message) }

// refuseIf adds a violation where bad is true.
func (k *checker) refuseIf(bad bool, field, message string) {
	if bad {
		k.refuse(field, message)
	}
}

// warnIf adds a warning about the object it is at where odd is true.
func (k *checker) warnIf(odd bool, field, message string) {
	if odd {
		k.warnings = append(k.warnings, &gatehousev1.Warning{Object: k.ref, Field: field, Message: message})
	}
}

// object checks one object.
func (k *checker) object(o *gatehousev1.Object) {
	k.ref = Ref(o)
	k.refuseIf(k.seen[k.ref], "metadata.name", "there are two objects of this kind and name")
	k.seen[k.ref] = true
	k.refuseIf(hasUnknown(o.ProtoReflect()), "spec", "it has fields that this version of the control plane does not know")
	k.labels(o.GetLabels())
	switch spec := o.GetSpec().(type) {
	case *gatehousev1.Object_Server:
		k.serverName(o.GetName())
		k.server(spec.Server)
	case *gatehousev1.Object_Policy:
		k.id("metadata.name", o.GetName())
		k.policy(spec.Policy)
	case *gatehousev1.Object_Settings:
		k.refuseIf(o.GetName() != settingsName, "metadata.name", `the only Settings object is named "default"`)
		k.settings(spec.Settings)
	case *gatehousev1.Object_Credential:
		k.id("metadata.name", o.GetName())
		k.credential(spec.Credential)
	default:
		k.refuse("kind", "the object has no spec")
	}
}

// hasUnknown says whether m or a message in it has fields from a newer version. One of them may be a deny.
func hasUnknown(m protoreflect.Message) bool {
	found := len(m.GetUnknown()) > 0
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap(): // maps hold strings only
		case f.IsList():
			for i := range v.List().Len() {
				found = found || hasUnknown(v.List().Get(i).Message())
			}
		default:
			found = found || hasUnknown(v.Message())
		}
		return !found
	})
	return found
}

// id checks the name of a policy, an agent or a credential.
func (k *checker) id(field, name string) {
	allowed := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	foreign := strings.ContainsFunc(name, func(r rune) bool { return !allowed(r) })
	k.refuseIf(name == "" || len(name) > maxNameSize || foreign, field, "a name is 1 to 128 of A-Z a-z 0-9 . _ -")
}

// serverName checks the name of a server. It is wider than an id, since the names in other clients' files are; but it
// has to fit into a reference and into the path of a URL.
func (k *checker) serverName(name string) {
	const field = "metadata.name"
	broken := !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl)
	path := strings.ContainsAny(name, `/\`) || name == "." || name == ".."
	k.refuseIf(name == "" || len(name) > maxNameSize, field, "a name has 1 to 128 bytes")
	k.refuseIf(broken, field, "a name holds no control characters")
	k.refuseIf(path, field, `a name holds no "/" and no "\", and is not "." or ".."`)
	k.refuseIf(strings.TrimSpace(name) != name, field, "a name neither begins nor ends with a space")
}

// labels checks that each label has a key that can be selected by.
func (k *checker) labels(labels map[string]string) {
	for _, key := range sortedKeys(labels) {
		odd := key == "" || len(key) > maxNameSize || strings.ContainsAny(key, "=,") ||
			strings.ContainsFunc(key, unicode.IsControl)
		k.refuseIf(odd, "metadata.labels."+key, `the key of a label has 1 to 128 bytes and no "=", "," or control character`)
	}
}

// settings checks the fallback chain. A chain that leads nowhere refuses calls, which is safe, and so only a warning.
func (k *checker) settings(s *gatehousev1.Settings) {
	const field = "spec.defaultAgent"
	agent, strict := s.GetDefaultAgent(), s == nil || s.DenyOnMissingAgent == nil || s.GetDenyOnMissingAgent()
	if agent == "" {
		stuck := !strict && !k.hasPolicy("default")
		k.warnIf(stuck, field, `calls that name no agent are refused: there is neither a defaultAgent nor a policy "default"`)
		return
	}
	k.id(field, agent)
	k.warnIf(strict, field, "this has no effect while denyOnMissingAgent is true")
	k.warnIf(!k.hasPolicy(agent), field, "there is no policy "+agent)
}

// hasPolicy says whether there is a policy of that name.
func (k *checker) hasPolicy(agent string) bool { return k.objects[Policies+"/"+agent] != nil }

// hasServer says whether there is a server of that name.
func (k *checker) hasServer(name string) bool { return k.objects[Servers+"/"+name] != nil }

// prove builds the table that proxies will build. What it refuses was overlooked above, and is refused all the same.
func (k *checker) prove(c *gatehousev1.Config) {
	_, err := table.Compile(nil, &gatehousev1.SnapshotContent{Config: c})
	if err == nil {
		return
	}
	if at, ok := errors.AsType[*policy.FieldError](err); ok {
		k.bad.add(at.Object, at.Field, at.Message)
		return
	}
	k.bad.add("", "", err.Error())
}
