package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

const tenantTemplate = "https://login.example/{tenantid}/v2.0"

// tenantVerifiers returns verifiers of each kind that ask rule, and a token of
// one of its tenants.
func tenantVerifiers(t *testing.T, rule jwtauth.TenantRule) (_ map[string]jwtauth.TokenVerifier, token string) {
	s := newSigner(t, "k1")
	alone := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Issuer, c.Tenants = tenantTemplate, rule })
	return map[string]jwtauth.TokenVerifier{
		"alone": alone,
		"multi": must(jwtauth.NewMultiVerifier(alone, verifierOf(t, "https://a.example", newSigner(t, "k1")))),
		"resolving": must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve:    func(context.Context, string) (*jwtauth.Verifier, error) { return alone, nil },
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Now: func() time.Time { return testNow },
		})),
	}, s.token(t, goodClaims(map[string]any{"iss": "https://login.example/t/v2.0", "tid": "t"}))
}

func TestRule3_ATenantRuleIsAskedAboutNoForgedToken(t *testing.T) {
	var asked atomic.Int32
	verifiers, token := tenantVerifiers(t, func(string) bool { return asked.Add(1) > 0 })
	forged := token[:len(token)-8] + "AAAAAAAA"
	for name, v := range verifiers {
		if _, err := v.VerifyToken(t.Context(), forged); !errors.Is(err, authctx.BadSignature) || asked.Load() > 0 {
			t.Errorf("%s: %v, asked %d times", name, err, asked.Load())
		}
	}
}

func TestRule5_ATenantThatIsLetInNoMoreTakesItsTokensWithIt(t *testing.T) {
	var out atomic.Bool
	verifiers, token := tenantVerifiers(t, func(tenant string) bool { return tenant == "t" && !out.Load() })
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
