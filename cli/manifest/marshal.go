package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// The formats that Marshal writes. JSON is indented; several objects are several JSON documents, which Load reads too.
const (
	YAML = "yaml"
	JSON = "json"
)

// Document is an object as its manifest has it, ready for any encoder that knows encoding/json's tags. References and
// durations are as written; fields that are empty are left out, but for lists whose emptiness means something.
type Document struct {
	// APIVersion is gatehouse/v1.
	APIVersion string `json:"apiVersion"`
	// Kind is Server, Policy, Settings or Credential.
	Kind string `json:"kind"`
	// Metadata names the object.
	Metadata metadata `json:"metadata"`
	// Spec is the kind's content. It is there also where it is empty.
	Spec any `json:"spec"`
}

// metadata is what every kind has. The owner is not in it: who manages an object is not the operator's to write.
type metadata struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
}

// serverSpec is the spec of a Server. One of the two transports is set in an object that is valid.
type serverSpec struct {
	Description    string         `json:"description,omitempty"`
	Stdio          *stdioSpec     `json:"stdio,omitempty"`
	HTTP           *httpSpec      `json:"http,omitempty"`
	Session        string         `json:"session,omitempty"`
	CallTimeout    string         `json:"callTimeout,omitempty"`
	MaxCallTimeout string         `json:"maxCallTimeout,omitempty"`
	Disabled       bool           `json:"disabled,omitempty"`
	Questions      *questionsSpec `json:"questions,omitempty"`
}

// stdioSpec is a server that the proxy runs itself.
type stdioSpec struct {
	Command string            `json:"command,omitempty"`
	Args    []string          `json:"args,omitempty"`
	Env     map[string]string `json:"env,omitempty"` // encoders sort the keys
	Cwd     string            `json:"cwd,omitempty"`
}

// httpSpec is a server behind a URL.
type httpSpec struct {
	URL       string            `json:"url,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`
	Transport string            `json:"transport,omitempty"`
}

// policySpec is the spec of a Policy. An empty side is written, an absent one is not: both mean the same, and people
// get back what they wrote.
type policySpec struct {
	Allow *accessSpec `json:"allow,omitempty"`
	Deny  *accessSpec `json:"deny,omitempty"`
}

// accessSpec is one side of a policy. A key with an empty list is a rule: it matches nothing.
type accessSpec struct {
	Servers   []string            `json:"servers,omitempty"`
	Tools     map[string][]string `json:"tools,omitempty"`
	Resources map[string][]string `json:"resources,omitempty"`
	Prompts   map[string][]string `json:"prompts,omitempty"`
}

// settingsSpec is the spec of Settings. Absent is not false for the first: it means true.
type settingsSpec struct {
	DenyOnMissingAgent *bool  `json:"denyOnMissingAgent,omitempty"`
	DefaultAgent       string `json:"defaultAgent,omitempty"`
}

// credentialSpec is the spec of a Credential. It holds the digest of the key and never the key.
type credentialSpec struct {
	APIKey  *apiKeySpec `json:"apiKey,omitempty"`
	Agents  []string    `json:"agents,omitempty"`
	Expires *time.Time  `json:"expires,omitempty"`
}

// apiKeySpec is the hashed key.
type apiKeySpec struct {
	SHA256 string `json:"sha256,omitempty"`
}

// Marshal writes objects as manifests that Load reads back: documents one after another, in the order given. An unknown
// format and an object without a spec are errors.
func Marshal(objects []*gatehousev1.Object, format string) ([]byte, error) {
	var out bytes.Buffer
	for i, o := range objects {
		doc, err := NewDocument(o)
		if err != nil {
			return nil, err
		}
		if format == YAML && i > 0 {
			out.WriteString("---\n")
		}
		if err := doc.write(&out, format); err != nil {
			return nil, fmt.Errorf("writing %s as %s: %w", config.Ref(o), format, err)
		}
	}
	return out.Bytes(), nil
}

// write appends the document in one format.
func (d *Document) write(out *bytes.Buffer, format string) error {
	switch format {
	case YAML:
		text, err := EncodeYAML(d)
		out.Write(text)
		return err
	case JSON:
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(d)
	default:
		return fmt.Errorf("unknown format %q, want %s or %s", format, YAML, JSON)
	}
}

// NewDocument makes the document of an object. An object without a spec is an error.
func NewDocument(o *gatehousev1.Object) (*Document, error) {
	d := &Document{APIVersion: apiVersion, Metadata: metadata{Name: o.GetName(), Labels: o.GetLabels()}}
	switch spec := o.GetSpec().(type) {
	case *gatehousev1.Object_Server:
		d.Kind, d.Spec = "Server", newServerSpec(spec.Server)
	case *gatehousev1.Object_Policy:
		d.Kind, d.Spec = "Policy", newPolicySpec(spec.Policy)
	case *gatehousev1.Object_Settings:
		d.Kind, d.Spec = "Settings", newSettingsSpec(spec.Settings)
	case *gatehousev1.Object_Credential:
		d.Kind, d.Spec = "Credential", newCredentialSpec(spec.Credential)
	default:
		return nil, fmt.Errorf("object %q has no spec", o.GetName())
	}
	return d, nil
}

// newServerSpec writes session and transport by name, and only where they were chosen.
func newServerSpec(s *gatehousev1.Server) *serverSpec {
	spec := &serverSpec{
		Description:    s.GetDescription(),
		Session:        nameOf(sessionNames(), int32(s.GetSession())),
		CallTimeout:    s.GetCallTimeout(),
		MaxCallTimeout: s.GetMaxCallTimeout(),
		Disabled:       s.GetDisabled(),
		Questions:      newQuestionsSpec(s.GetQuestions()),
	}
	if t := s.GetStdio(); t != nil {
		spec.Stdio = &stdioSpec{Command: t.GetCommand(), Args: t.GetArgs(), Env: t.GetEnv(), Cwd: t.GetCwd()}
	}
	if t := s.GetHttp(); t != nil {
		spec.HTTP = &httpSpec{
			URL:       t.GetUrl(),
			Headers:   t.GetHeaders(),
			Transport: nameOf(transportNames(), int32(t.GetTransport())),
		}
	}
	return spec
}

// nameOf is the name of an enum's value; the number itself for one of a newer release.
func nameOf(names []string, number int32) string {
	if number < 0 || int(number) >= len(names) {
		return fmt.Sprint(number)
	}
	return names[number]
}

// newPolicySpec keeps both sides apart.
func newPolicySpec(p *gatehousev1.Policy) *policySpec {
	return &policySpec{Allow: newAccessSpec(p.GetAllow()), Deny: newAccessSpec(p.GetDeny())}
}

// newAccessSpec keeps the kinds of rules apart.
func newAccessSpec(a *gatehousev1.Access) *accessSpec {
	if a == nil {
		return nil
	}
	return &accessSpec{
		Servers: a.GetServers(), Tools: newRules(a.GetTools()), Resources: newRules(a.GetResources()), Prompts: newRules(a.GetPrompts()),
	}
}

// newRules makes a map of rules; the keys are unique in an object that is valid.
func newRules(rules []*gatehousev1.ToolRule) map[string][]string {
	if len(rules) == 0 {
		return nil
	}
	out := make(map[string][]string, len(rules))
	for _, rule := range rules {
		out[rule.GetServer()] = append([]string{}, rule.GetTools()...) // empty, not null
	}
	return out
}

// newSettingsSpec keeps the difference between absent and false.
func newSettingsSpec(s *gatehousev1.Settings) *settingsSpec {
	return &settingsSpec{DenyOnMissingAgent: s.DenyOnMissingAgent, DefaultAgent: s.GetDefaultAgent()}
}

// newCredentialSpec writes the time in UTC, whatever zone it was given in.
func newCredentialSpec(c *gatehousev1.Credential) *credentialSpec {
	spec := &credentialSpec{Agents: c.GetAgents()}
	if c.GetApiKey() != nil {
		spec.APIKey = &apiKeySpec{SHA256: c.GetApiKey().GetSha256()}
	}
	if c.GetExpires() != nil {
		t := c.GetExpires().AsTime()
		spec.Expires = &t
	}
	return spec
}
