package authctx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ACR returns a rule that allows callers whose login has one of these
// authentication context classes. Others get [InsufficientAuthentication], which
// tells the client to log in again and names the classes in order of preference
// (RFC 9470 section 3), except those with a character that challenges cannot
// carry, such as a space. The empty class matches no caller.
func ACR(first string, rest ...string) Rule {
	classes := append([]string{first}, rest...)
	refusal := &Error{
		Reason:    InsufficientAuthentication,
		Cause:     fmt.Errorf("one of the authentication contexts %.200q required", classes),
		ACRValues: slices.Clone(classes), // a copy: whoever gets the error may change it
	}
	return RuleFunc(func(_ context.Context, p Principal) error {
		if acr := p.ACR(); acr != "" && slices.Contains(classes, acr) {
			return nil
		}
		return refusal
	})
}

// loginAhead is how far ahead the clock of whoever saw the login may be. No verifier of
// tokens can be given more leeway.
const loginAhead = 5 * time.Minute

// MaxAuthAge returns a rule that allows callers who logged in less than age ago.
// Others get [InsufficientAuthentication] with the age in whole seconds (RFC 9470
// section 3), and so do callers whose login is not known or lies more than five minutes
// in the future. A zero or negative age allows nobody. A nil clock means [time.Now].
func MaxAuthAge(age time.Duration, now func() time.Time) Rule {
	if now == nil {
		now = time.Now
	}
	told := age // a copy: whoever gets the error may change it
	refusal := func(cause string) error {
		return &Error{Reason: InsufficientAuthentication, Cause: errors.New(cause), MaxAge: &told}
	}
	unknown, ahead := refusal("the time of the login is not known"), refusal("the login lies in the future")
	tooOld := refusal("the login is too old")
	return RuleFunc(func(_ context.Context, p Principal) error {
		login := p.AuthTime()
		if login.IsZero() {
			return unknown
		}
		switch ago := now().Sub(login); {
		case age <= 0 || ago >= age:
			return tooOld
		case ago < -loginAhead:
			return ahead
		}
		return nil
	})
}
