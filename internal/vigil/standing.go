package vigil

import (
	"errors"
	"time"

	"github.com/authctx/authctx"
)

// Standing returns why the caller of res, whom an authenticator has just named,
// does not stand any more, and then takes the caller out of res. What the
// authenticator looked at does not matter: not all of them know the end that they
// set, and it may have come while they looked. The pointer keeps a copy of res
// off a stack that has to stay shallow.
func Standing(res *authctx.Result, now func() time.Time) error {
	if res.Principal.Expires().IsZero() || !res.Principal.ExpiredAt(now()) {
		return nil
	}
	*res = authctx.Result{Response: res.Response, Read: res.Read}
	return errAlreadyEnded
}

var errAlreadyEnded = &authctx.Error{Reason: authctx.TokenExpired, Cause: errors.New("the caller's effective end had come, by the server's clock")}
