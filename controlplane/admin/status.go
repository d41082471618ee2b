package admin

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// requestError is a request that makes no sense by itself.
type requestError struct {
	field   string // of the request message
	message string
}

// Error names the field.
func (e *requestError) Error() string { return e.field + " " + e.message }

// conflictError is a base that is no longer the newest revision.
type conflictError struct {
	base, newest int64
}

// Error names both revisions.
func (e *conflictError) Error() string {
	return fmt.Sprintf("%s: base is %d, the newest revision is %d", store.ErrConflict, e.base, e.newest)
}

// Unwrap makes it store.ErrConflict.
func (e *conflictError) Unwrap() error { return store.ErrConflict }

// table gives each known error its code; the first match wins. What is not in it is INTERNAL. It is the only place where
// codes of errors are chosen, but for the four that carry details.
func table() []struct {
	err  error
	code codes.Code
} {
	return []struct {
		err  error
		code codes.Code
	}{
		{store.ErrConflict, codes.Aborted},
		{store.ErrNotFound, codes.NotFound},
		{store.ErrPruned, codes.OutOfRange},
		{store.ErrCorrupt, codes.DataLoss},
		{store.ErrFull, codes.ResourceExhausted},
		// Trying again later may help with these: a control plane that restarts ends all three.
		{store.ErrInUse, codes.Unavailable},
		{store.ErrInDoubt, codes.Unavailable},
		{store.ErrClosed, codes.Unavailable},
		{config.ErrExists, codes.AlreadyExists},
		{context.Canceled, codes.Canceled},
		{context.DeadlineExceeded, codes.DeadlineExceeded},
	}
}

// status makes err what the caller of an RPC sees. Operators may see all of the text: there is nothing in it that the
// store and the log would not show them. Only an error nobody expected is logged: the caller has all others.
func (s *Service) status(rpc string, err error) error {
	var (
		code     codes.Code
		details  []protoadapt.MessageV1
		invalid  *config.InvalidError
		request  *requestError
		notFound *config.NotFoundError
		conflict *conflictError
	)
	switch {
	case errors.As(err, &invalid):
		code, details = codes.InvalidArgument, violations(invalid)
	case errors.As(err, &request):
		code, details = codes.InvalidArgument, violation(request.field, request.message)
	case errors.As(err, &notFound):
		code = codes.NotFound
	case errors.As(err, &conflict):
		code, details = codes.Aborted, moved(conflict)
	default:
		code = known(err)
	}
	if code == codes.Internal || code == codes.DataLoss {
		s.log.Error("a request ended in an error", "rpc", rpc, "error", err)
	}
	return detailed(status.New(code, err.Error()), details)
}

// known looks err up in the table.
func known(err error) codes.Code {
	for _, row := range table() {
		if errors.Is(err, row.err) {
			return row.code
		}
	}
	return codes.Internal
}

// violations lists everything that is wrong with a configuration. A field is "OBJECT#PATH", with the path as in the
// manifest: "servers/everything#spec.stdio.command".
func violations(e *config.InvalidError) []protoadapt.MessageV1 {
	bad := &errdetails.BadRequest{}
	for _, v := range e.Violations {
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: v.Object + "#" + v.Field, Description: v.Message,
		})
	}
	return []protoadapt.MessageV1{bad}
}

// violation is one field of the request itself; it has no "#".
func violation(field, message string) []protoadapt.MessageV1 {
	return []protoadapt.MessageV1{&errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: message}},
	}}
}

// moved tells a program which revision is the newest.
func moved(e *conflictError) []protoadapt.MessageV1 {
	return []protoadapt.MessageV1{&errdetails.ErrorInfo{
		Reason: "BASE_MOVED", Domain: "gatehouse", Metadata: map[string]string{"newest": strconv.FormatInt(e.newest, 10)},
	}}
}

// detailed adds details to st. Details that do not encode are left out: the message says it all for a person.
func detailed(st *status.Status, details []protoadapt.MessageV1) error {
	if with, err := st.WithDetails(details...); err == nil {
		return with.Err()
	}
	return st.Err()
}

// selecting makes an error of config.Select one of the request, unless the object is missing.
func selecting(err error) error {
	if notFound := (*config.NotFoundError)(nil); errors.As(err, &notFound) {
		return err
	}
	return &requestError{field: "kind", message: err.Error()}
}
