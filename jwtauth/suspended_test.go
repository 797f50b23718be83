package jwtauth_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/moment/momenttest"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// The tests of this file are about machines that were suspended, or whose wall
// clock was set: their monotonic clock knows nothing of it, and time.Time
// compares by that one where it can.

// livesFor returns the claims of a token that is good for that long, leeway
// included.
func livesFor(c *momenttest.Clock, d time.Duration) map[string]any {
	const leeway = 30 * time.Second
	now := c.Now()
	return goodClaims(map[string]any{"iat": now.Unix(), "exp": now.Add(d - leeway).Unix()})
}

func TestRule5_ACachedTokenEndsWhileTheMachineIsSuspended(t *testing.T) {
	for name, life := range map[string]time.Duration{"within MaxAge": 5 * time.Minute, "after MaxAge": time.Hour} {
		s, clock := signerFor(t, jwtauth.EdDSA), new(momenttest.Clock)
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Now = clock.Now })
		token := s.token(t, livesFor(clock, life))
		cached(t, v, token, false)
		cached(t, v, token, true)
		clock.SetWall(life)
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.TokenExpired) {
			t.Errorf("a token that ends %s: %v", name, err)
		}
	}
}

func TestRule5_NothingIsRememberedLongerThanMaxAgeByEitherClock(t *testing.T) {
	for name, life := range map[string]time.Duration{"within MaxAge": 5 * time.Minute, "after MaxAge": 24 * time.Hour} {
		for what, elapse := range map[string]func(*momenttest.Clock){
			"suspended": func(c *momenttest.Clock) { c.SetWall(10 * time.Minute) },
			"set back":  func(c *momenttest.Clock) { c.SetWall(-10 * time.Minute); c.Advance(10 * time.Minute) },
		} {
			s, clock := signerFor(t, jwtauth.EdDSA), new(momenttest.Clock)
			v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Now = clock.Now })
			token := s.token(t, livesFor(clock, life))
			cached(t, v, token, false)
			elapse(clock)
			found, err := v.VerifyToken(t.Context(), token)
			if found.Cached || err != nil && !errors.Is(err, authctx.TokenExpired) {
				t.Errorf("%s, a token that ends %s: cached %v, %v", what, name, found.Cached, err)
			}
		}
	}
}

func TestRule5_AResolvedIssuerEndsWhileTheMachineIsSuspended(t *testing.T) {
	s, clock := signerFor(t, jwtauth.EdDSA), new(momenttest.Clock)
	known := true
	v := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Now: clock.Now,
		Resolve: func(context.Context, string) (*jwtauth.Verifier, error) {
			if !known {
				return nil, authctx.WrongIssuer
			}
			return newVerifier(t, s, nil), nil
		},
	}))
	defer v.Close()
	claims := livesFor(clock, time.Hour)
	cached(t, v, s.token(t, claims), false)
	found := must(v.VerifyToken(t.Context(), s.token(t, claims)))
	known = false
	clock.SetWall(10 * time.Minute)
	if err := found.Recheck(t.Context()); !errors.Is(err, authctx.WrongIssuer) {
		t.Errorf("recheck: %v", err)
	}
	claims["jti"] = "t2"
	for _, token := range []string{s.token(t, goodClaims(claims)), s.token(t, claims)} {
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.WrongIssuer) {
			t.Errorf("verify: %v", err)
		}
	}
}

func TestRule4_ARemovedKeyStopsVerifyingWithinAMinuteOfASuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1, 2))
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 8 * time.Hour })
		removed := must(keys.Key(t.Context(), "k1", jwtauth.EdDSA))
		s.serve(edSet(2))
		time.Sleep(time.Hour)
		if removed.Withdrawn() || s.fetches() != 1 {
			t.Fatal("loaded before it was time")
		}
		keys.Suspend(7 * time.Hour)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !removed.Withdrawn() || s.fetches() != 2 {
			t.Errorf("withdrawn %v after %d fetches", removed.Withdrawn(), s.fetches())
		}
	})
}

// Another replica went on meanwhile, and has dropped the key that signed before.
func TestASuspendedReplicaSignsWithTheKeyOfTheOthers(t *testing.T) {
	awake, suspended := new(momenttest.Clock), new(momenttest.Clock)
	old, next := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	replica := func(c *momenttest.Clock) *jwtauth.SigningKeys {
		keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: old, Now: c.Now}))
		return must(keys, keys.Rotate(next))
	}
	known, own := replica(awake), replica(suspended)
	awake.Advance(25 * time.Hour)
	suspended.SetWall(25 * time.Hour)
	issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Keys: own, Lifetime: time.Minute, Now: suspended.Now,
	}))
	token := must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"}))
	kid := tokenHeader(t, token)["kid"].(string)
	if _, err := known.Key(t.Context(), kid, jwtauth.EdDSA); err != nil || kid != next.ID() {
		t.Errorf("signed with %q: %v", kid, err)
	}
	must(own.Key(t.Context(), old.ID(), jwtauth.EdDSA)) // for what it signed a moment before
}

func TestMaxStaleEndsWhileTheMachineIsSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.MaxStale = time.Hour })
		key := must(keys.Key(t.Context(), "k1", jwtauth.EdDSA))
		s.change(func(s *keyServer) { s.down = true })
		keys.Suspend(time.Hour)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !key.Withdrawn() {
			t.Error("not withdrawn")
		}
		wantFind(t, keys, "k1", "unavailable")
	})
}

func TestARevocationLastsAsLongAsTheTokenByTheWallClock(t *testing.T) {
	clock := new(momenttest.Clock)
	list := &jwtauth.MemoryRevocations{Now: clock.Now, Keep: time.Minute}
	must(0, list.RevokeToken("iss", "t1", clock.Now().Add(time.Hour)))
	p := principalOf(t, authctx.Attributes{Issuer: "iss", Subject: "a", TokenID: "t1"})
	clock.SetWall(-time.Hour) // which gives the token another hour
	clock.Advance(90 * time.Minute)
	if !must(list.Revoked(t.Context(), p)) {
		t.Error("a clock that was set back brought a revoked token back")
	}
	clock.Advance(31 * time.Minute)
	if must(list.Revoked(t.Context(), p)) {
		t.Error("an entry outlives its time")
	}
}

// Attributes that are made anew each time, of a login that is kept in memory.
func TestNoTokenIsIssuedForALoginThatEndedWhileTheMachineWasSuspended(t *testing.T) {
	clock := new(momenttest.Clock)
	issuer := issuerWith(t, newTestKey(t, jwtauth.EdDSA), clock.Now)
	login := authctx.Attributes{Subject: "u", ClientID: "c", Expires: clock.Now().Add(time.Hour)}
	must(issuer.Issue(t.Context(), login))
	clock.SetWall(time.Hour)
	if token, err := issuer.Issue(t.Context(), login); err == nil || token != "" {
		t.Error("issued a token")
	}
}

func TestAUsedProofIsNotFreshAgainWhenTheClockIsSetRight(t *testing.T) {
	clock := new(momenttest.Clock)
	m := &jwtauth.MemoryReplayStore{Now: clock.Now}
	until := clock.Now().Add(100 * time.Second)
	use := func(key int, until time.Time, want bool) {
		t.Helper()
		if fresh := must(m.Use(t.Context(), replayKey(key), until)); fresh != want {
			t.Errorf("key %d: fresh %v", key, fresh)
		}
	}
	use(1, until, true)
	clock.SetWall(5 * time.Minute)
	use(1, until, false)
	use(2, clock.Now().Add(100*time.Second), true)
	clock.SetWall(-5 * time.Minute)
	use(1, until, false)
	clock.Advance(100 * time.Second)
	use(3, clock.Now().Add(time.Second), true)
	if m.Len() != 2 { // 2 waits for the wall clock
		t.Errorf("%d keys", m.Len())
	}
	clock.Advance(5 * time.Minute)
	use(4, clock.Now().Add(time.Second), true)
	if m.Len() != 1 {
		t.Errorf("%d keys in the end", m.Len())
	}
}

func TestReuseEndsWhileTheMachineIsSuspended(t *testing.T) {
	clock := new(momenttest.Clock)
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Reuse, e.Now = time.Minute, clock.Now
	})
	p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Expires = clock.Now().Add(100 * time.Hour) })
	first := must(inject(t.Context(), w.edge, p))
	if got := must(inject(t.Context(), w.edge, p)); got != first {
		t.Error("not reused")
	}
	clock.SetWall(time.Minute)
	second := must(inject(t.Context(), w.edge, p))
	if second == first {
		t.Error("reused after the window by the wall clock")
	}
	clock.SetWall(-time.Hour)
	clock.Advance(time.Minute)
	if got := must(inject(t.Context(), w.edge, p)); got == second {
		t.Error("reused after the window by the monotonic clock")
	}
}
