package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
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

// failure is an error with all that a report of it needs. A quiet one sets the exit code and prints nothing, for
// commands whose answer is the difference itself.
type failure struct {
	code    string
	exit    int
	err     error
	hint    string
	details manifest.Problems
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
	case ctx.Err() != nil: // before the statuses: a call that was interrupted fails with one, too
		return &failure{code: codeInternal, exit: exitInterrupted, err: errors.New("interrupted")}
	case errors.Is(err, context.DeadlineExceeded):
		return fail(codeUnreachable, err, "--timeout gives it longer")
	}
	if problems, ok := errors.AsType[manifest.Problems](err); ok {
		return &failure{code: codeValidation, exit: exitValidation, err: errors.New(found(len(problems))), details: problems}
	}
	if s, ok := status.FromError(err); ok {
		return failureOfStatus(s, errors.New(plain(err)))
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return fail(codeUsage, err, "")
	}
	return fail(codeInternal, err, "")
}

// found counts problems.
func found(n int) string {
	if n == 1 {
		return "1 problem found"
	}
	return fmt.Sprintf("%d problems found", n)
}

// plain is an error's text without the dressing that gRPC gives to the status inside.
func plain(err error) string {
	var inner interface {
		error
		GRPCStatus() *status.Status
	}
	if !errors.As(err, &inner) {
		return err.Error()
	}
	return strings.Replace(err.Error(), inner.Error(), inner.GRPCStatus().Message(), 1)
}

// failureOfStatus turns a refusal of the control plane into a failure; the inverse of its own table.
func failureOfStatus(s *status.Status, err error) *failure {
	switch s.Code() {
	case codes.InvalidArgument:
		f := fail(codeValidation, err, "")
		f.details = violations(s)
		if ofRequest(f.details) {
			return fail(codeUsage, err, "")
		}
		return f
	case codes.AlreadyExists:
		return fail(codeConflict, err, "choose another name, or delete that one first")
	case codes.Aborted:
		return fail(codeConflict, err, "`gwctl history` shows what was committed meanwhile")
	case codes.Unauthenticated, codes.PermissionDenied:
		return fail(codeUnauthenticated, err, "")
	case codes.Unavailable, codes.DeadlineExceeded:
		return fail(codeUnreachable, fmt.Errorf("reaching the control plane: %s", dialling(err)), "start one with `gwctl up` or gwcontrol, or name another with --control-plane")
	case codes.NotFound, codes.OutOfRange, codes.FailedPrecondition: // what was asked for is not there to be had
		return fail(codeUsage, err, "")
	default:
		return fail(codeInternal, err, "")
	}
}

// dialling is what the operating system said about a connection, without the layers that gRPC puts around it.
func dialling(err error) string {
	_, cause, ok := strings.Cut(err.Error(), "dial tcp ")
	if !ok {
		return err.Error()
	}
	return strings.TrimSuffix(cause, `"`)
}

// ofRequest says that it is the command that was wrong, such as a --limit, and no file: fields of objects have a "#".
func ofRequest(details manifest.Problems) bool {
	return len(details) > 0 && !slices.ContainsFunc(details, func(p manifest.Problem) bool { return strings.Contains(p.Field, "#") })
}

// violations reads the fields that a refusal names: "servers/everything#spec.stdio.command".
func violations(s *status.Status) manifest.Problems {
	var out manifest.Problems
	for _, d := range s.Details() {
		bad, ok := d.(*errdetails.BadRequest)
		if !ok {
			continue
		}
		for _, v := range bad.GetFieldViolations() {
			out = append(out, manifest.Problem{Field: v.GetField(), Message: v.GetDescription()})
		}
	}
	return out
}
