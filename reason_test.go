package authctx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/authctx/authctx"
)

func TestEveryReasonHasALabelATextAndASentence(t *testing.T) {
	label, seen := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`), map[string]bool{}
	reasons := authctx.Reasons()
	if len(reasons) != 17 {
		t.Errorf("%d reasons; a new one needs an answer in every transport", len(reasons))
	}
	for _, r := range reasons {
		if !label.MatchString(r.String()) || seen[r.String()] || seen[r.Error()] {
			t.Errorf("reason %d: label %q or text %q is malformed or taken", r, r.String(), r.Error())
		}
		seen[r.String()], seen[r.Error()] = true, true
		if r.Description() == "" {
			t.Errorf("%v has no sentence for the caller", r)
		}
		if r.Public() != r.Public().Public() {
			t.Errorf("%v: Public is not stable", r)
		}
	}
	if label := (authctx.Event{Outcome: authctx.Allowed}).Reason.String(); label != "" {
		t.Errorf("an allowed call has the reason %q", label)
	}
}

func TestWaysATokenCanBeWrongAreOneToTheCaller(t *testing.T) {
	for _, r := range []authctx.Reason{authctx.BadSignature, authctx.UnknownKey, authctx.WrongIssuer,
		authctx.WrongAudience, authctx.WrongType, authctx.TokenNotYetValid} {
		if r.Public() != authctx.InvalidToken || r.Description() != authctx.InvalidToken.Description() {
			t.Errorf("%v tells the caller more than that the token is invalid", r)
		}
	}
	for _, r := range authctx.Reasons() {
		blames := r >= authctx.InvalidToken && r <= authctx.WrongType
		if errors.Is(r, authctx.InvalidToken) != blames {
			t.Errorf("%v matches InvalidToken: %v", r, !blames)
		}
	}
}

func TestCategoryAndCauseBothMatch(t *testing.T) {
	err := fmt.Errorf("outer: %w", &authctx.Error{Reason: authctx.TokenExpired, Cause: fmt.Errorf("inner: %w", io.EOF)})
	for _, target := range []error{authctx.TokenExpired, authctx.InvalidToken, io.EOF} {
		if !errors.Is(err, target) {
			t.Errorf("%v does not match %v", err, target)
		}
	}
	if errors.Is(err, authctx.Unavailable) {
		t.Error("an expired token counts as unavailable")
	}
	if r, ok := errors.AsType[authctx.Reason](err); !ok || r != authctx.TokenExpired {
		t.Errorf("As found %v", r)
	}
}

// A nil pointer that is returned as an error is not nil.
func TestANilErrorPointerIsUnavailable(t *testing.T) {
	var err error = (*authctx.Error)(nil)
	if !errors.Is(err, authctx.Unavailable) || errors.Is(err, authctx.InvalidToken) || errors.Is(err, io.EOF) {
		t.Errorf("%v matches something else", err)
	}
	if r, ok := errors.AsType[authctx.Reason](err); !ok || r != authctx.Unavailable {
		t.Errorf("As found %v", r)
	}
}

// golang-jwt joined its errors, so that a caller who asked only for expiry
// missed a bad signature.
func TestCVE_2024_51744_AForgedTokenIsNeverMerelyExpired(t *testing.T) {
	err := error(&authctx.Error{Reason: authctx.BadSignature, Cause: &authctx.Error{Reason: authctx.TokenExpired}})
	if errors.Is(err, authctx.TokenExpired) || authctx.ReasonOf(err) != authctx.BadSignature {
		t.Errorf("%v counts as expired", err)
	}
	var inner *authctx.Error
	if errors.As(errors.Unwrap(err), &inner) {
		t.Error("the cause's refusal can be unwrapped")
	}
}

func TestReasonOf(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want authctx.Reason
	}{
		{"nil has none", nil, 0},
		{"a reason is its own", authctx.InvalidProof, authctx.InvalidProof},
		{"a wrapped reason", fmt.Errorf("x: %w", authctx.InsufficientScope), authctx.InsufficientScope},
		{"an Error", &authctx.Error{Reason: authctx.PermissionDenied}, authctx.PermissionDenied},
		{"an Error that forgot its reason", &authctx.Error{}, authctx.Unavailable},
		{"an Error with a reason out of range", &authctx.Error{Reason: 200}, authctx.Unavailable},
		{"an error without a reason could not check", io.EOF, authctx.Unavailable},
		{"of several, that nobody could tell", errors.Join(authctx.NoCredentials, authctx.InvalidToken, authctx.Unavailable), authctx.Unavailable},
		{"whichever comes first", fmt.Errorf("%w, %w", &authctx.Error{Reason: authctx.Unavailable}, &authctx.Error{Reason: authctx.InvalidToken}), authctx.Unavailable},
		{"of several, that there are no credentials comes last", errors.Join(authctx.NoCredentials, &authctx.Error{Reason: authctx.TokenExpired}), authctx.TokenExpired},
		{"even a nil Error comes before it", errors.Join(authctx.NoCredentials, (*authctx.Error)(nil)), authctx.Unavailable},
		{"and otherwise the first", errors.Join(authctx.NoCredentials, authctx.InsufficientScope, authctx.PermissionDenied), authctx.InsufficientScope},
		{"an error that is it by its own Is comes before no credentials, too", errors.Join(authctx.NoCredentials, matches{io.EOF, authctx.Unavailable}), authctx.Unavailable},
		{"a reason that is found by an error's own As", errors.Join(authctx.NoCredentials, finds(authctx.TokenRevoked)), authctx.TokenRevoked},
		{"an error that embeds one has its reason and not that of its cause", embeds{&authctx.Error{Reason: authctx.TokenExpired, Cause: &authctx.Error{Reason: authctx.Unavailable}}}, authctx.TokenExpired},
		{"an error that is found by its own As", fmt.Errorf("x: %w", converts{}), authctx.PermissionDenied},
	} {
		if got := authctx.ReasonOf(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// converts is an error of a program's own that says what it means here.
type converts struct{ error }

func (converts) As(target any) bool {
	e, ok := target.(**authctx.Error)
	if ok {
		*e = &authctx.Error{Reason: authctx.PermissionDenied}
	}
	return ok
}

// embeds is an error of a program's own that adds to one of ours.
type embeds struct{ *refused }

type refused = authctx.Error

// finds is an error of a program's own that says its reason and no more.
type finds authctx.Reason

func (finds) Error() string { return "the directory did not answer" }

func (f finds) As(target any) bool {
	r, ok := target.(*authctx.Reason)
	if ok {
		*r = authctx.Reason(f)
	}
	return ok
}

// matches is an error of a program's own that says of a reason that it is it.
type matches struct {
	error
	reason authctx.Reason
}

func (m matches) Is(target error) bool { return target == m.reason }

func (m matches) Unwrap() error { return m.error }

// The client is told when to come back and what would have sufficed.
func TestOfSeveralReasonsTheOneThatCountsKeepsWhatCameWithIt(t *testing.T) {
	down := &authctx.Error{Reason: authctx.Unavailable, RetryAfter: time.Minute}
	scope := &authctx.Error{Reason: authctx.InsufficientScope, Scopes: []string{"orders.write"}}
	role := &authctx.Error{Reason: authctx.PermissionDenied}
	for _, err := range []error{
		errors.Join(role, down), errors.Join(down, role), fmt.Errorf("%w; %w", authctx.InsufficientScope, fmt.Errorf("x: %w", down)),
		matches{down, authctx.PermissionDenied}, errors.Join(down, authctx.Unavailable), errors.Join(authctx.NoCredentials, scope),
		errors.Join(role, authctx.Unavailable, down), errors.Join(authctx.NoCredentials, authctx.InsufficientScope, scope),
	} {
		want := *down
		if errors.Is(err, scope) {
			want = *scope
		}
		for where, got := range map[string]error{
			"a rule":           authctx.Authorize(authctx.NewContext(t.Context(), alice(t)), authctx.RuleFunc(func(context.Context, authctx.Principal) error { return err })),
			"an authenticator": authenticates(t, err),
		} {
			e, _ := errors.AsType[*authctx.Error](got)
			if e == nil || e.Reason != want.Reason || e.RetryAfter != want.RetryAfter || !slices.Equal(e.Scopes, want.Scopes) {
				t.Errorf("%s, %q: %+v", where, err, e)
			}
			for _, other := range authctx.Reasons() {
				if errors.Is(got, other) != (other == want.Reason) {
					t.Errorf("%s, %q: matches %v: %v", where, err, other, other != want.Reason)
				}
			}
		}
	}
}

func authenticates(t *testing.T, says error) error {
	a := authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) { return authctx.Result{}, says })
	_, err := authctx.Authenticate(t.Context(), a, request(nil))
	return err
}
