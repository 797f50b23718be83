package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// An operator who has several issuers must not have to ask which of them a refusal
// is about.
func TestRefusalsNameTheIssuerThatIsConfigured(t *testing.T) {
	const issuer, stranger = "https://b.example", "https://c.example"
	a, b, forger := newSigner(t, "k1"), newSigner(t, "k1"), newSigner(t, "k1")
	list := &jwtauth.MemoryRevocations{Now: func() time.Time { return testNow }}
	until := testNow.Add(time.Hour)
	must(0, errors.Join(list.RevokeToken(issuer, "t", until), list.RevokeSession(issuer, "s", until), list.RevokeSubject(issuer, "bob", testNow, until)))
	verifierOfB := newVerifier(t, b, func(c *jwtauth.VerifierConfig) {
		c.Issuer, c.Revocations, c.AllowMissingTokenID = issuer, list, true
	})
	verifierOfA := newVerifier(t, a, func(c *jwtauth.VerifierConfig) {
		c.Issuer, c.Algorithms = "https://a.example", []jwtauth.Algorithm{jwtauth.ES256, jwtauth.RS256}
	})
	m := must(jwtauth.NewMultiVerifier(verifierOfA, verifierOfB))
	at := testNow.Unix()
	claims := func(name string, value any) string {
		return b.token(t, goodClaims(map[string]any{"iss": issuer, name: value}))
	}
	header := func(header string) string {
		return b.compact(t, header, asJSON(t, goodClaims(map[string]any{"iss": issuer, "at_hash": "x"})))
	}
	for name, c := range map[string]struct {
		token  string
		reason authctx.Reason
		says   string
	}{
		"an unknown key":    {header(`{"alg":"ES256","kid":"k2"}`), authctx.UnknownKey, "no usable key of that ID"},
		"a forged token":    {forger.token(t, goodClaims(map[string]any{"iss": issuer})), authctx.BadSignature, ""},
		"an algorithm":      {header(`{"alg":"RS256","kid":"k1"}`), authctx.InvalidToken, "alg is none of"},
		"a type":            {header(`{"alg":"ES256","kid":"k1","typ":"x"}`), authctx.WrongType, "typ is none of"},
		"an ID token":       {header(`{"alg":"ES256","kid":"k1"}`), authctx.WrongType, "those of an ID token"},
		"an audience":       {claims("aud", "x"), authctx.WrongAudience, "aud names none of"},
		"no audience":       {claims("aud", nil), authctx.WrongAudience, "aud is missing"},
		"expired":           {claims("exp", at-75), authctx.TokenExpired, "exp was 1m15s ago"},
		"no end":            {claims("exp", "soon"), authctx.InvalidToken, "exp is missing"},
		"roles":             {claims("roles", 5), authctx.InvalidToken, "claim roles"},
		"a spelling":        {claims("Roles", "x"), authctx.InvalidToken, "token claims are not"},
		"a confirmation":    {claims("cnf", map[string]any{"jkt": "x"}), authctx.InvalidToken, "sender-constrained"},
		"a revoked token":   {claims("jti", "t"), authctx.TokenRevoked, "by the ID of the token"},
		"a revoked session": {claims("sid", "s"), authctx.TokenRevoked, "by its session"},
		"a revoked subject": {claims("sub", "bob"), authctx.TokenRevoked, "by its subject"},
	} {
		_, err := m.Verify(t.Context(), c.token)
		want := fmt.Sprintf("jwtauth: issuer %q", issuer)
		if authctx.ReasonOf(err) != c.reason || strings.Count(fmt.Sprint(err), want) != 1 || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if _, again := m.Verify(t.Context(), c.token); fmt.Sprint(again) != fmt.Sprint(err) {
			t.Errorf("%s, again: %v", name, again)
		}
	}
	if _, err := m.Verify(t.Context(), b.token(t, goodClaims(map[string]any{"iss": stranger}))); strings.Contains(err.Error(), stranger) {
		t.Errorf("named by the token alone: %v", err)
	}
}

func TestARecheckNamesTheIssuerThatIsConfigured(t *testing.T) {
	s, revoked := newSigner(t, "k1"), false
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
		c.Revocations = revocationsFunc(func() (bool, error) { return revoked, nil })
	})
	found := must(v.VerifyToken(t.Context(), s.token(t, goodClaims(nil))))
	revoked = true
	want := fmt.Sprintf("authctx: token revoked: jwtauth: issuer %q", testIssuer)
	if err := found.Recheck(t.Context()); fmt.Sprint(err) != want {
		t.Error(err)
	}
	revoked = false
	s.key.Withdraw()
	if err := found.Recheck(t.Context()); !errors.Is(err, authctx.UnknownKey) || !strings.Contains(err.Error(), testIssuer) {
		t.Error(err)
	}
}

// Whoever could not tell is somebody whom an operator has to ask about that issuer.
func TestRefusalsNameTheIssuerOfWhichNobodyCanTell(t *testing.T) {
	const later = 7 * time.Second
	s, tenants := newSigner(t, "k1"), "https://login.example/"+jwtauth.TenantPlaceholder
	own := &authctx.Error{Reason: authctx.Unavailable, Cause: errors.New("no connection"), RetryAfter: later}
	noKey := func(err error) func(*jwtauth.VerifierConfig) {
		return func(c *jwtauth.VerifierConfig) {
			c.Keys = keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) { return nil, err })
		}
	}
	for name, c := range map[string]struct {
		change func(*jwtauth.VerifierConfig)
		want   authctx.Reason
		says   string
	}{
		"Tenants": {func(c *jwtauth.VerifierConfig) {
			c.Issuer, c.Tenants = tenants, func(context.Context, string) (bool, error) { return false, own }
		}, authctx.Unavailable, ": no connection"},
		"Revocations": {func(c *jwtauth.VerifierConfig) {
			c.Revocations = revocationsFunc(func() (bool, error) { return false, errors.New("no connection") })
		}, authctx.Unavailable, ": revocations: no connection"},
		"Keys":                          {noKey(errors.New("no connection")), authctx.Unavailable, ": keys: no connection"},
		"Keys, with a reason":           {noKey(own), authctx.Unavailable, ": no connection"},
		"Keys, with nothing but that":   {noKey(authctx.Unavailable), authctx.Unavailable, ""},
		"Keys that do not have the key": {noKey(authctx.UnknownKey), authctx.UnknownKey, ""},
		"Keys that are joined": {func(c *jwtauth.VerifierConfig) {
			noKey(own)(c)
			c.Keys = must(jwtauth.JoinKeys(c.Keys))
		}, authctx.Unavailable, ": no connection"},
		"a request that does not wait": {noKey(context.DeadlineExceeded), authctx.Unavailable, ": keys: context deadline exceeded"},
		"Revocations, with a reason": {func(c *jwtauth.VerifierConfig) {
			c.Revocations = revocationsFunc(func() (bool, error) { return false, own })
		}, authctx.Unavailable, ": no connection"},
	} {
		v, iss := newVerifier(t, s, c.change), testIssuer
		if v.Issuer() == tenants {
			iss = "https://login.example/a"
		}
		token := s.token(t, goodClaims(map[string]any{"iss": iss, "tid": "a"}))
		for range 2 {
			_, err := v.Verify(t.Context(), token)
			want := fmt.Sprintf("%v: jwtauth: issuer %q%s", c.want, v.Issuer(), c.says)
			if !errors.Is(err, c.want) || fmt.Sprint(err) != want {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
			if refused, _ := errors.AsType[*authctx.Error](err); errors.Is(err, own.Cause) && refused.RetryAfter != later {
				t.Errorf("%s: to be asked again in %v", name, refused.RetryAfter)
			}
		}
	}
}

// What is not known of is only what a token says.
func TestAResolverNamesOnlyIssuersItWasToldOf(t *testing.T) {
	clock, s, down := newHandClock(), newSigner(t, "k1"), false
	v := verifierOf(t, testIssuer, s)
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve: func(context.Context, string) (*jwtauth.Verifier, error) {
			if down {
				return nil, errors.New("no connection")
			}
			return v, nil
		},
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Now: clock.now, MaxAge: time.Minute, MaxStale: time.Minute,
	}))
	t.Cleanup(func() { r.Close() })
	must(r.Verify(t.Context(), s.token(t, goodClaims(nil))))
	down = true
	clock.add(2 * time.Minute)
	for iss, known := range map[string]bool{testIssuer: true, "https://c.example": false} {
		_, err := r.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"iss": iss})))
		if !errors.Is(err, authctx.Unavailable) || strings.Contains(err.Error(), iss) != known || !strings.Contains(err.Error(), "no connection") {
			t.Errorf("%s: %v", iss, err)
		}
	}
}
