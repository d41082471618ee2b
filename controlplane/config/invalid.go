package config

import (
	"strconv"
	"strings"
)

// Violation is one thing that is wrong with a configuration.
type Violation struct {
	// Object is the reference, such as "servers/everything".
	Object string
	// Field is the path in the manifest, such as "spec.stdio.command".
	Field string
	// Message is for a person; it names neither the object nor the field.
	Message string
}

// String joins the three.
func (v Violation) String() string { return v.Object + ": " + v.Field + ": " + v.Message }

// InvalidError is everything that is wrong at once, so that an operator mends a file in one go.
type InvalidError struct {
	// Violations is never empty.
	Violations []Violation
}

// Error shows the first and counts the others.
func (e *InvalidError) Error() string {
	var b strings.Builder
	b.WriteString(e.Violations[0].String())
	if n := len(e.Violations) - 1; n > 0 {
		b.WriteString(" (and " + strconv.Itoa(n) + " more)")
	}
	return b.String()
}

// add appends a violation.
func (e *InvalidError) add(object, field, message string) {
	e.Violations = append(e.Violations, Violation{Object: object, Field: field, Message: message})
}

// orNil is e where it holds anything.
func (e *InvalidError) orNil() error {
	if len(e.Violations) == 0 {
		return nil
	}
	return e
}
