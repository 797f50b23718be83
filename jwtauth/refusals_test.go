package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// failing returns, for each kind of source, a try of good credentials while that
// source fails with err.
func failing(t *testing.T, err error) map[string]func() error {
	s := signerFor(t, jwtauth.EdDSA)
	token := s.token(t, goodClaims(nil))
	bearer := func(v jwtauth.TokenVerifier) func() error {
		return func() error {
			_, err := newBearer(t, v, nil).Authenticate(t.Context(), fields("authorization", "Bearer "+token))
			return err
		}
	}
	custom := verifierFunc(func(string) (jwtauth.VerifiedToken, error) { return jwtauth.VerifiedToken{}, err })
	cfg := introspectionConfig("http://127.0.0.1:1", newClock())
	cfg.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, err })
	dpop := func(v jwtauth.TokenVerifier, store jwtauth.ReplayStore) func() error {
		c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Replays = store })
		if v != nil {
			c.dpop = newDPoP(t, v, func(*jwtauth.DPoPConfig) {})
		}
		return func() error {
			_, err := c.dpop.Authenticate(t.Context(), c.request(c.proof().Sign()))
			return err
		}
	}
	return map[string]func() error{
		"keys": bearer(newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
			c.Keys = keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) { return nil, err })
		})),
		"revocations": bearer(newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
			c.Revocations = revocationsFunc(func() (bool, error) { return false, err })
		})),
		"resolver": bearer(must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve:    func(context.Context, string) (*jwtauth.Verifier, error) { return nil, err },
			Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
		}))),
		"introspection":   bearer(newIntrospector(t, cfg)),
		"token verifier":  bearer(custom),
		"DPoP's verifier": dpop(custom, nil),
		"replay store":    dpop(nil, failingStore{err}),
	}
}

func TestRule8_WhatASourceFailsWithNeverMakesACallerAnonymous(t *testing.T) {
	refused := &authctx.Error{Reason: authctx.NoCredentials, RetryAfter: 7 * time.Second, Cause: errors.New("no caller in the context")}
	for how, err := range map[string]error{
		"as it is": refused, "a reason": authctx.NoCredentials,
		"wrapped": fmt.Errorf("asking: %w", refused), "beside another": errors.Join(errors.New("a"), authctx.NoCredentials),
		"behind the right one": errors.Join(authctx.Unavailable, authctx.NoCredentials),
	} {
		for name, try := range failing(t, err) {
			got := try()
			if !errors.Is(got, authctx.Unavailable) || errors.Is(got, authctx.NoCredentials) {
				t.Errorf("%s, %s: %v", name, how, got)
			}
			e, _ := errors.AsType[*authctx.Error](got)
			if errors.Is(err, refused) && e.RetryAfter != refused.RetryAfter {
				t.Errorf("%s, %s: RetryAfter is %v", name, how, e.RetryAfter)
			}
		}
	}
}

func TestASourceKeepsOnlyTheReasonsThatAreItsOwn(t *testing.T) {
	own := map[string][]authctx.Reason{
		"keys": {authctx.UnknownKey}, "resolver": {authctx.WrongIssuer},
		"revocations": nil, "replay store": nil, "introspection": nil,
	}
	for _, reason := range authctx.Reasons() {
		for name, try := range failing(t, fmt.Errorf("source: %w", reason)) {
			allowed, known := own[name]
			if !known {
				continue // a verifier of tokens may blame the token
			}
			want := authctx.Unavailable
			if slices.Contains(allowed, reason) {
				want = reason
			}
			if got := authctx.ReasonOf(try()); got != want {
				t.Errorf("%s that says %q: %q", name, reason.Error(), got.Error())
			}
		}
	}
}

// An operator sees from a refusal which setting or clock is wrong. The client
// learns the reason alone.
func TestRefusalsSayWhatWasExpectedAndHowFarATimeIsOff(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	at := testNow.Unix()
	for name, test := range map[string]struct {
		change func(*jwtauth.VerifierConfig)
		header string
		claims map[string]any
		reason authctx.Reason
		want   string
	}{
		"alg": {
			func(c *jwtauth.VerifierConfig) { c.Algorithms = []jwtauth.Algorithm{jwtauth.RS256, jwtauth.ES256} },
			"", nil, authctx.InvalidToken, "alg is none of [RS256 ES256]",
		},
		"typ": {nil, `"typ":"acme+jwt",`, nil, authctx.WrongType, "typ is none of the types taken here: access tokens"},
		"typ of RFC 9068": {
			func(c *jwtauth.VerifierConfig) { c.Types = jwtauth.RFC9068Types() },
			"", nil, authctx.WrongType, "typ is none of the types taken here: RFC 9068 access tokens",
		},
		"typ by name": {
			func(c *jwtauth.VerifierConfig) { c.Types = jwtauth.NamedTypes("a+jwt", "b+jwt") },
			"", nil, authctx.WrongType, "typ is none of the types taken here: a+jwt, b+jwt",
		},
		"exp": {nil, "", map[string]any{"exp": at - 75}, authctx.TokenExpired, "exp was 1m15s ago, leeway 30s"},
		"iat": {nil, "", map[string]any{"iat": at + 40}, authctx.TokenNotYetValid, "iat is 40s ahead of this clock, leeway 30s"},
		"nbf": {
			func(c *jwtauth.VerifierConfig) { c.Leeway = jwtauth.NoLeeway },
			"", map[string]any{"nbf": at + 5}, authctx.TokenNotYetValid, "nbf is 5s ahead of this clock, leeway 0s",
		},
		"the farthest past":   {nil, "", map[string]any{"exp": 1}, authctx.TokenExpired, "ago, leeway 30s"},
		"the farthest future": {nil, "", map[string]any{"nbf": int64(253402300799)}, authctx.TokenNotYetValid, "ahead of this clock, leeway 30s"},
	} {
		v := newVerifier(t, s, test.change)
		token := s.compact(t, `{"alg":"EdDSA",`+test.header+`"kid":"k1"}`, asJSON(t, goodClaims(test.claims)))
		_, err := v.Verify(t.Context(), token)
		if authctx.ReasonOf(err) != test.reason || !strings.HasSuffix(fmt.Sprint(err), test.want) || len(err.Error()) > 200 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
