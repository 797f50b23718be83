package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// Public keys are no secret, and anybody may have a spelling that an issuer gave up.
func TestRule2_WhoeverNamesAnIssuerOrIsCalledAsItWasTakesNoKeysOfIt(t *testing.T) {
	const name, was, evil = "https://a.example", "https://a.example/", "https://evil.example"
	for _, taker := range [][]string{{was}, {was, name}, {evil, name}, {evil, was, name}, {evil, was}} {
		synctest.Test(t, func(t *testing.T) {
			c := newTenantKeys(t, func(cfg *jwtauth.ResolvingVerifierConfig) { cfg.MaxStale = time.Hour })
			defer c.r.Close()
			s, issuer := newSigner(t, "k1"), taker[0]
			asName, asWas, forged := c.tokenOf(name, s), c.tokenOf(was, s), c.tokenOf(issuer, newSigner(t, "k1"))
			for _, names := range [][]string{{was, name}, {name, was}} {
				for _, iss := range []string{name, was} {
					c.register(iss, s.key)
					c.call(iss, names...)
				}
				time.Sleep(11 * time.Minute)
				c.try("with both spellings", asName, nil)
				c.try("with both spellings", asWas, nil)
			}
			c.register(was)
			c.call(name, name)
			c.register(issuer, s.key)
			c.call(issuer, taker...)
			time.Sleep(11 * time.Minute)
			for range 30 {
				c.try(fmt.Sprintf("while %q has its key", taker), asName, nil)
				_, _ = c.r.Verify(t.Context(), forged) // anybody keeps an answer in use
				if p, err := c.r.Verify(t.Context(), c.tokenOf(issuer, s)); err == nil && p.Issuer() != name {
					t.Errorf("%q has the key of %s", taker, name)
				}
				time.Sleep(5*time.Minute + time.Second)
			}
		})
	}
}

// That is what anybody can say who has another's public key.
func TestRule2_ANameThatWasNoAliasIsAnotherIssuerUntilTheAnswersAreOver(t *testing.T) {
	const a, b, next = "https://a.example", "https://b.example", "https://c.example"
	for _, spellings := range [][]string{{a}, {a, b}} {
		synctest.Test(t, func(t *testing.T) {
			c := newTenantKeys(t, nil)
			defer c.r.Close()
			s := newSigner(t, "k1")
			try := func(when string) {
				for _, iss := range spellings {
					c.try(when+": "+iss, c.tokenOf(iss, s), nil)
				}
			}
			for _, iss := range spellings {
				c.register(iss, s.key)
				c.call(iss, spellings...)
			}
			try("at first")
			names := append([]string{next}, spellings...)
			for _, iss := range names {
				c.register(iss, s.key)
				c.call(iss, names...)
			}
			time.Sleep(9 * time.Minute)
			c.try("while the answers are believed", c.tokenOf(next, s), authctx.Unavailable)
			try("while the answers are believed")
			time.Sleep(2 * time.Minute)
			c.try("after that", c.tokenOf(next, s), nil)
			try("after that")
		})
	}
}

// revokedCallers is whom somebody revoked.
type revokedCallers func(authctx.Principal) bool

func (f revokedCallers) Revoked(_ context.Context, p authctx.Principal) (bool, error) {
	return f(p), nil
}

// Whoever revokes the caller of a new request names the issuer as that does, and
// whoever revokes that of the stream as the stream does.
func TestRule5_AStreamIsRevokedByTheNameOfItsIssuerThenAndNow(t *testing.T) {
	const then, now = "https://a.example", "https://a.example/"
	of := func(issuer string) revokedCallers {
		return func(p authctx.Principal) bool { return p.Issuer() == issuer }
	}
	for whom, test := range map[string]struct {
		revoked       revokedCallers
		stream, token error
	}{
		"nobody":                {of("https://b.example"), nil, nil},
		"the caller as of now":  {of(now), authctx.TokenRevoked, authctx.TokenRevoked},
		"the caller as of then": {of(then), authctx.TokenRevoked, nil},
		"an actor as of now":    {func(p authctx.Principal) bool { return p.Actors()[0].Issuer == now }, authctx.TokenRevoked, authctx.TokenRevoked},
	} {
		for _, iss := range []string{then, now} {
			synctest.Test(t, func(t *testing.T) {
				u, s, names, revoked := newSuccessors(t, nil), newSigner(t, "k1"), []string{then, now}, false
				defer u.close()
				u.resolve = func(string) (*jwtauth.Verifier, error) {
					return newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
						c.Issuer, c.IssuerAliases = names[0], names[1:]
						c.Revocations = revokedCallers(func(p authctx.Principal) bool { return revoked && test.revoked(p) })
					}), nil
				}
				token := s.token(t, goodClaims(map[string]any{
					"iss": iss, "exp": time.Now().Add(time.Hour).Unix(), "iat": nil, "act": map[string]any{"sub": "bob", "iss": iss},
				}))
				stream := must(u.r.VerifyToken(t.Context(), token))
				names = []string{now, then}
				time.Sleep(11 * time.Minute)
				if err := stream.Recheck(t.Context()); err != nil {
					t.Errorf("%s, of %s: before: %v", whom, iss, err)
				}
				revoked = true
				if _, err := u.r.Verify(t.Context(), token); !errors.Is(err, test.token) || test.token == nil && err != nil {
					t.Errorf("%s, a token of %s: %v, want %v", whom, iss, err, test.token)
				}
				if err := stream.Recheck(t.Context()); !errors.Is(err, test.stream) || test.stream == nil && err != nil {
					t.Errorf("%s, a stream of %s: %v, want %v", whom, iss, err, test.stream)
				}
			})
		}
	}
}
