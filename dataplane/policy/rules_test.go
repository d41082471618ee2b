package policy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// rulesFile is a document in the rules format. Every level refuses fields that it does not know.
type rulesFile struct {
	Agents   map[string]rulesAgent `json:"agents"`
	Defaults struct {
		DenyOnMissingAgent *bool `json:"deny_on_missing_agent"`
	} `json:"defaults"`
}

type rulesAgent struct {
	Allow rulesAccess `json:"allow"`
	Deny  rulesAccess `json:"deny"`
}

type rulesAccess struct {
	Servers []string            `json:"servers"`
	Tools   map[string][]string `json:"tools"`
}

// decodeRules turns a document into objects, or says which field it does not know.
func decodeRules(document []byte, defaultAgent string) (*gatehousev1.Config, error) {
	var f rulesFile
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("decoding rules: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document")
	}
	c := &gatehousev1.Config{}
	for _, id := range slices.Sorted(maps.Keys(f.Agents)) {
		a := f.Agents[id]
		c.Objects = append(c.Objects, policyObject(id, &gatehousev1.Policy{Allow: access(a.Allow), Deny: access(a.Deny)}))
	}
	settings := &gatehousev1.Settings{DenyOnMissingAgent: f.Defaults.DenyOnMissingAgent, DefaultAgent: defaultAgent}
	return &gatehousev1.Config{Objects: append(c.Objects, settingsObject(settings))}, nil
}

// access turns one side over. The order of a JSON object's keys means nothing, so tests see them shuffled.
func access(a rulesAccess) *gatehousev1.Access {
	out := &gatehousev1.Access{Servers: a.Servers}
	for key, tools := range a.Tools {
		out.Tools = append(out.Tools, &gatehousev1.ToolRule{Server: key, Tools: tools})
	}
	return out
}

func policyObject(id string, p *gatehousev1.Policy) *gatehousev1.Object {
	return &gatehousev1.Object{Name: id, Spec: &gatehousev1.Object_Policy{Policy: p}}
}

func settingsObject(s *gatehousev1.Settings) *gatehousev1.Object {
	return &gatehousev1.Object{Name: "default", Spec: &gatehousev1.Object_Settings{Settings: s}}
}

// strict is a single policy named "a", as a document in the rules format.
func strict(agent string) []byte { return []byte(`{"agents":{"a":` + agent + `}}`) }
