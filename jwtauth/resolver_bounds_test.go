package jwtauth_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// Nobody may be proven yet when strangers name more issuers than are kept.
func TestRule4_NewcomersAloneAreBounded(t *testing.T) {
	for name, patience := range map[string]time.Duration{"waited for": time.Minute, "not waited for": time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var open atomic.Int32
			u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
				c.MaxIssuers, c.Release = 2, func(*jwtauth.Verifier) { open.Add(-1) }
			})
			s := u.s("nobody")
			u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
				time.Sleep(time.Second)
				open.Add(1)
				return verifierOf(t, issuer, newSigner(t, "k1")), nil
			}
			for i := range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				_, _ = u.r.Verify(ctx, s.token(t, goodClaims(map[string]any{"iss": fmt.Sprintf("https://%d.example", i)})))
				cancel()
				time.Sleep(2 * time.Second)
			}
			synctest.Wait()
			if n := open.Load(); n != 2 {
				t.Errorf("%s: %d verifiers are kept", name, n)
			}
			u.close()
		})
	}
}

// A proven issuer that is idle makes no more room than newcomers need.
func TestAnIdleIssuerStaysWhileThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var released atomic.Int32
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
			c.MaxIssuers, c.Release = 2, func(*jwtauth.Verifier) { released.Add(1) }
		})
		u.verify("proven", u.s("a"), "a", nil)
		time.Sleep(25 * time.Hour)
		for n, issuer := range []string{"b", "c"} {
			u.verify("a stranger", u.s("nobody"), issuer, authctx.BadSignature)
			synctest.Wait()
			if got := released.Load(); int(got) != n {
				t.Errorf("%d released after %d strangers", got, n+1)
			}
		}
		u.close()
	})
}

func TestAThousandIssuersAreKeptUnlessToldOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var released atomic.Int32
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.Release = func(*jwtauth.Verifier) { released.Add(1) } })
		s := u.s("nobody")
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			return newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Issuer, c.Keys = issuer, &laterKeys{} }), nil
		}
		for i := range 1001 {
			u.verify("a stranger", s, fmt.Sprintf("https://%d.example", i), authctx.Unavailable)
		}
		synctest.Wait()
		if n := released.Load(); n != 1 {
			t.Errorf("%d were released", n)
		}
		u.close()
	})
}
