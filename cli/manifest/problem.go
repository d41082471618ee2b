package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with one place of the input. It is an error on its own.
type Problem struct { //nolint:errname // one of Problems; an XxxError would say it twice
	// File is the path as given, or "-" for standard input.
	File string `json:"file"`
	// Line counts from 1; 0 where the problem is about the file as a whole.
	Line int `json:"line"`
	// Column counts characters from 1; 0 where Line is.
	Column int `json:"column"`
	// Field is the path of the field in the file's own notation, such as "spec.stdio.command"; it may be empty.
	Field string `json:"field"`
	// Message says what is wrong and what would be right.
	Message string `json:"message"`
}

// Error is the whole problem on one line, as compilers write it.
func (p Problem) Error() string {
	parts := make([]string, 0, 3)
	for _, part := range []string{p.place(), p.Field, p.Message} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// place is file:line:column, as far as they are known. Editors and terminals make links of this form.
func (p Problem) place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problems are all that is wrong with some input, in the order of the files. It is an error of one line for each problem.
type Problems []Problem //nolint:errname // as above

// Error is one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// sort orders the problems of one file by place. It is stable, so that two problems of one place keep the order in which
// they were found.
func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// err is ps as an error, nil where there is no problem: an empty Problems in an error would not be nil.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
