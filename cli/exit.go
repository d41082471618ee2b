package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The exit codes of gwctl. Scripts rely on them: `gwctl help exit-codes` prints the same table.
const (
	exitOK          = 0
	exitError       = 1
	exitDifference  = 2
	exitAuth        = 3
	exitUnreachable = 4
	exitTool        = 5
	exitConflict    = 6
	exitValidation  = 7
	exitInterrupted = 130
)

// The words that name a failure in the JSON error line. Each has one exit code.
const (
	codeUsage           = "usage"
	codeUnauthenticated = "unauthenticated"
	codeUnreachable     = "unreachable"
	codeTool            = "tool"
	codeConflict        = "conflict"
	codeValidation      = "validation"
	codeInternal        = "internal"
)

// exitOf is the one place where a word becomes an exit code.
var exitOf = map[string]int{
	codeUsage:           exitError,
	codeInternal:        exitError,
	codeUnauthenticated: exitAuth,
	codeUnreachable:     exitUnreachable,
	codeTool:            exitTool,
	codeConflict:        exitConflict,
	codeValidation:      exitValidation,
}

// detail is one finding, with its place where it has one.
type detail struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

// String writes the finding as compilers do, so that editors can jump to it.
func (d detail) String() string {
	var b strings.Builder
	if d.File != "" {
		b.WriteString(d.File)
		if d.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", d.Line, d.Column)
		}
		b.WriteString(": ")
	}
	if d.Field != "" {
		b.WriteString(d.Field + ": ")
	}
	return b.String() + d.Message
}

// failure is an error with all that a report of it needs. A quiet one sets the exit code and prints nothing, for
// commands whose answer is the difference itself.
type failure struct {
	code    string
	exit    int
	err     error
	hint    string
	details []detail
	quiet   bool
}

// Error is the message without hint and details.
func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit %d", f.exit)
	}
	return f.err.Error()
}

// Unwrap gives the cause.
func (f *failure) Unwrap() error { return f.err }

// fail makes a failure of one of the words.
func fail(code string, err error, hint string) *failure {
	return &failure{code: code, exit: exitOf[code], err: err, hint: hint}
}

// usagef is a failure of whoever typed the command.
func usagef(format string, args ...any) error {
	return fail(codeUsage, fmt.Errorf(format, args...), "")
}

// exitWith ends the command with a code, after it has printed its answer.
func exitWith(exit int) error { return &failure{exit: exit, quiet: true} }

// failureOf classifies any error. Errors of the control plane carry a gRPC status, others stand for themselves.
func failureOf(ctx context.Context, err error) *failure {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case ctx.Err() != nil:
		return &failure{code: codeInternal, exit: exitInterrupted, err: errors.New("interrupted")}
	case errors.Is(err, context.DeadlineExceeded):
		return fail(codeUnreachable, err, "--timeout gives it longer")
	}
	if s, ok := status.FromError(err); ok {
		return failureOfStatus(s)
	}
	return fail(codeInternal, err, "")
}

// failureOfStatus turns a refusal of the control plane into a failure; the inverse of its own table.
func failureOfStatus(s *status.Status) *failure {
	err := errors.New(s.Message())
	switch s.Code() {
	case codes.InvalidArgument:
		f := fail(codeValidation, err, "")
		f.details = violations(s)
		return f
	case codes.Aborted, codes.AlreadyExists:
		return fail(codeConflict, err, "`gwctl history` shows what was committed meanwhile")
	case codes.Unauthenticated, codes.PermissionDenied:
		return fail(codeUnauthenticated, err, "")
	case codes.Unavailable, codes.DeadlineExceeded:
		return fail(codeUnreachable, err, "start one with `gwctl up` or gwcontrol, or name another with --control-plane")
	case codes.NotFound, codes.OutOfRange, codes.FailedPrecondition:
		return fail(codeUsage, err, "")
	default:
		return fail(codeInternal, err, "")
	}
}

// violations reads the fields that a refusal names: "servers/everything#spec.stdio.command".
func violations(s *status.Status) []detail {
	var out []detail
	for _, d := range s.Details() {
		bad, ok := d.(*errdetails.BadRequest)
		if !ok {
			continue
		}
		for _, v := range bad.GetFieldViolations() {
			out = append(out, detail{Field: v.GetField(), Message: v.GetDescription()})
		}
	}
	return out
}
