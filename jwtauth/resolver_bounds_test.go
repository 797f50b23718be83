package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

func TestRule5_TheShorterMaxAgeOfBothCachesCounts(t *testing.T) {
	const short, long = 10 * time.Second, 20 * time.Minute
	s := newSigner(t, "k1")
	for name, test := range map[string]struct{ resolving, resolved, want time.Duration }{
		"the one that resolves":      {short, 0, short},
		"the one that was resolved":  {0, short, short},
		"the shorter is the first":   {short, long, short},
		"the shorter is the second":  {long, short, short},
		"neither":                    {0, 0, 10 * time.Minute},
		"the first, by its default":  {0, long, 10 * time.Minute},
		"the second, by its default": {long, 0, 10 * time.Minute},
		"both, longer than that":     {long, long, long},
	} {
		now := testNow
		member := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Cache.MaxAge = test.resolved })
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve:    func(context.Context, string) (*jwtauth.Verifier, error) { return member, nil },
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxAge: time.Hour, Cache: jwtauth.CacheConfig{MaxAge: test.resolving},
			Now: func() time.Time { return now },
		}))
		token := s.token(t, goodClaims(map[string]any{"exp": now.Add(time.Hour).Unix()}))
		for _, step := range []struct {
			after time.Duration
			want  bool
		}{{0, false}, {test.want - 1, true}, {1, false}} {
			now = now.Add(step.after)
			if found, err := r.VerifyToken(t.Context(), token); err != nil || found.Cached != step.want {
				t.Errorf("%s, after %v: cached %v, %v", name, now.Sub(testNow), found.Cached, err)
			}
		}
		_ = r.Close()
	}
}

func TestRule3_TheLowerLimitOfBothVerifiersCounts(t *testing.T) {
	s := newSigner(t, "k1")
	token := s.token(t, goodClaims(map[string]any{"pad": strings.Repeat("x", 20<<10)})) // 27 KiB
	for _, test := range []struct {
		resolving, resolved int
		good                bool
	}{{64 << 10, 64 << 10, true}, {64 << 10, 0, false}, {0, 64 << 10, false}, {0, 0, false}} {
		member := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.MaxTokenBytes = test.resolved })
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve:    func(context.Context, string) (*jwtauth.Verifier, error) { return member, nil },
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxTokenBytes: test.resolving, Now: func() time.Time { return testNow },
		}))
		if _, err := r.Verify(t.Context(), token); test.good != (err == nil) || !test.good && !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("%d and %d bytes: %v", test.resolving, test.resolved, err)
		}
		_ = r.Close()
	}
}
