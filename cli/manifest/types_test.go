package manifest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
)

// values are one of each type, as JSON.
func values() map[string]string {
	return map[string]string{
		"null": "null", "a string": `"x"`, "a number": "12", "true or false": "true", "a list": "[]", "a mapping": "{}",
	}
}

// typed are all fields of all kinds, and the type of each.
func typed() map[string]map[string]string {
	return map[string]map[string]string{
		"Server": {
			"apiVersion": "a string", "kind": "a string", "metadata": "a mapping", "metadata.name": "a string",
			"metadata.labels": "a mapping", "metadata.labels.l": "a string", "spec": "a mapping",
			"spec.description": "a string", "spec.session": "a string", "spec.callTimeout": "a string",
			"spec.maxCallTimeout": "a string", "spec.disabled": "true or false",
			"spec.stdio": "a mapping", "spec.stdio.command": "a string", "spec.stdio.args": "a list",
			"spec.stdio.env": "a mapping", "spec.stdio.env.E": "a string", "spec.stdio.cwd": "a string",
			"spec.http": "a mapping", "spec.http.url": "a string", "spec.http.headers": "a mapping",
			"spec.http.headers.h": "a string", "spec.http.transport": "a string",
			"spec.questions": "a mapping", "spec.questions.tier": "a string", "spec.questions.roots": "a list",
			"spec.questions.elicitation": "a string", "spec.questions.idempotentTools": "a list",
			"spec.questions.parkTimeout": "a string", "spec.questions.keys": "a list",
		},
		"Policy": {
			"spec.allow.resources": "a mapping", "spec.allow.resources.s": "a list", "spec.allow.prompts": "a mapping",
			"spec.allow.prompts.s": "a list", "spec.deny.resources": "a mapping", "spec.deny.resources.s": "a list",
			"spec.deny.prompts": "a mapping", "spec.deny.prompts.s": "a list",
			"spec.allow": "a mapping", "spec.allow.servers": "a list", "spec.allow.tools": "a mapping",
			"spec.allow.tools.s": "a list", "spec.deny": "a mapping", "spec.deny.servers": "a list",
			"spec.deny.tools": "a mapping", "spec.deny.tools.s": "a list",
		},
		"Settings": {"spec.denyOnMissingAgent": "true or false", "spec.defaultAgent": "a string"},
		"Credential": {
			"spec.apiKey": "a mapping", "spec.apiKey.sha256": "a string", "spec.agents": "a list", "spec.expires": "a string",
		},
	}
}

// TestEveryFieldHasOneType gives every field a value of every other type, and wants one problem that names it.
func TestEveryFieldHasOneType(t *testing.T) {
	for kind, fields := range typed() {
		for field, want := range fields {
			for given, value := range values() {
				if given != want {
					checkWrongType(t, kind, field, value, want)
				}
			}
		}
	}
}

func checkWrongType(t *testing.T, kind, field, value, want string) {
	t.Helper()
	text := document(kind, field, value)
	_, err := manifest.Load([]string{"-"}, strings.NewReader(text))
	var problems manifest.Problems
	errors.As(err, &problems)
	for _, p := range problems {
		if p.Field == field && strings.HasPrefix(p.Message, "must be "+want) && p.Line == 1 && p.Column > 1 {
			return
		}
	}
	t.Errorf("Load(%s) = %v, want %s: must be %s", text, err, field, want)
}

// document is a manifest that is in order, but for one field.
func document(kind, field, value string) string {
	root := map[string]any{
		"apiVersion": "gatehouse/v1", "kind": kind, "metadata": map[string]any{"name": "default"}, "spec": map[string]any{},
	}
	steps := strings.Split(field, ".")
	at := root
	for _, step := range steps[:len(steps)-1] {
		below, ok := at[step].(map[string]any)
		if !ok {
			below = make(map[string]any)
			at[step] = below
		}
		at = below
	}
	at[steps[len(steps)-1]] = json.RawMessage(value)
	text, err := json.Marshal(root)
	if err != nil {
		panic(err) // only values of this file are written
	}
	return string(text)
}

// TestEveryUnknownFieldIsRefused puts a stranger beside every field.
func TestEveryUnknownFieldIsRefused(t *testing.T) {
	open := map[string]bool{ // mappings whose keys are the operator's
		"metadata.labels": true, "spec.stdio.env": true, "spec.http.headers": true, "spec.allow.tools": true, "spec.deny.tools": true,
		"spec.allow.resources": true, "spec.deny.resources": true, "spec.allow.prompts": true, "spec.deny.prompts": true,
	}
	for kind, fields := range typed() {
		for field, want := range fields {
			if want != "a mapping" || open[field] {
				continue
			}
			stranger := field + ".wholly_unknown"
			_, err := manifest.Load([]string{"-"}, strings.NewReader(document(kind, stranger, "1")))
			if err == nil || !strings.Contains(err.Error(), stranger+`: unknown field "wholly_unknown", known here: `) {
				t.Errorf("Load with %s = %v, want it refused", stranger, err)
			}
		}
	}
}

func TestUnknownFieldsGetTheNearestName(t *testing.T) {
	for name, want := range map[string]string{
		"call_timeout": "callTimeout", "CALLTIMEOUT": "callTimeout", "call-timeout": "callTimeout", "callTimout": "callTimeout",
		"sdtio": "stdio", "desciption": "description", "Disabled": "disabled", "https": "http",
		"timeout": "", "command": "", "x": "", "": "", strings.Repeat("session", 20): "",
	} {
		_, err := manifest.Load([]string{"-"}, strings.NewReader(document("Server", "spec."+name, `"1"`)))
		if err == nil {
			t.Errorf("Load with %q = nil, want an error", name)
			continue
		}
		got := ""
		if _, after, ok := strings.Cut(err.Error(), `did you mean "`); ok {
			got, _, _ = strings.Cut(after, `"`)
		}
		if got != want {
			t.Errorf("hint for %q = %q, want %q", name, got, want)
		}
	}
}

func TestTextHasOneReadingInYAML(t *testing.T) {
	for text, want := range map[string]string{
		"plain words":         "plain words",
		`"quoted\tA\u00e9"`:   "quoted\tAé",
		"'it''s'":             "it's",
		"no":                  "no",
		"2027-02-20":          "2027-02-20",
		"1e3":                 "1e3",
		"${VAR:-a}":           "${VAR:-a}",
		"http://x:80/#a":      "http://x:80/#a",
		"a # comment":         "a",
		"!!str 12":            "12",
		"|\n    a\n      b\n": "a\n  b\n",
		"|-\n    a\n":         "a",
		">\n    a\n    b\n":   "a b\n",
		"|\n    # text\n":     "# text\n",
		"a\n    b":            "a b",
	} {
		in := "apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: s}\nspec:\n  description: " + text + "\n  disabled: true\n"
		set := load(t, in)
		if got := set.Objects[0].GetServer(); got.GetDescription() != want || !got.GetDisabled() {
			t.Errorf("description of %q = %q, want %q, and the field after it", text, got.GetDescription(), want)
		}
	}
}

func TestNumbersAreNotText(t *testing.T) {
	for _, number := range []string{"12", "-1", "1.5", "0x1f", "0o17", ".inf", ".nan", "1_000", "!!int 3", "true", "~", ""} {
		in := "apiVersion: gatehouse/v1\nkind: Server\nmetadata: {name: s}\nspec:\n  description: " + number + "\n"
		if set, err := manifest.Load([]string{"-"}, strings.NewReader(in)); err == nil {
			t.Errorf("description of %s = %q, want an error", number, set.Objects[0].GetServer().GetDescription())
		}
	}
}

func TestJSONMayHaveTabsMarksAndLongLines(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, want string }{
		"tabs":       {"{\n\t\"mcpServers\": {\n\t\t\"a\": 1\n\t}\n}\n", "3:8"},
		"mark":       {"\ufeff{\"mcpServers\": {\"a\": 1}}", "1:22"},
		"CRLF":       {"{\r\n\"mcpServers\":\r\n{\"a\":\r\n1}}", "4:1"},
		"characters": {`{"mcpServers": {"ü😀": 1}}`, "1:23"},
		"escapes":    {`{"mcpServers": {"\u00fc\ud83d\ude00": 1}}`, "1:39"},
		"one line":   {`{"mcpServers": {` + strings.Repeat(`"x": {"command": "c"}, `, 1) + `"a": 1}}`, "1:45"},
	} {
		_, err := manifest.LoadMCPConfig(write(t, dir, "x.json", c.text))
		if want := fmt.Sprintf("x.json:%s: mcpServers.", c.want); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("LoadMCPConfig of %s = %v, want %s", name, err, want)
		}
	}
}
