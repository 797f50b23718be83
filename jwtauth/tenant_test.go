package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

const tenantTemplate = "https://login.example/{tenantid}/v2.0"

// tenantVerifiers returns verifiers of each kind that ask tenants, and a token of
// one of them.
func tenantVerifiers(t *testing.T, tenants jwtauth.TenantFunc) (_ map[string]jwtauth.TokenVerifier, token string) {
	s := newSigner(t, "k1")
	alone := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Issuer, c.Tenants = tenantTemplate, tenants })
	return map[string]jwtauth.TokenVerifier{
		"alone": alone,
		"multi": must(jwtauth.NewMultiVerifier(alone, verifierOf(t, "https://a.example", newSigner(t, "k1")))),
		"resolving": must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve:    func(context.Context, string) (*jwtauth.Verifier, error) { return alone, nil },
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Now: func() time.Time { return testNow },
		})),
	}, s.token(t, goodClaims(map[string]any{"iss": "https://login.example/t/v2.0", "tid": "t"}))
}

func TestRule3_TenantsAreAskedAboutNoForgedToken(t *testing.T) {
	var asked atomic.Int32
	verifiers, token := tenantVerifiers(t, func(context.Context, string) (bool, error) { return asked.Add(1) > 0, nil })
	forged := token[:len(token)-8] + "AAAAAAAA"
	for name, v := range verifiers {
		if _, err := v.VerifyToken(t.Context(), forged); !errors.Is(err, authctx.BadSignature) || asked.Load() > 0 {
			t.Errorf("%s: %v, asked %d times", name, err, asked.Load())
		}
	}
}

func TestRule5_ATenantThatIsLetInNoMoreTakesItsTokensWithIt(t *testing.T) {
	var out atomic.Bool
	verifiers, token := tenantVerifiers(t, func(_ context.Context, tenant string) (bool, error) {
		return tenant == "t" && !out.Load(), nil
	})
	for name, v := range verifiers {
		out.Store(false)
		found := must(v.VerifyToken(t.Context(), token))
		if err := found.Recheck(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		out.Store(true)
		_, err := v.VerifyToken(t.Context(), token)
		for what, err := range map[string]error{"in the cache": err, "recheck": found.Recheck(t.Context())} {
			if !errors.Is(err, authctx.WrongIssuer) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		out.Store(false)
		cached(t, v, token, true)
	}
}

func TestRule8_ATenantThatNobodyCanJudgeIsUnavailable(t *testing.T) {
	type ctxKey struct{}
	var out error
	verifiers, token := tenantVerifiers(t, func(ctx context.Context, tenant string) (bool, error) {
		if ctx.Value(ctxKey{}) == nil || tenant != "t" {
			t.Errorf("asked about %q in another context", tenant)
		}
		return true, out
	})
	ctx := context.WithValue(t.Context(), ctxKey{}, true)
	for name, v := range verifiers {
		judge := func(what string, err error) {
			t.Helper()
			e, ok := errors.AsType[*authctx.Error](err)
			if !ok || e.Reason != authctx.Unavailable || e.RetryAfter != time.Second || !strings.Contains(err.Error(), "Tenants: ") {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		// Whatever the list of tenants says went wrong there is nothing about the token.
		for _, reason := range []authctx.Reason{authctx.Unavailable, authctx.InvalidToken, authctx.NoCredentials, 0} {
			out = &authctx.Error{Reason: reason, Cause: errors.New("the database is restarting"), RetryAfter: time.Second}
			if reason == authctx.Unavailable {
				out = fmt.Errorf("customers: %w", out)
			}
			_, err := v.VerifyToken(ctx, token)
			judge("at first", err)
		}
		out = nil
		found, err := v.VerifyToken(ctx, token)
		if err != nil {
			t.Fatalf("%s: a good token was remembered as bad: %v", name, err)
		}
		out = &authctx.Error{Reason: authctx.Unavailable, Cause: errors.New("the database is restarting"), RetryAfter: time.Second}
		out = fmt.Errorf("customers: %w", out)
		_, err = v.VerifyToken(ctx, token)
		judge("in the cache", err)
		judge("recheck", found.Recheck(ctx))
		out = nil
		if again, err := v.VerifyToken(ctx, token); err != nil || !again.Cached {
			t.Errorf("%s: afterwards: %v, %v", name, again.Cached, err)
		}
	}
}

// Whose question it is does not matter to the others, nor how long it takes.
func TestATenantIsAskedAboutByEachRequestForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		type patience struct{}
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
			c.Issuer, c.Tenants = tenantTemplate, func(ctx context.Context, _ string) (bool, error) {
				<-ctx.Done()
				return ctx.Value(patience{}) != nil, ctx.Value(patience{}).(error)
			}
		})
		token := s.token(t, goodClaims(map[string]any{"iss": "https://login.example/t/v2.0", "tid": "t"}))
		var all sync.WaitGroup
		for i := range 4 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
			defer cancel()
			gone := fmt.Errorf("request %d is gone", i)
			all.Go(func() {
				start := time.Now()
				_, err := v.Verify(context.WithValue(ctx, patience{}, gone), token)
				if took := time.Since(start); !errors.Is(err, authctx.Unavailable) || !errors.Is(err, gone) || took != time.Duration(i+1)*time.Second {
					t.Errorf("request %d after %v: %v", i, took, err)
				}
			})
		}
		all.Wait()
	})
}

func TestATenantThatIsNotLetInTakesNobodysPlaceInTheCache(t *testing.T) {
	s := newSigner(t, "k1")
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Issuer, c.Tenants = tenantTemplate, jwtauth.OnlyTenants("t") })
	for range 2 {
		token := s.token(t, goodClaims(map[string]any{"iss": "https://login.example/u/v2.0", "tid": "u"}))
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.WrongIssuer) {
			t.Error(err)
		}
	}
	if n := jwtauth.CacheLen(v); n > 0 {
		t.Errorf("%d tokens of another tenant are remembered", n)
	}
}

// A template that the token names is its issuer's, whatever else is wrong.
func TestTheIssuersOfSeveralSayOfATenantWhatOneAloneWould(t *testing.T) {
	s := newSigner(t, "k1")
	alone := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
		c.Issuer, c.Tenants = tenantTemplate, jwtauth.OnlyTenants("t")
	})
	multi := must(jwtauth.NewMultiVerifier(verifierOf(t, "https://a.example", newSigner(t, "k1")), alone))
	for name, change := range map[string]map[string]any{
		"tid of another tenant": {"tid": "u"},
		"no tid":                {"tid": nil},
		"tid is no text":        {"tid": 1},
		"a tenant not let in":   {"iss": "https://login.example/u/v2.0", "tid": "u"},
	} {
		claims := goodClaims(map[string]any{"iss": "https://login.example/t/v2.0"})
		maps.Copy(claims, change)
		token := s.token(t, claims)
		_, want := alone.Verify(t.Context(), token)
		if _, err := multi.Verify(t.Context(), token); !errors.Is(err, authctx.WrongIssuer) || fmt.Sprint(err) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

// A name may fit two templates, and then it is the tenant that tells.
func TestTheTenantTellsWhichOfTwoTemplatesIsMeant(t *testing.T) {
	signers, members := map[string]testSigner{}, []*jwtauth.Verifier{}
	for _, template := range []string{"https://login.example/{tenantid}/b", "https://login.example/a/{tenantid}"} {
		signers[template] = newSigner(t, "k1")
		members = append(members, newVerifier(t, signers[template], func(c *jwtauth.VerifierConfig) {
			c.Issuer, c.Tenants = template, jwtauth.AnyTenant()
		}))
	}
	multi := must(jwtauth.NewMultiVerifier(members[0], members[1:]...))
	for template, tenant := range map[string]string{"https://login.example/{tenantid}/b": "a", "https://login.example/a/{tenantid}": "b"} {
		token := signers[template].token(t, goodClaims(map[string]any{"iss": "https://login.example/a/b", "tid": tenant}))
		if _, err := multi.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", template, err)
		}
	}
}
