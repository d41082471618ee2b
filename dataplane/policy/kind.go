package policy

import gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

// Kind is what a rule is about. All kinds are decided in the same way; only the names differ.
type Kind uint8

// The kinds, in the order of manifests.
const (
	// Tools are named by their names.
	Tools Kind = iota
	// Resources are named by their URIs, templates of resources by the text of their uriTemplate.
	Resources
	// Prompts are named by their names.
	Prompts

	kindCount
)

// Kinds returns all kinds, in their order.
func Kinds() []Kind { return []Kind{Tools, Resources, Prompts} }

// String returns the key that rules of the kind have in manifests and in the paths of rules.
func (k Kind) String() string { return [kindCount]string{"tools", "resources", "prompts"}[k] }

// Noun returns what one thing of the kind is called in sentences.
func (k Kind) Noun() string { return [kindCount]string{"tool", "resource", "prompt"}[k] }

// Rules returns the rules of the kind on one side of a policy.
func (k Kind) Rules(a *gatehousev1.Access) []*gatehousev1.ToolRule {
	switch k {
	case Resources:
		return a.GetResources()
	case Prompts:
		return a.GetPrompts()
	}
	return a.GetTools()
}
