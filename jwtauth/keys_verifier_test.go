package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// remoteVerifier is a verifier whose keys come from s.
func remoteVerifier(t *testing.T, signer testSigner, s *keyServer) *jwtauth.Verifier {
	t.Helper()
	keys := keysFrom(t, s)
	return newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = keys })
}

func edToken(t *testing.T, signer testSigner, keyID string, n int) string {
	t.Helper()
	claims := goodClaims(map[string]any{"jti": fmt.Sprintf("%s-%d", keyID, n)})
	return signer.compact(t, `{"alg":"EdDSA","typ":"at+jwt","kid":"`+keyID+`"}`, asJSON(t, claims))
}

// A symmetric key is never taken from a key set, so that who lists an algorithm of
// such keys has something else in mind than what would happen.
func TestRule2_AlgorithmsOfSecretsDoNotGoWithKeySets(t *testing.T) {
	remote := keysFrom(t, newKeyServer(edSet(1)))
	foreign := must(jwtauth.KeysFromKeyfunc(remote.Keyfunc()))
	secret := must(jwtauth.NewStaticKeys(must(jwtauth.NewHMACKey("s", jwtauth.HS256, make([]byte, 32)))))
	for name, c := range map[string]struct {
		keys       jwtauth.KeySource
		algorithms []jwtauth.Algorithm
		good       bool
	}{
		"remote keys, HS256":              {remote, []jwtauth.Algorithm{jwtauth.HS256}, false},
		"remote keys, HS512 among others": {remote, []jwtauth.Algorithm{jwtauth.RS256, jwtauth.HS512}, false},
		"remote keys":                     {remote, []jwtauth.Algorithm{jwtauth.RS256, jwtauth.EdDSA}, true},
		"a keyfunc, HS256":                {foreign, []jwtauth.Algorithm{jwtauth.HS256}, false},
		"a secret, HS256":                 {secret, []jwtauth.Algorithm{jwtauth.HS256}, true},
	} {
		_, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{Issuer: "i", Audiences: []string{"a"}, Algorithms: c.algorithms, Keys: c.keys})
		_, txnErr := jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "d", Algorithms: c.algorithms, Keys: c.keys})
		for _, err := range []error{err, txnErr} {
			if c.good != (err == nil) || err != nil && !strings.Contains(err.Error(), ": Algorithms has HS") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestRule4_Rule5_ARemovedKeyStopsVerifyingCachedResultsIncluded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := signerFor(t, jwtauth.EdDSA)
		mine := testEdKey().Public()
		s := newKeyServer(jwks(jwk("k1", mine), jwk("other", edKey(1))))
		v := remoteVerifier(t, signer, s)
		token := edToken(t, signer, "k1", 0)
		for _, cached := range []bool{false, true} {
			got, err := v.VerifyToken(t.Context(), token)
			if err != nil || got.Cached != cached {
				t.Fatalf("cached: %v, %v", got.Cached, err)
			}
		}
		s.serve(jwks(jwk("other", edKey(1))))
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		if _, err := v.VerifyToken(t.Context(), token); !errors.Is(err, authctx.UnknownKey) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRule4_RotationLosesNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := signerFor(t, jwtauth.EdDSA)
		s := newKeyServer(edSet(1))
		s.delay = 100 * time.Millisecond
		v := remoteVerifier(t, signer, s)
		time.Sleep(time.Second)
		s.serve(jwks(jwk("k1", edKey(1)), jwk("new", testEdKey().Public())))
		var all sync.WaitGroup
		for n := range 200 {
			token := edToken(t, signer, "new", n)
			all.Go(func() {
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := s.fetches() - 1; got > 2 {
			t.Errorf("%d fetches", got)
		}
	})
}

func TestRule4_AForgedSignatureNeverCausesALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := signerFor(t, jwtauth.EdDSA)
		s := newKeyServer(edSet(1))
		v := remoteVerifier(t, signer, s)
		for n := range 100 {
			if _, err := v.Verify(t.Context(), edToken(t, signer, "k1", n)); !errors.Is(err, authctx.BadSignature) {
				t.Fatalf("got %v", err)
			}
			time.Sleep(time.Second)
		}
		if s.fetches() != 1 {
			t.Errorf("%d fetches", s.fetches())
		}
	})
}

func TestRule4_WhoeverCannotBeCheckedIsToldWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := signerFor(t, jwtauth.EdDSA)
		s := newKeyServer(edSet(1))
		s.down = true
		v := remoteVerifier(t, signer, s)
		_, err := v.Verify(t.Context(), edToken(t, signer, "k1", 0))
		e, ok := errors.AsType[*authctx.Error](err)
		if !ok || e.Reason != authctx.Unavailable || e.RetryAfter < time.Second {
			t.Errorf("got %v", err)
		}
		if err != nil && strings.Contains(err.Error(), "alice") {
			t.Errorf("says too much: %v", err)
		}
	})
}

// Entra ID's shared set: a key that one tenant's issuer owns verifies nothing
// for another.
func TestRule2_AKeyOfOneIssuerVerifiesNothingForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := signerFor(t, jwtauth.EdDSA)
		mine := testEdKey().Public()
		s := newKeyServer(jwks(
			jwk("k1", mine, jwkMembers{"issuer": testIssuer}),
			jwk("k2", mine, jwkMembers{"issuer": "https://other.example"}),
			jwk("k3", mine, jwkMembers{"issuer": testIssuer + "/"}),
			jwk("k4", mine, jwkMembers{"issuer": testIssuer[:len(testIssuer)-1]}),
			jwk("k5", mine, jwkMembers{"issuer": "https://"}),
		))
		v := remoteVerifier(t, signer, s)
		for id, want := range map[string]bool{"k1": true, "k2": false, "k3": false, "k4": false, "k5": false} {
			if _, err := v.Verify(t.Context(), edToken(t, signer, id, 0)); (err == nil) != want {
				t.Errorf("%s: %v", id, err)
			}
		}
	})
}

// A stream whose keys nobody confirms any more, or whose source was closed, is
// in the same position as a request: its token cannot be checked, which does not
// make it a bad one.
func TestRule4_ARecheckAfterAnOutageIsUnavailableAndNotInvalid(t *testing.T) {
	for name, end := range map[string]func(*keyServer, *jwtauth.RemoteKeys){
		"MaxStale": func(s *keyServer, _ *jwtauth.RemoteKeys) {
			s.change(func(s *keyServer) { s.down = true })
			time.Sleep(2 * time.Hour)
			synctest.Wait()
		},
		"Close": func(_ *keyServer, keys *jwtauth.RemoteKeys) { keys.Close() },
	} {
		for kind, source := range remoteSources {
			synctest.Test(t, func(t *testing.T) {
				signer := signerFor(t, jwtauth.EdDSA)
				s := newKeyServer(jwks(jwk("k1", testEdKey().Public())))
				keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.MaxStale = time.Hour })
				v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = source(keys) })
				token := edToken(t, signer, "k1", 0)
				found, err := v.VerifyToken(t.Context(), token)
				if err != nil {
					t.Fatal(err)
				}
				end(s, keys)
				if err := found.Recheck(t.Context()); authctx.ReasonOf(err) != authctx.Unavailable {
					t.Errorf("%s, %s: recheck: %v", kind, name, err)
				}
				if _, err := v.Verify(t.Context(), token); authctx.ReasonOf(err) != authctx.Unavailable {
					t.Errorf("%s, %s: %v", kind, name, err)
				}
				s.change(func(s *keyServer) { s.down = false })
				time.Sleep(time.Minute)
				if err := found.Recheck(t.Context()); (err == nil) != (keys.Ready(t.Context()) == nil) {
					t.Errorf("%s, %s: recheck, later: %v", kind, name, err)
				}
			})
		}
	}
}

// A stream outlives an outage as its token does: its key is another Key by then.
func TestAStreamIsInThePositionOfARequestWhenAnOutageIsOver(t *testing.T) {
	mine := testEdKey().Public()
	same := jwks(jwk("k1", mine))
	type outage struct {
		after              string // what the provider has
		withdrawn, revoked bool
		passes             time.Duration // on the verifier's clock
		want               error
	}
	for name, o := range map[string]outage{
		"the same key":                      {after: same},
		"the same key, for this issuer":     {after: jwks(jwk("k1", mine, jwkMembers{"issuer": testIssuer}))},
		"the same key, for another issuer":  {after: jwks(jwk("k1", mine, jwkMembers{"issuer": "https://other.example"})), want: authctx.WrongIssuer},
		"the same key, not for signatures":  {after: jwks(jwk("k1", mine, jwkMembers{"use": "enc"}), jwk("k2", edKey(2))), want: authctx.UnknownKey},
		"the same key under another ID":     {after: jwks(jwk("k2", mine)), want: authctx.UnknownKey},
		"another key under the same ID":     {after: jwks(jwk("k1", edKey(2))), want: authctx.InvalidToken},
		"another key":                       {after: jwks(jwk("k2", edKey(2))), want: authctx.UnknownKey},
		"a key that somebody has withdrawn": {after: same, withdrawn: true, want: authctx.UnknownKey},
		"a token that was revoked":          {after: same, revoked: true, want: authctx.TokenRevoked},
		"a token that has ended":            {after: same, passes: time.Hour, want: authctx.TokenExpired},
	} {
		synctest.Test(t, func(t *testing.T) {
			signer, s, now := signerFor(t, jwtauth.EdDSA), newKeyServer(same), testNow
			clock := func() time.Time { return now }
			keys, list := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.MaxStale = time.Hour }), &jwtauth.MemoryRevocations{Now: clock}
			v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys, c.Revocations, c.Now = keys, list, clock })
			token := edToken(t, signer, "k1", 0)
			stream, before := must(v.VerifyToken(t.Context(), token)), must(keys.Key(t.Context(), "k1", jwtauth.EdDSA))
			s.change(func(s *keyServer) { s.down = true })
			time.Sleep(2 * time.Hour)
			if !before.Withdrawn() {
				t.Fatal("the key is believed for ever")
			}
			if o.withdrawn {
				before.Withdraw()
			}
			s.change(func(s *keyServer) { s.down, s.bodies[""] = false, o.after })
			time.Sleep(time.Minute)
			if o.revoked {
				must(0, list.RevokeToken(testIssuer, "k1-0", now.Add(time.Hour)))
			}
			now = now.Add(o.passes)
			_, request := v.Verify(t.Context(), token)
			for what, err := range map[string]error{"stream": stream.Recheck(t.Context()), "request": request} {
				if !errors.Is(err, o.want) {
					t.Errorf("%s: %s: %v, want %v", name, what, err, o.want)
				}
			}
		})
	}
}

// slowKeys takes its time to find a key.
type slowKeys struct {
	jwtauth.KeySource
	wait func()
}

func (s slowKeys) Key(ctx context.Context, keyID string, a jwtauth.Algorithm) (*jwtauth.Key, error) {
	s.wait()
	return s.KeySource.Key(ctx, keyID, a)
}

// remoteAndOwn and setAndOwn have the methods of sources of the package, and a Key of
// their own.
type (
	remoteAndOwn struct {
		*jwtauth.RemoteKeys
		own keySourceFunc
	}
	setAndOwn struct {
		*jwtauth.SigningKeys
		own keySourceFunc
	}
)

func (s remoteAndOwn) Key(ctx context.Context, keyID string, a jwtauth.Algorithm) (*jwtauth.Key, error) {
	return s.own(ctx, keyID, a)
}

func (s setAndOwn) Key(ctx context.Context, keyID string, a jwtauth.Algorithm) (*jwtauth.Key, error) {
	return s.own(ctx, keyID, a)
}

// A request need not have a deadline, and a source of somebody's own no bound.
func TestRule4_ASourceOfOnesOwnHoldsUpARequestForABoundedTime(t *testing.T) {
	signer := signerFor(t, jwtauth.EdDSA)
	hangs := keySourceFunc(func(ctx context.Context, _ string, _ jwtauth.Algorithm) (*jwtauth.Key, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	remote := func(t *testing.T) *jwtauth.RemoteKeys {
		s := newKeyServer(edSet(1))
		s.hang = make(chan struct{})
		return keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.Timeout = 20 * time.Second })
	}
	set := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)}))
	for name, c := range map[string]struct {
		source func(*testing.T) jwtauth.KeySource
		waits  time.Duration
	}{
		"alone":              {func(t *testing.T) jwtauth.KeySource { return hangs }, 5 * time.Second},
		"joined":             {func(t *testing.T) jwtauth.KeySource { return must(jwtauth.JoinKeys(hangs, hangs)) }, 5 * time.Second},
		"around remote keys": {func(t *testing.T) jwtauth.KeySource { return remoteAndOwn{remote(t), hangs} }, 5 * time.Second},
		"around a set":       {func(*testing.T) jwtauth.KeySource { return setAndOwn{set, hangs} }, 5 * time.Second},
		"joined, around a set": {func(*testing.T) jwtauth.KeySource {
			return must(jwtauth.JoinKeys(setAndOwn{set, hangs}, set))
		}, 5 * time.Second},
		"of this package, which has a bound": {func(t *testing.T) jwtauth.KeySource { return remote(t) }, 20 * time.Second},
	} {
		for deadline, want := range map[time.Duration]time.Duration{0: c.waits, time.Second: time.Second, time.Hour: c.waits} {
			synctest.Test(t, func(t *testing.T) {
				v := newVerifier(t, signer, func(cfg *jwtauth.VerifierConfig) { cfg.Keys = c.source(t) })
				ctx := t.Context()
				if deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, deadline)
					defer cancel()
				}
				began := time.Now()
				_, err := v.Verify(ctx, edToken(t, signer, "k1", 0))
				if waited := time.Since(began); authctx.ReasonOf(err) != authctx.Unavailable || waited != want {
					t.Errorf("%s: %v after %v, want %v", name, err, waited, want)
				}
			})
		}
	}
}

func TestATokenThatExpiresWhileItsKeyIsLookedForIsExpired(t *testing.T) {
	signer, now := signerFor(t, jwtauth.EdDSA), testNow
	v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) {
		c.Keys = slowKeys{c.Keys, func() { now = now.Add(5 * time.Second) }}
		c.Leeway, c.Now = jwtauth.NoLeeway, func() time.Time { return now }
	})
	token := signer.token(t, goodClaims(map[string]any{"exp": now.Unix() + 4}))
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.TokenExpired) {
		t.Error(err)
	}
}
