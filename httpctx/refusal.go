package httpctx

import (
	"context"
	"errors"

	"github.com/authctx/authctx"
)

// refusal is why a request was not sent, or the cause of a context that was
// cancelled because its caller came to an end.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// refusalOf returns the refusal for which ctx was cancelled, if it was for one.
func refusalOf(ctx context.Context) (*refusal, bool) {
	return errors.AsType[*refusal](context.Cause(ctx))
}

// hasReason reports whether err says why in the closed set of reasons.
func hasReason(err error) bool {
	_, ok := errors.AsType[authctx.Reason](err) // an Error tells its own
	return ok
}
