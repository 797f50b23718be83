package jwtauth_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// handClock is a clock that a test moves.
type handClock struct{ ns atomic.Int64 }

func newHandClock() *handClock {
	c := new(handClock)
	c.ns.Store(testNow.UnixNano())
	return c
}

func (c *handClock) now() time.Time      { return time.Unix(0, c.ns.Load()) }
func (c *handClock) add(d time.Duration) { c.ns.Add(int64(d)) }

// cached verifies and fails unless the answer came from where it should.
func cached(t *testing.T, v jwtauth.TokenVerifier, token string, want bool) {
	t.Helper()
	found, err := v.VerifyToken(t.Context(), token)
	if err != nil || found.Cached != want || found.Principal.Subject() != "alice" {
		t.Errorf("%v, cached %v, want %v: %v", found.Principal, found.Cached, want, err)
	}
}

func TestRule5_ACachedTokenEndsWithTheToken(t *testing.T) {
	s, c := signerFor(t, jwtauth.EdDSA), newHandClock()
	v := newVerifier(t, s, func(cfg *jwtauth.VerifierConfig) { cfg.Now = c.now })
	token := s.token(t, goodClaims(map[string]any{"exp": testNow.Unix() + 60}))
	cached(t, v, token, false)
	c.add(89 * time.Second) // exp and leeway, less a second
	cached(t, v, token, true)
	c.add(time.Second)
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.TokenExpired) {
		t.Error(err)
	}
}

func TestCVE_2026_107719_ExpiryDoesNotDependOnIssueTime(t *testing.T) {
	s, c := signerFor(t, jwtauth.EdDSA), newHandClock()
	v := newVerifier(t, s, func(cfg *jwtauth.VerifierConfig) { cfg.Now = c.now })
	token := s.token(t, goodClaims(map[string]any{"iat": nil}))
	cached(t, v, token, false)
	cached(t, v, token, true)
	c.add(time.Hour)
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.TokenExpired) {
		t.Error(err)
	}
}

func TestRule5_ACachedTokenEndsWithItsKey(t *testing.T) {
	s := newSigner(t, "k1")
	v := newVerifier(t, s, nil)
	token := s.token(t, goodClaims(nil))
	cached(t, v, token, false)
	found, err := v.VerifyToken(t.Context(), token)
	if err != nil || !found.Cached {
		t.Fatal(found.Cached, err)
	}
	s.key.Withdraw()
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.UnknownKey) {
		t.Errorf("after the key was withdrawn: %v", err)
	}
	if err := found.Recheck(t.Context()); !errors.Is(err, authctx.UnknownKey) {
		t.Errorf("recheck: %v", err)
	}
}

func TestRule5_ACachedTokenEndsWithARevocation(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	for name, revoke := range map[string]func(*jwtauth.MemoryRevocations){
		"token":   func(l *jwtauth.MemoryRevocations) { l.RevokeToken(testIssuer, "t1", testNow.Add(time.Hour)) },
		"session": func(l *jwtauth.MemoryRevocations) { l.RevokeSession(testIssuer, "s1", testNow.Add(time.Hour)) },
		"subject": func(l *jwtauth.MemoryRevocations) {
			l.RevokeSubject(testIssuer, "alice", testNow, testNow.Add(time.Hour))
		},
	} {
		list := &jwtauth.MemoryRevocations{Now: func() time.Time { return testNow }}
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Revocations = list })
		token := s.token(t, goodClaims(map[string]any{"sid": "s1"}))
		cached(t, v, token, false)
		cached(t, v, token, true)
		revoke(list)
		for range 2 {
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.TokenRevoked) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestPomerium_CVE_2021_41230_NothingIsRememberedLongerThanMaxAge(t *testing.T) {
	s, c := signerFor(t, jwtauth.EdDSA), newHandClock()
	v := newVerifier(t, s, func(cfg *jwtauth.VerifierConfig) { cfg.Now, cfg.Cache.MaxAge = c.now, time.Minute })
	token := s.token(t, goodClaims(nil))
	cached(t, v, token, false)
	c.add(50 * time.Second)
	cached(t, v, token, true)
	c.add(10 * time.Second) // being used did not make it live longer
	cached(t, v, token, false)
}

func TestCVE_2026_33496_VerifiersShareNoResults(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	token := s.token(t, goodClaims(nil))
	cached(t, newVerifier(t, s, nil), token, false)
	other := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Audiences = []string{"other"} })
	if _, err := other.Verify(t.Context(), token); !errors.Is(err, authctx.WrongAudience) {
		t.Error(err)
	}
	cached(t, newVerifier(t, s, nil), token, false)
}

func TestCVE_2021_32701_TheCacheRemembersCallersAndNotPermissions(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	token := s.token(t, goodClaims(nil))
	for range 2 {
		p, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		ctx := authctx.NewContext(t.Context(), p)
		if err := authctx.Authorize(ctx, authctx.Scope("read")); err != nil {
			t.Error(err)
		}
		if err := authctx.Authorize(ctx, authctx.Scope("admin")); !errors.Is(err, authctx.InsufficientScope) {
			t.Error(err)
		}
	}
}

func TestCVE_2026_35039_EveryByteOfATokenCounts(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	token := s.token(t, goodClaims(nil))
	cached(t, v, token, false)
	for i := range token {
		changed := []byte(token)
		if changed[i]++; changed[i] == '.'+1 {
			changed[i] = 'A'
		}
		if p, err := v.Verify(t.Context(), string(changed)); !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("byte %d changed: %v, %v", i, p, err)
		}
	}
}

func TestOnlySuccessIsRemembered(t *testing.T) {
	s := newSigner(t, "k1")
	var down atomic.Bool
	var lookups atomic.Int32
	down.Store(true)
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
		c.Keys = keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
			lookups.Add(1)
			if down.Load() {
				return nil, authctx.Unavailable
			}
			return s.key, nil
		})
	})
	token := s.token(t, goodClaims(nil))
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.Unavailable) {
		t.Error(err)
	}
	down.Store(false)
	cached(t, v, token, false)
	down.Store(true)
	cached(t, v, token, true)
	if n := lookups.Load(); n != 2 {
		t.Errorf("%d key lookups", n)
	}
}

func TestRule1_ACacheIsEitherBoundedOrDisabled(t *testing.T) {
	for _, bad := range []jwtauth.CacheConfig{
		{MaxEntries: -1}, {MaxBytes: -1}, {MaxAge: -1}, {MaxBytes: 64}, {MaxBytes: 4<<10 - 1}, {MaxAge: 600},
		{Disabled: true, MaxEntries: 1}, {Disabled: true, MaxBytes: 1}, {Disabled: true, MaxAge: 1},
	} {
		cfg := configFor(t, signerFor(t, jwtauth.EdDSA))
		cfg.Cache = bad
		if _, err := jwtauth.NewVerifier(cfg); err == nil || !strings.Contains(err.Error(), "Cache") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestADisabledCacheRemembersNothing(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Cache.Disabled = true })
	token := s.token(t, goodClaims(nil))
	cached(t, v, token, false)
	cached(t, v, token, false)
	half := must(jwtauth.NewMultiVerifier(v, verifierOf(t, "https://other.example", newSigner(t, "k1"))))
	cached(t, half, token, false)
	cached(t, half, token, false)
}

func TestRequestsForOneTokenShareOneVerification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signerFor(t, jwtauth.HS256)
		var verifications atomic.Int32
		gate := make(chan struct{})
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
			c.Keys = oneKey(jwtauth.Held(s.key, func() {
				verifications.Add(1)
				<-gate
			}))
		})
		token := s.token(t, goodClaims(nil))
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if p, err := v.Verify(t.Context(), token); err != nil || p.Subject() != "alice" {
					t.Error(p, err)
				}
			})
		}
		synctest.Wait()
		impatient, cancel := context.WithCancel(t.Context())
		all.Go(func() {
			if _, err := v.Verify(impatient, token); !errors.Is(err, authctx.Unavailable) || errors.Is(err, authctx.InvalidToken) {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel() // one that leaves takes nobody along
		synctest.Wait()
		if n := verifications.Load(); n != 1 {
			t.Errorf("%d verifications", n)
		}
		close(gate)
		all.Wait()
		cached(t, v, token, true)
	})
}

func TestARequestThatLeavesDuringAKeyLookupChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		gate := make(chan struct{})
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
			c.Keys = keySourceFunc(func(ctx context.Context, _ string, _ jwtauth.Algorithm) (*jwtauth.Key, error) {
				select {
				case <-gate:
					return s.key, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			})
		})
		token := s.token(t, goodClaims(nil))
		leaving, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := v.Verify(leaving, token); !errors.Is(err, authctx.Unavailable) || !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		all.Go(func() {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(gate)
		all.Wait()
	})
}

func TestAPanicInAVerificationLeavesNobodyWaiting(t *testing.T) {
	s := signerFor(t, jwtauth.HS256)
	var broken atomic.Bool
	broken.Store(true)
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
		c.Keys = oneKey(jwtauth.Held(s.key, func() {
			if broken.Load() {
				panic("a key that panics")
			}
		}))
	})
	token := s.token(t, goodClaims(nil))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = v.Verify(t.Context(), token)
	}()
	broken.Store(false)
	cached(t, v, token, false)
}
