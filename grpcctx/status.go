package grpcctx

import (
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/hints"
	"github.com/authctx/authctx/internal/uncarried"
)

// ErrorDomain is the domain of the ErrorInfo in statuses of this module.
const ErrorDomain = "authctx"

// Keys of the ErrorInfo's metadata.
const (
	keyScope     = "requiredScope" // separated by spaces
	keyACRValues = "acrValues"     // separated by spaces, in order of preference
	keyMaxAge    = "maxAge"        // seconds
)

// Status returns what a caller may learn of err, OK for nil. Its code is
// Unauthenticated for credentials that are absent, bad or too weak,
// PermissionDenied where a rule said no, and Unavailable where nobody could
// tell. It is Internal, without an ErrorInfo, when a proxy of package httpctx
// could not write the caller for its upstream, and ResourceExhausted when the
// header of a request is larger than that takes.
//
// The message is the reason's description. One google.rpc.ErrorInfo gives the
// public reason in upper case, such as TOKEN_EXPIRED, in the domain
// [ErrorDomain], and in its metadata what would have sufficed: requiredScope,
// acrValues, maxAge. Nothing else of err is in it.
func Status(err error) *status.Status {
	if err == nil {
		return status.New(codes.OK, "")
	}
	if e, ok := errors.AsType[*uncarried.Error](err); ok {
		if e.TooLarge {
			return status.New(codes.ResourceExhausted, e.Detail())
		}
		return status.New(codes.Internal, e.Detail())
	}
	reason := authctx.ReasonOf(err).Public()
	info := &errdetails.ErrorInfo{Reason: strings.ToUpper(reason.String()), Domain: ErrorDomain, Metadata: hintMetadata(err)}
	st := status.New(code(reason), reason.Description())
	if detailed, err := st.WithDetails(info); err == nil {
		return detailed
	}
	return st // not reached: the code is not OK, and all text is ASCII
}

func code(r authctx.Reason) codes.Code {
	switch r {
	case authctx.InsufficientScope, authctx.PermissionDenied:
		return codes.PermissionDenied
	case authctx.Unavailable:
		return codes.Unavailable
	}
	return codes.Unauthenticated
}

// hintMetadata returns what tells a client how to do better.
func hintMetadata(err error) map[string]string {
	h := hints.Of(err)
	m := map[string]string{keyScope: h.Scopes, keyACRValues: h.ACRValues, keyMaxAge: h.MaxAge}
	maps.DeleteFunc(m, func(_, value string) bool { return value == "" })
	return m
}

// FromError reads a refusal back from the error of an RPC, so that a client can
// tell why it was refused. It reports false for every other error.
//
// It is the server's word: fit for deciding what to try next, such as a fresh
// token after [authctx.TokenExpired]. The cause is err.
func FromError(err error) (*authctx.Error, bool) {
	st, ok := status.FromError(err)
	if !ok || st.Code() == codes.OK {
		return nil, false
	}
	for _, detail := range st.Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.GetDomain() != ErrorDomain {
			continue
		}
		for _, reason := range authctx.Reasons() {
			if reason.Public() == reason && strings.ToUpper(reason.String()) == info.GetReason() && code(reason) == st.Code() {
				return withHints(&authctx.Error{Reason: reason, Cause: err}, info.GetMetadata()), true
			}
		}
	}
	return nil, false
}

func withHints(e *authctx.Error, m map[string]string) *authctx.Error {
	e.Scopes = strings.Fields(m[keyScope])
	e.ACRValues = strings.Fields(m[keyACRValues])
	if s, err := strconv.ParseUint(m[keyMaxAge], 10, 31); err == nil {
		age := time.Duration(s) * time.Second
		e.MaxAge = &age
	}
	return e
}

// refusal is what an interceptor returns: a status for the peer, and the cause
// for the interceptors around this one, by [errors.Is] and [errors.As].
type refusal struct {
	cause  error
	status *status.Status
}

// refuse makes err the refusal of a call.
func refuse(err error) error { return &refusal{err, Status(err)} }

// Error is no more than the peer may read: grpc sends the whole text of an error
// that wraps one with a status.
func (r *refusal) Error() string { return r.status.String() }

// GRPCStatus is what grpc sends.
func (r *refusal) GRPCStatus() *status.Status { return r.status }

func (r *refusal) Unwrap() error { return r.cause }

// translation returns what the peer may learn of a handler's refusal, such as one
// of [authctx.Authorize], or of a call that was not sent. It is nil for statuses and
// other errors, which are sent as they are. It looks through what err wraps, from the
// outside in, and stops at the first status or refusal: what that wraps is for
// operators, and may have a status of its own, of another service that a rule asked.
//
// An error that has a status beside a refusal is refused, since grpc would send
// the text of both.
func translation(err error) *status.Status {
	switch e := err.(type) {
	case *unsent:
		return e.status
	case interface{ GRPCStatus() *status.Status }:
		if e.GRPCStatus() != nil {
			return nil
		}
	case *authctx.Error, authctx.Reason:
		return Status(err)
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return translation(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if st := translation(inner); st != nil {
				return st
			}
		}
	}
	return nil
}
