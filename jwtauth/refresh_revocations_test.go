package jwtauth_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// An access token that a refresh gives was issued after the revocation, which
// verifiers therefore cannot apply to it.
func TestRule5_ARevokedCallerIsNotRefreshed(t *testing.T) {
	clock := newTestClock()
	for name, test := range map[string]struct {
		revoke func(*jwtauth.MemoryRevocations, authctx.Principal, time.Time) error
		ends   bool
	}{
		"the subject": {func(l *jwtauth.MemoryRevocations, p authctx.Principal, until time.Time) error {
			return l.RevokeSubject(p.Issuer(), p.Subject(), clock.Now(), until)
		}, true},
		"the session": {func(l *jwtauth.MemoryRevocations, p authctx.Principal, until time.Time) error {
			return l.RevokeSession(p.Issuer(), p.SessionID(), until)
		}, true},
		"the token that the login began with": {func(l *jwtauth.MemoryRevocations, p authctx.Principal, until time.Time) error {
			return l.RevokeToken(p.Issuer(), p.TokenID(), until)
		}, false},
		"another subject": {func(l *jwtauth.MemoryRevocations, p authctx.Principal, until time.Time) error {
			return l.RevokeSubject(p.Issuer(), "bob", clock.Now(), until)
		}, false},
	} {
		list := &jwtauth.MemoryRevocations{Now: clock.Now}
		r := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{
			Store: &jwtauth.MemoryRefreshStore{Now: clock.Now}, Lifetime: 24 * time.Hour, Revocations: list, Now: clock.Now,
		}))
		alice := jwtauthtest.User(t, func(a *authctx.Attributes) {
			a.SessionID, a.TokenID, a.IssuedAt, a.Expires = "s1", "t1", clock.Now(), time.Time{}
		})
		_, token, err := r.Use(t.Context(), "web", must(r.Issue(t.Context(), alice)))
		if err != nil {
			t.Fatal(name, err)
		}
		clock.Advance(time.Minute)
		must(0, test.revoke(list, alice, clock.Now().Add(24*time.Hour)))
		_, _, err = r.Use(t.Context(), "web", token)
		if !test.ends {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, authctx.TokenRevoked) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := r.Use(t.Context(), "web", token); !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("%s: the login goes on: %v", name, err)
		}
	}
}

func TestRule8_RevocationsThatCannotTellUseUpNoRefreshToken(t *testing.T) {
	down := errors.New("database down")
	failure := down
	store := &database{}
	r := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{
		Store: store, Lifetime: time.Hour, Revocations: revocationsFunc(func() (bool, error) { return false, failure }),
	}))
	token := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	for range 2 {
		if _, _, err := r.Use(t.Context(), "web", token); !errors.Is(err, authctx.Unavailable) || !errors.Is(err, down) {
			t.Error(err)
		}
	}
	failure = nil
	if _, _, err := r.Use(t.Context(), "web", token); err != nil {
		t.Errorf("the token is not good any more: %v", err)
	}
}

// A thief whose copy came too late must be noticed even then: it need not try again.
func TestRFC9700_4_14_2_ATokenUsedTwiceEndsTheLoginWhileRevocationsCannotTell(t *testing.T) {
	var failure error
	hangUp := func() {}
	store := &database{}
	r := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{
		Store: store, Lifetime: time.Hour, Revocations: revocationsFunc(func() (bool, error) { hangUp(); return false, failure }),
	}))
	first := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	second := used(t, r, first)
	failure = errors.New("database down")
	store.onDelete = func(context.Context) error { return errConnection }
	if _, _, err := r.Use(t.Context(), "web", first); !errors.Is(err, authctx.Unavailable) || !errors.Is(err, errConnection) {
		t.Errorf("while the login cannot be ended: %v", err)
	}
	store.onDelete = nil
	ctx, cancel := context.WithCancel(t.Context())
	hangUp = cancel // which must not save it
	if _, _, err := r.Use(ctx, "web", first); !errors.Is(err, authctx.TokenRevoked) {
		t.Errorf("the copy: %v", err)
	}
	failure = nil
	if _, _, err := r.Use(t.Context(), "web", second); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("the login goes on: %v", err)
	}
}

// The client tries again then, and the login ends.
func TestARevokedLoginThatTheStoreCannotEndIsNamed(t *testing.T) {
	store := &database{}
	r := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{
		Store: store, Lifetime: time.Hour, Revocations: revocationsFunc(func() (bool, error) { return true, nil }),
	}))
	token := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	store.onDelete = func(context.Context) error { return errConnection }
	if _, _, err := r.Use(t.Context(), "web", token); !errors.Is(err, authctx.Unavailable) || !errors.Is(err, errConnection) {
		t.Error(err)
	}
	store.onDelete = nil
	if _, _, err := r.Use(t.Context(), "web", token); !errors.Is(err, authctx.TokenRevoked) {
		t.Error(err)
	}
}
