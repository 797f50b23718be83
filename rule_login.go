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
	return acrRule{classes: append([]string{first}, rest...)}.naming(needs{})
}

type acrRule struct {
	classes []string
	refusal *Error
}

func (a acrRule) allows(class string) bool {
	return class != "" && slices.Contains(a.classes, class)
}

func (a acrRule) addTo(n needs) needs {
	if n.classes == nil {
		n.classes = a.classes
	}
	n.classes = slices.DeleteFunc(slices.Clone(n.classes), func(class string) bool { return !a.allows(class) })
	return n
}

func (a acrRule) naming(n needs) Rule {
	if n = a.addTo(n); len(n.classes) == 0 { // no class is enough for all rules
		n.classes = a.classes
	}
	a.refusal = n.refusal(InsufficientAuthentication, fmt.Errorf("one of the authentication contexts %.200q required", a.classes))
	return a
}

func (a acrRule) Check(_ context.Context, p Principal) error {
	switch {
	case p.IsZero():
		return NoCredentials
	case a.allows(p.ACR()):
		return nil
	}
	return a.refusal
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
	return ageRule{age: age, now: now}.naming(needs{})
}

type ageRule struct {
	age                    time.Duration
	now                    func() time.Time
	unknown, tooOld, ahead *Error
}

func (a ageRule) addTo(n needs) needs {
	if n.age == nil || a.age < *n.age {
		n.age = &a.age
	}
	return n
}

func (a ageRule) naming(n needs) Rule {
	n = a.addTo(n)
	refusal := func(cause string) *Error { return n.refusal(InsufficientAuthentication, errors.New(cause)) }
	a.unknown, a.ahead = refusal("the time of the login is not known"), refusal("the login lies in the future")
	a.tooOld = refusal("the login is too old")
	return a
}

func (a ageRule) Check(_ context.Context, p Principal) error {
	if p.IsZero() {
		return NoCredentials
	}
	login := p.AuthTime()
	if login.IsZero() {
		return a.unknown
	}
	switch ago := a.now().Sub(login); {
	case a.age <= 0 || ago >= a.age:
		return a.tooOld
	case ago < -loginAhead:
		return a.ahead
	}
	return nil
}
