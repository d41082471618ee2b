package manifest

import gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

// questionsSpec is what becomes of a legacy server's questions.
type questionsSpec struct {
	Tier            string     `json:"tier,omitempty"`
	Roots           []rootSpec `json:"roots,omitempty"`
	Elicitation     string     `json:"elicitation,omitempty"`
	IdempotentTools []string   `json:"idempotentTools,omitempty"`
	ParkTimeout     string     `json:"parkTimeout,omitempty"`
	Keys            []keySpec  `json:"keys,omitempty"`
}

// keySpec names the questions that fit.
type keySpec struct {
	Key     string `json:"key"`
	Method  string `json:"method,omitempty"`
	Message string `json:"message,omitempty"`
}

// rootSpec is one entry of what roots/list is answered with.
type rootSpec struct {
	URI  string `json:"uri"`
	Name string `json:"name,omitempty"`
}

// tierNames are the names of the enum's values, by number.
func tierNames() []string { return []string{"", "refuse", "answer", "replay", "park"} }

// readQuestions reads what becomes of questions. Which fields go with which tier is for the validation to say.
func readQuestions(c cursor) *gatehousev1.Questions {
	q := &gatehousev1.Questions{}
	c.read(fields{
		"tier":            func(c cursor) { q.Tier = gatehousev1.QuestionTier(indexOf(tierNames(), choose(c, tierNames()[1:]))) },
		"roots":           func(c cursor) { q.Roots = readRoots(c) },
		"elicitation":     func(c cursor) { q.Elicitation = choose(c, []string{"decline", "cancel"}) },
		"idempotentTools": func(c cursor) { q.IdempotentTools = c.texts() },
		"parkTimeout":     func(c cursor) { q.ParkTimeout = c.text() },
		"keys":            func(c cursor) { q.Keys = readKeys(c) },
	})
	return q
}

// readRoots reads the roots, in their order.
func readRoots(c cursor) []*gatehousev1.Root {
	var roots []*gatehousev1.Root
	for _, e := range c.list() {
		r := &gatehousev1.Root{}
		e.read(fields{
			"uri":  func(c cursor) { r.Uri = c.text() },
			"name": func(c cursor) { r.Name = c.text() },
		})
		if e.node.form == formMap {
			e.require("uri")
		}
		roots = append(roots, r)
	}
	return roots
}

// readKeys reads the names of questions, in their order.
func readKeys(c cursor) []*gatehousev1.QuestionKey {
	var keys []*gatehousev1.QuestionKey
	for _, e := range c.list() {
		k := &gatehousev1.QuestionKey{}
		e.read(fields{
			"key":     func(c cursor) { k.Key = c.text() },
			"method":  func(c cursor) { k.Method = c.text() },
			"message": func(c cursor) { k.Message = c.text() },
		})
		if e.node.form == formMap {
			e.require("key")
		}
		keys = append(keys, k)
	}
	return keys
}

// newQuestionsSpec writes the tier by its name; nil stays absent.
func newQuestionsSpec(q *gatehousev1.Questions) *questionsSpec {
	if q == nil {
		return nil
	}
	spec := &questionsSpec{
		Tier: nameOf(tierNames(), int32(q.GetTier())), Elicitation: q.GetElicitation(),
		IdempotentTools: q.GetIdempotentTools(), ParkTimeout: q.GetParkTimeout(),
	}
	for _, r := range q.GetRoots() {
		spec.Roots = append(spec.Roots, rootSpec{URI: r.GetUri(), Name: r.GetName()})
	}
	for _, k := range q.GetKeys() {
		spec.Keys = append(spec.Keys, keySpec{k.GetKey(), k.GetMethod(), k.GetMessage()})
	}
	return spec
}
