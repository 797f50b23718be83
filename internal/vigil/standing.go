package vigil

import (
	"errors"
	"time"

	"github.com/authctx/authctx"
)

// Standing checks the end of the caller whom an authenticator has just named in res,
// whatever that has checked itself: it may not know the end that it set, or take long.
// With an error, it takes the caller out of res, which is a pointer to keep a copy off
// a stack that has to stay shallow.
func Standing(res *authctx.Result, now func() time.Time) error {
	if res.Principal.Expires().IsZero() || !res.Principal.ExpiredAt(now()) {
		return nil
	}
	*res = authctx.Result{Response: res.Response, Read: res.Read}
	return errAlreadyEnded
}

var errAlreadyEnded = &authctx.Error{Reason: authctx.TokenExpired, Cause: errors.New("the caller's effective end had come, by the server's clock")}
