package upstream

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shortSecret is the length below which a resolved value is not looked for in texts: it would hide half of them.
const shortSecret = 6

// resolver replaces ${VAR} and ${VAR:-default} by values. The default counts where the variable is unset or empty; ${}
// and $VAR stay as they are, and values are not searched for references again.
type resolver struct {
	lookup  func(name string) (string, bool)
	missing []string // names without a value, in order
	secrets []string // values that came from outside the configuration
}

// expand resolves all references of s; those that it cannot resolve are in missing afterwards.
func (r *resolver) expand(s string) string {
	var out strings.Builder
	for {
		head, rest, found := strings.Cut(s, "${")
		body, tail, closed := strings.Cut(rest, "}")
		out.WriteString(head)
		switch {
		case !found:
			return out.String()
		case !closed:
			out.WriteString("${" + rest)
			return out.String()
		// An empty name is no reference; it stays, so that nothing disappears from an argument.
		case body == "":
			out.WriteString("${}")
		default:
			out.WriteString(r.value(body))
		}
		s = tail
	}
}

// value resolves what stands between the braces.
func (r *resolver) value(body string) string {
	name, otherwise, hasDefault := strings.Cut(body, ":-")
	v, ok := r.lookup(name)
	switch {
	case hasDefault && v == "":
		return otherwise
	case !ok:
		if !slices.Contains(r.missing, name) {
			r.missing = append(r.missing, name)
		}
		return ""
	}
	// Whatever came from the environment may be a secret: only the operator knows.
	if len(v) >= shortSecret {
		r.secrets = append(r.secrets, v)
	}
	return v
}

// expandAll resolves each of a list.
func (r *resolver) expandAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = r.expand(s)
	}
	return out
}

// expandMap resolves the values of m; its keys are visited in order, so that messages are always the same.
func (r *resolver) expandMap(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out[k] = r.expand(m[k])
	}
	return out
}

// err names the variables without a value, never a value.
func (r *resolver) err() error {
	switch len(r.missing) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("variable %s is not set", r.missing[0])
	}
	return fmt.Errorf("variables %s are not set", strings.Join(r.missing, ", "))
}

// scrub replaces resolved values in a text that is about to be shown.
func (r *resolver) scrub(text string) string {
	for _, s := range r.secrets {
		text = strings.ReplaceAll(text, s, "[secret]")
	}
	return text
}
