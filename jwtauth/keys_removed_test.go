package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestRule4_CVE_2025_22149_ARemovedKeyStopsVerifyingWithinTheRefreshInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1, 2))
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 10 * time.Minute })
		removed := must(keys.Key(t.Context(), "k1", jwtauth.EdDSA))
		stays := must(keys.Key(t.Context(), "k2", jwtauth.EdDSA))
		for range 20 { // at every point of the schedule
			time.Sleep(7 * time.Minute)
			if removed.Withdrawn() || stays.Withdrawn() {
				t.Fatal("withdrawn while it was published")
			}
		}
		s.serve(edSet(2))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if !removed.Withdrawn() {
			t.Error("what it verified still counts")
		}
		if stays.Withdrawn() {
			t.Error("the other key went with it")
		}
		wantFind(t, keys, "k1", "unknown_key")
		if again := must(keys.Key(t.Context(), "k2", jwtauth.EdDSA)); again != stays {
			t.Error("a key that stayed is another Key now")
		}
	})
}

func TestRule4_CVE_2025_22149_ARemovedKeyStopsVerifyingInTimeWithASlowProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1, 2))
		s.delay = 4 * time.Second
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 10 * time.Second })
		for s.fetches() < 20 {
			time.Sleep(time.Second)
		}
		keys.Close()
		for _, gap := range s.gaps() {
			if gap > 10*time.Second || gap < 9*time.Second {
				t.Errorf("%v from one load to the next", gap)
			}
		}
	})
}

func TestRule4_AProviderSlowerThanTheRefreshIntervalIsNotAskedWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		s.delay = 2 * time.Second
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = time.Second })
		time.Sleep(time.Minute)
		keys.Close()
		for _, gap := range s.gaps() {
			if gap != s.delay+100*time.Millisecond {
				t.Errorf("%v from one load to the next", gap)
			}
		}
	})
}

// A stream goes on if its key is still there, whatever else is said of it (RFC
// 7517 section 4), and its token would verify with it.
func TestAStreamOutlivesWhatIsSaidOfItsKey(t *testing.T) {
	signer := signerFor(t, jwtauth.RS256)
	public := testRSAKey().Public()
	other := must(jwtauth.NewStaticKeys(must(jwtauth.NewPublicKey("other", "", edKey(3)))))
	said := func(members jwkMembers) string { return jwks(jwk("k1", public, members), jwk("k2", edKey(2))) }
	nothing, rs256 := said(nil), said(jwkMembers{"alg": "RS256"})
	for name, test := range map[string]struct {
		before, after string
		withdraw      bool // by hand, before that
		want          error
	}{
		"its algorithm appears":     {nothing, rs256, false, nil},
		"its algorithm disappears":  {rs256, nothing, false, nil},
		"another algorithm appears": {nothing, said(jwkMembers{"alg": "PS256"}), false, authctx.InvalidToken},
		"its issuer appears":        {nothing, said(jwkMembers{"issuer": testIssuer}), false, nil},
		"its issuer disappears":     {said(jwkMembers{"issuer": testIssuer}), nothing, false, nil},
		"another issuer appears":    {nothing, said(jwkMembers{"issuer": "https://other.example"}), false, authctx.WrongIssuer},
		"it is for encryption":      {nothing, said(jwkMembers{"use": "enc"}), false, authctx.UnknownKey},
		"it is not for verifying":   {nothing, said(jwkMembers{"key_ops": []string{"encrypt"}}), false, authctx.UnknownKey},
		"it is another key":         {nothing, jwks(jwk("k1", &keysRSA().PublicKey), jwk("k2", edKey(2))), false, authctx.UnknownKey},
		"it is gone":                {nothing, edSet(2), false, authctx.UnknownKey},
		"it was withdrawn":          {nothing, rs256, true, authctx.UnknownKey},
	} {
		for kind, source := range map[string]func(*jwtauth.RemoteKeys) jwtauth.KeySource{
			"remote keys": func(r *jwtauth.RemoteKeys) jwtauth.KeySource { return r },
			"a keyfunc":   func(r *jwtauth.RemoteKeys) jwtauth.KeySource { return must(jwtauth.KeysFromKeyfunc(r.Keyfunc())) },
			"joined keys": func(r *jwtauth.RemoteKeys) jwtauth.KeySource { return must(jwtauth.JoinKeys(other, r)) },
		} {
			if kind == "a keyfunc" && name == "another issuer appears" {
				continue // which jwkset does not read
			}
			synctest.Test(t, func(t *testing.T) {
				s := newKeyServer(test.before)
				keys := source(keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 10 * time.Minute }))
				v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) {
					c.Keys, c.Algorithms = keys, []jwtauth.Algorithm{jwtauth.RS256, jwtauth.PS256}
				})
				stream := must(v.VerifyToken(t.Context(), signer.token(t, goodClaims(map[string]any{"jti": "token"}))))
				if test.withdraw {
					must(keys.Key(t.Context(), "k1", jwtauth.RS256)).Withdraw()
				}
				s.serve(test.after)
				time.Sleep(10 * time.Minute)
				for range 2 {
					if err := stream.Recheck(t.Context()); !errors.Is(err, test.want) {
						t.Errorf("%s, %s: %v, want %v", kind, name, err, test.want)
					}
					// The token that is sent again is read from the cache, another one is not.
					for _, id := range []string{"token", "another"} {
						if _, err := v.Verify(t.Context(), signer.token(t, goodClaims(map[string]any{"jti": id}))); (err == nil) != (test.want == nil) {
							t.Errorf("%s, %s, %s: %v, want %v", kind, name, id, err, test.want)
						}
					}
				}
			})
		}
	}
}

// restatingKeys are keys of which something else is said as soon as one was
// found.
type restatingKeys struct {
	jwtauth.KeySource
	once sync.Once
	then func()
}

func (r *restatingKeys) Key(ctx context.Context, id string, algorithm jwtauth.Algorithm) (*jwtauth.Key, error) {
	key, err := r.KeySource.Key(ctx, id, algorithm)
	r.once.Do(r.then)
	return key, err
}

// remoteSources are the ways to use remote keys.
var remoteSources = map[string]func(*jwtauth.RemoteKeys) jwtauth.KeySource{
	"remote keys": func(r *jwtauth.RemoteKeys) jwtauth.KeySource { return r },
	"a keyfunc":   func(r *jwtauth.RemoteKeys) jwtauth.KeySource { return must(jwtauth.KeysFromKeyfunc(r.Keyfunc())) },
}

func TestRule4_AKeyOfWhichSomethingElseIsSaidMeanwhileFailsNoRequest(t *testing.T) {
	signer := signerFor(t, jwtauth.RS256)
	for kind, source := range remoteSources {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(jwks(jwk("k1", testRSAKey().Public())))
			remote := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 10 * time.Minute })
			keys := &restatingKeys{KeySource: source(remote), then: func() {
				s.serve(jwks(jwk("k1", testRSAKey().Public(), jwkMembers{"alg": "RS256"})))
				time.Sleep(10 * time.Minute)
			}}
			v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = keys })
			if _, err := v.Verify(t.Context(), signer.token(t, goodClaims(nil))); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		})
	}
}

// A key that somebody withdrew stays withdrawn (Key.Withdraw is final) for as long
// as the issuer has it, whatever else it says of it.
func TestRule5_AWithdrawalOutlivesWhatIsSaidOfTheKey(t *testing.T) {
	signer := signerFor(t, jwtauth.RS256)
	public := testRSAKey().Public()
	said := func(n int, members jwkMembers) string {
		return jwks(jwk("k1", public, members), jwk(fmt.Sprint("other", n), edKey(n)))
	}
	for kind, source := range remoteSources {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(said(0, nil))
			keys := source(keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 10 * time.Minute }))
			v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = keys })
			must(keys.Key(t.Context(), "k1", jwtauth.RS256)).Withdraw()
			for n, members := range []jwkMembers{{"alg": "RS256"}, nil, {"alg": "PS256"}, {"alg": "RS256"}} {
				s.serve(said(n, members))
				time.Sleep(10 * time.Minute)
				wantFind(t, keys, fmt.Sprint("other", n), "found") // and a keyfunc forgets what left
				if _, err := v.Verify(t.Context(), signer.token(t, goodClaims(nil))); err == nil {
					t.Errorf("%s, %v: the token is accepted", kind, members)
				}
				if key := must(keys.Key(t.Context(), "k1", jwtauth.RS256)); !key.Withdrawn() {
					t.Errorf("%s, %v: the key is believed again", kind, members)
				}
			}
		})
	}
}

// What is not trusted is the key, whatever becomes of its name and of the provider.
func TestRule5_RemoteKeysBelieveAWithdrawnKeyNeverAgain(t *testing.T) {
	k1, renamed, without := edSet(1), jwks(jwk("other", edKey(1))), edSet(2)
	for name, sets := range map[string][]string{ // one after the other, each for 10 minutes; "" is a provider that is down
		"under another ID beside it":   {jwks(jwk("k1", edKey(1)), jwk("other", edKey(1)))},
		"under another ID later":       {k1, jwks(jwk("k1", edKey(1)), jwk("other", edKey(1)))},
		"under another ID instead":     {k1, renamed},
		"after it was removed":         {k1, without, k1},
		"after that, under another ID": {k1, without, without, renamed},
		"after nobody confirmed it":    {k1, "", "", k1},
		"and had another name since":   {k1, renamed, "", "", without, k1},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { withdrawThenServe(t, sets) }) })
	}
}

func withdrawThenServe(t *testing.T, sets []string) {
	s := newKeyServer(sets[0])
	keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) {
		c.RefreshInterval, c.MaxStale = 9*time.Minute, 10*time.Minute
	})
	must(keys.Key(t.Context(), "k1", "")).Withdraw()
	for _, set := range sets {
		s.change(func(s *keyServer) { s.bodies[""], s.down = set, set == "" })
		time.Sleep(10 * time.Minute)
	}
	for _, id := range []string{"k1", "other"} {
		if key, err := keys.Key(t.Context(), id, ""); err == nil && !key.Withdrawn() {
			t.Errorf("%v is believed", key)
		}
	}
}

// Whoever withdraws a Key may hold it since long before.
func TestRule5_AWithdrawalReachesWhatWasSaidOfTheKeySince(t *testing.T) {
	signer := signerFor(t, jwtauth.RS256)
	said := func(members jwkMembers) string {
		return jwks(jwk("k1", testRSAKey().Public(), members), jwk("k2", edKey(2)))
	}
	for kind, source := range remoteSources {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(said(nil))
			keys := source(keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 10 * time.Minute }))
			v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = keys })
			first := must(keys.Key(t.Context(), "k1", jwtauth.RS256))
			for _, members := range []jwkMembers{{"alg": "RS256"}, nil} {
				s.serve(said(members))
				time.Sleep(10 * time.Minute)
				must(v.Verify(t.Context(), signer.token(t, goodClaims(nil))))
			}
			first.Withdraw()
			if _, err := v.Verify(t.Context(), signer.token(t, goodClaims(nil))); !errors.Is(err, authctx.UnknownKey) {
				t.Errorf("%s: %v", kind, err)
			}
		})
	}
}

// An issuer that gives an ID to another key has got rid of the one that somebody
// withdrew, before or since.
func TestRule4_AnotherKeyOfAnIDIsNotTheOneThatWasWithdrawn(t *testing.T) {
	for kind, source := range remoteSources {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, before %v", kind, before), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newKeyServer(jwks(jwk("k1", edKey(1))))
					keys := source(keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 10 * time.Minute }))
					old := must(keys.Key(t.Context(), "k1", jwtauth.EdDSA))
					if before {
						old.Withdraw()
					}
					s.serve(jwks(jwk("k1", edKey(2))))
					time.Sleep(10 * time.Minute)
					synctest.Wait()
					now := must(keys.Key(t.Context(), "k1", jwtauth.EdDSA))
					old.Withdraw()
					if !jwtauth.HasMaterial(now, edKey(2)) || now.Withdrawn() {
						t.Error("the new key is not believed")
					}
				})
			})
		}
	}
}

// A caller who is vouched for has an issuer of its own.
func TestAStreamOfAVouchedCallerOutlivesWhatIsSaidOfTheKey(t *testing.T) {
	for name, said := range map[string][2]jwkMembers{
		"its algorithm appears":                   {nil, {"alg": "RS256"}},
		"its issuer appears":                      {nil, {"issuer": testDomain}},
		"its algorithm appears beside the issuer": {{"issuer": testDomain}, {"issuer": testDomain, "alg": "RS256"}},
		"its issuer disappears":                   {{"issuer": testDomain}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			minter := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.RS256, Signer: testRSAKey()}))
			s := newKeyServer(jwks(jwk(minter.ID(), testRSAKey().Public(), said[0])))
			keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 10 * time.Minute })
			synctest.Wait()
			edge := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
				TrustDomain: testDomain, Workload: "w", Keys: must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: minter})),
			}))
			auth := must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: testDomain, Keys: keys}))
			alice := must(authctx.New(authctx.Attributes{
				Issuer: "https://idp.example", Subject: "alice", Scopes: []string{"read"}, Expires: time.Now().Add(time.Hour),
			}))
			stream := must(auth.Authenticate(t.Context(), txnRequest(must(inject(t.Context(), edge, alice)))))
			s.serve(jwks(jwk(minter.ID(), testRSAKey().Public(), said[1]), jwk("k2", edKey(2))))
			time.Sleep(11 * time.Minute)
			if err := stream.Recheck(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// A load that drops a key proves that it is gone, though nobody had asked for it
// while it was unknown.
func TestRule4_AKeyThatALoadRemovedIsUnknownAtOnce(t *testing.T) {
	t.Run("a load that a request caused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(edSet(1))
			keys := keysFrom(t, s)
			synctest.Wait()
			s.serve(edSet(2))
			wantFind(t, keys, "k2", "found")
			for range 5 {
				wantFind(t, keys, "k1", "unknown_key")
				time.Sleep(2*time.Second - 1)
			}
			if s.fetches() != 2 {
				t.Errorf("%d fetches", s.fetches())
			}
		})
	})
	t.Run("a load that came by itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(edSet(1))
			keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = time.Minute })
			synctest.Wait()
			s.serve(edSet(2))
			for s.fetches() < 2 {
				time.Sleep(100 * time.Millisecond)
			}
			s.serve(edSet(2, 3))
			wantFind(t, keys, "k1", "unknown_key")
			if s.fetches() != 2 {
				t.Errorf("%d fetches", s.fetches())
			}
			wantFind(t, keys, "k3", "found") // whose fetch nothing has used up
			wantFind(t, keys, "k1", "unknown_key")
		})
	})
	t.Run("keys that were only too old", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(edSet(1))
			keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.MaxStale = time.Hour })
			synctest.Wait()
			s.change(func(s *keyServer) { s.down = true })
			time.Sleep(2 * time.Hour)
			wantFind(t, keys, "k1", "unavailable")
			s.change(func(s *keyServer) { s.down = false })
			s.serve(edSet(2))
			time.Sleep(time.Minute)
			wantFind(t, keys, "k2", "found")
			wantFind(t, keys, "k1", "unknown_key")
		})
	})
}
