package config_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
)

// digest is the SHA-256 of some key.
const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func configOf(objects ...*gatehousev1.Object) *gatehousev1.Config {
	c := &gatehousev1.Config{Objects: objects}
	config.Sort(c)
	return c
}

func server(name string) *gatehousev1.Object { return serverOf(name, stdio("true")) }

func serverOf(name string, s *gatehousev1.Server) *gatehousev1.Object {
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Server{Server: s}}
}

func stdio(command string, args ...string) *gatehousev1.Server {
	return &gatehousev1.Server{Transport: &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{Command: command, Args: args}}}
}

func http(url string) *gatehousev1.Server {
	return &gatehousev1.Server{Transport: &gatehousev1.Server_Http{Http: &gatehousev1.Http{Url: url}}}
}

func settings(s *gatehousev1.Settings) *gatehousev1.Object {
	return &gatehousev1.Object{Name: "default", Spec: &gatehousev1.Object_Settings{Settings: s}}
}

func credential(name, digest string, agents ...string) *gatehousev1.Object {
	c := &gatehousev1.Credential{ApiKey: &gatehousev1.ApiKey{Sha256: digest}, Agents: agents}
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Credential{Credential: c}}
}

// policy reads rules such as "allow db", "allow db: query, list_*", "deny resources db: file:///*" and "deny prompts db: x".
// The first form is an entry of servers, the second one of tools.
func policy(name string, rules ...string) *gatehousev1.Object {
	p := &gatehousev1.Policy{Allow: &gatehousev1.Access{}, Deny: &gatehousev1.Access{}}
	for _, rule := range rules {
		word, rest, _ := strings.Cut(rule, " ")
		side := p.Allow
		if word == "deny" {
			side = p.Deny
		}
		to := &side.Tools
		if resources, ok := strings.CutPrefix(rest, "resources "); ok {
			rest, to = resources, &side.Resources
		} else if prompts, ok := strings.CutPrefix(rest, "prompts "); ok {
			rest, to = prompts, &side.Prompts
		}
		server, tools, narrowed := strings.Cut(rest, ": ")
		if !narrowed {
			side.Servers = append(side.Servers, server)
			continue
		}
		names := slices.DeleteFunc(strings.Split(tools, ", "), func(s string) bool { return s == "" })
		*to = append(*to, &gatehousev1.ToolRule{Server: server, Tools: names})
	}
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Policy{Policy: p}}
}

// changed writes changes as "created servers/a, deleted servers/b".
func changed(changes []*gatehousev1.Change) string {
	var out []string
	for _, c := range changes {
		action := strings.ToLower(strings.TrimPrefix(c.GetAction().String(), "ACTION_"))
		out = append(out, action+" "+c.GetObject())
	}
	return strings.Join(out, ", ")
}

// refs writes the references of a configuration, in its order.
func refs(c *gatehousev1.Config) string {
	var out []string
	for _, o := range c.GetObjects() {
		out = append(out, config.Ref(o))
	}
	return strings.Join(out, ", ")
}

// encoded is the configuration's one encoding.
func encoded(t testing.TB, c *gatehousev1.Config) string {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
