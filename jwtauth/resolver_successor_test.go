package jwtauth_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// laterKeys has its keys from a moment on, and never if that is zero.
type laterKeys struct {
	key  *jwtauth.Key
	from time.Time
}

func (k laterKeys) Key(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
	if k.from.IsZero() || time.Now().Before(k.from) {
		return nil, authctx.Unavailable
	}
	return k.key, nil
}

func (k laterKeys) Ready(ctx context.Context) error {
	if k.from.IsZero() {
		return authctx.Unavailable
	}
	select {
	case <-time.After(time.Until(k.from)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// successors is a resolver without a cache, whose answers a test may change.
type successors struct {
	t       *testing.T
	r       *jwtauth.ResolvingVerifier
	s       func(issuer string) testSigner
	resolve func(issuer string) (*jwtauth.Verifier, error)
	asked   atomic.Int32
}

func newSuccessors(t *testing.T, change func(*jwtauth.ResolvingVerifierConfig)) *successors {
	u := &successors{t: t, s: signers(t)}
	u.resolve = func(issuer string) (*jwtauth.Verifier, error) { return verifierOf(t, issuer, u.s(issuer)), nil }
	cfg := jwtauth.ResolvingVerifierConfig{
		Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
			u.asked.Add(1)
			return u.resolve(issuer)
		},
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Cache: jwtauth.CacheConfig{Disabled: true},
	}
	if change != nil {
		change(&cfg)
	}
	u.r = must(jwtauth.NewResolvingVerifier(cfg))
	return u
}

// withKeys makes Resolve return a verifier with these keys.
func (u *successors) withKeys(keys func() jwtauth.KeySource) {
	u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
		return newVerifier(u.t, u.s(issuer), func(c *jwtauth.VerifierConfig) { c.Issuer, c.Keys = issuer, keys() }), nil
	}
}

func (u *successors) verify(when string, s testSigner, issuer string, want error) {
	u.t.Helper()
	token := s.token(u.t, goodClaims(map[string]any{"iss": issuer, "exp": time.Now().Add(1000 * time.Hour).Unix(), "iat": nil}))
	if _, err := u.r.Verify(u.t.Context(), token); !errors.Is(err, want) || want == nil && err != nil {
		u.t.Errorf("%s: %v, want %v", when, err, want)
	}
}

func (u *successors) close() {
	u.t.Helper()
	if err := u.r.Close(); err != nil {
		u.t.Error(err)
	}
}

// Whoever replaces a verifier, for its keys were stolen, say, need not wait for
// ever until the provider of the next keys can be reached.
func TestRule5_AReplacedVerifierIsOverWithMaxStale(t *testing.T) {
	for name, test := range map[string]struct{ maxStale, goesOn time.Duration }{
		"an hour":      {time.Hour, time.Hour - time.Second},
		"as MaxAge is": {10 * time.Minute, 10*time.Minute - 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.MaxStale = test.maxStale })
			start, old := time.Now(), u.s(testIssuer)
			u.verify(name, old, testIssuer, nil)
			u.withKeys(func() jwtauth.KeySource { return laterKeys{} })
			for time.Since(start) < test.goesOn-time.Minute {
				time.Sleep(time.Minute)
				u.verify(name, old, testIssuer, nil)
			}
			time.Sleep(time.Until(start.Add(test.goesOn)))
			u.verify(name, old, testIssuer, nil)
			time.Sleep(time.Until(start.Add(test.maxStale)))
			for range 100 {
				u.verify(name, old, testIssuer, authctx.Unavailable)
				time.Sleep(time.Minute)
			}
			u.close()
		})
	}
}

// What takes the place of an answer that is over comes with its keys or without:
// a verifier that stays has time to load them.
func TestAVerifierWhoseKeysTakeLongerThanTheTimeoutIsTakenOverInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.MaxStale = time.Hour })
		old, next := u.s(testIssuer), newSigner(t, "k1")
		u.verify("before", old, testIssuer, nil)
		u.withKeys(func() jwtauth.KeySource { return laterKeys{next.key, time.Now().Add(time.Minute)} })
		time.Sleep(time.Hour)
		u.verify("when the old one is over", next, testIssuer, authctx.Unavailable)
		time.Sleep(time.Minute)
		u.verify("when the new keys are there", next, testIssuer, nil)
		u.close()
	})
}

// keysThatDiffer cannot be compared.
type keysThatDiffer struct {
	laterKeys
	_ []int
}

func TestJoinedKeysTakeOverWhenOneSourceHasThem(t *testing.T) {
	for name, test := range map[string]struct {
		sources func(s testSigner) []jwtauth.KeySource
		goesOn  bool // the verifier of before
	}{
		"static keys, and a source that is down": {func(s testSigner) []jwtauth.KeySource {
			return []jwtauth.KeySource{must(jwtauth.NewStaticKeys(s.key)), laterKeys{}}
		}, false},
		"a source that is down, and one that cannot tell": {func(s testSigner) []jwtauth.KeySource {
			return []jwtauth.KeySource{laterKeys{}, keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) { return s.key, nil })}
		}, false},
		"a source that is down, and one that is slow": {func(s testSigner) []jwtauth.KeySource {
			return []jwtauth.KeySource{laterKeys{}, laterKeys{s.key, time.Now().Add(time.Second)}}
		}, false},
		"a source that hangs, and one that is slow": {func(s testSigner) []jwtauth.KeySource {
			return []jwtauth.KeySource{laterKeys{s.key, time.Now().Add(time.Hour)}, laterKeys{s.key, time.Now().Add(time.Second)}}
		}, false},
		"joined once more": {func(s testSigner) []jwtauth.KeySource {
			return []jwtauth.KeySource{must(jwtauth.JoinKeys(laterKeys{}, must(jwtauth.NewStaticKeys(s.key)))), laterKeys{}}
		}, false},
		"all down": {func(testSigner) []jwtauth.KeySource {
			return []jwtauth.KeySource{laterKeys{}, must(jwtauth.JoinKeys(laterKeys{}))}
		}, true},
		"all down, one that cannot be compared": {func(testSigner) []jwtauth.KeySource {
			return []jwtauth.KeySource{keysThatDiffer{}, laterKeys{}}
		}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newSuccessors(t, nil)
			old, next := u.s(testIssuer), newSigner(t, "k1")
			u.verify(name, old, testIssuer, nil)
			u.withKeys(func() jwtauth.KeySource {
				sources := test.sources(next)
				return must(jwtauth.JoinKeys(sources[0], sources[1:]...))
			})
			time.Sleep(10 * time.Minute)
			u.verify(name+": meanwhile", old, testIssuer, nil)
			time.Sleep(6 * time.Second) // the Timeout is 5
			if test.goesOn {
				u.verify(name, old, testIssuer, nil)
			} else {
				u.verify(name, next, testIssuer, nil)
				u.verify(name, old, testIssuer, authctx.InvalidToken)
			}
			u.close()
		})
	}
}

// An answer whose keys are late counts for nothing when a later one has come.
func TestWhatComesLateTakesNoLaterAnswerAway(t *testing.T) {
	const a, b = "https://a.example", "https://b.example"
	for name, test := range map[string]struct {
		disabled bool
		want     error
	}{"a tenant that was disabled": {true, authctx.WrongIssuer}, "a verifier that was replaced": {false, nil}} {
		synctest.Test(t, func(t *testing.T) {
			var releases atomic.Int32
			u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
				c.MaxIssuers, c.Release = 1, func(*jwtauth.Verifier) { releases.Add(1) }
			})
			oldest, late, latest, other := u.s(a), newSigner(t, "k1"), newSigner(t, "k1"), u.s(b)
			resolve := u.resolve
			u.verify(name, oldest, a, nil)
			time.Sleep(10 * time.Minute)
			u.withKeys(func() jwtauth.KeySource { return laterKeys{late.key, time.Now().Add(4 * time.Second)} })
			u.verify(name+": a renewal waits for its keys", oldest, a, nil)
			u.resolve = resolve
			u.verify(name+": b pushes a out", other, b, nil)
			u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
				if test.disabled {
					return nil, authctx.WrongIssuer
				}
				return verifierOf(t, issuer, latest), nil
			}
			for range 20 {
				u.verify(name, latest, a, test.want)
				time.Sleep(time.Second)
			}
			synctest.Wait()
			if want := int32(2); test.disabled && releases.Load() != want || !test.disabled && releases.Load() != want+1 {
				t.Errorf("%s: %d were released", name, releases.Load())
			}
			u.close()
		})
	}
}

// Keys that take their time are waited for by one call.
func TestARenewalThatWaitsForItsKeysIsTheOnlyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.Timeout = 2 * time.Minute })
		old, next := u.s(testIssuer), newSigner(t, "k1")
		u.verify("at first", old, testIssuer, nil)
		time.Sleep(10 * time.Minute)
		u.withKeys(func() jwtauth.KeySource { return laterKeys{next.key, time.Now().Add(time.Minute)} })
		for range 5 {
			u.verify("until then", old, testIssuer, nil)
			time.Sleep(11 * time.Second)
		}
		time.Sleep(6 * time.Second)
		u.verify("after that", next, testIssuer, nil)
		if n := u.asked.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}
		u.close()
	})
}

// Whatever ends an answer ends tokens in the cache with it, and streams ask
// again.
func TestRule5_NothingCountsOnAnAnswerThatIsNotKeptAnyMore(t *testing.T) {
	no := func(string) (*jwtauth.Verifier, error) { return nil, authctx.WrongIssuer }
	for name, test := range map[string]struct {
		end          func(u *successors, verify func() jwtauth.VerifiedToken) (stream jwtauth.VerifiedToken)
		want, stream error
	}{
		"a no, while it goes on": {func(u *successors, verify func() jwtauth.VerifiedToken) jwtauth.VerifiedToken {
			u.resolve = func(string) (*jwtauth.Verifier, error) { return nil, errors.New("down") }
			time.Sleep(10 * time.Minute)
			verify()
			time.Sleep(10 * time.Second)
			u.resolve = no
			return verify() // which begins the renewal
		}, authctx.WrongIssuer, authctx.WrongIssuer},
		"another verifier, whose keys are there": {func(u *successors, verify func() jwtauth.VerifiedToken) jwtauth.VerifiedToken {
			u.withKeys(func() jwtauth.KeySource { return laterKeys{newSigner(u.t, "k1").key, time.Now().Add(time.Second)} })
			time.Sleep(10 * time.Minute)
			stream := verify()
			time.Sleep(time.Second)
			return stream
		}, authctx.BadSignature, authctx.UnknownKey},
		"a no, after it was pushed out": {func(u *successors, verify func() jwtauth.VerifiedToken) jwtauth.VerifiedToken {
			stream := verify()
			u.verify("another", u.s("https://b.example"), "https://b.example", nil)
			u.resolve = no
			return stream
		}, authctx.WrongIssuer, authctx.WrongIssuer},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.Cache, c.MaxIssuers = jwtauth.CacheConfig{}, 1 })
			token := u.s(testIssuer).token(t, goodClaims(map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "iat": nil}))
			verify := func() jwtauth.VerifiedToken { return must(u.r.VerifyToken(t.Context(), token)) }
			verify()
			stream := test.end(u, verify)
			synctest.Wait()
			if _, err := u.r.Verify(t.Context(), token); !errors.Is(err, test.want) {
				t.Errorf("%s: verify: %v, want %v", name, err, test.want)
			}
			if err := stream.Recheck(t.Context()); !errors.Is(err, test.stream) {
				t.Errorf("%s: recheck: %v, want %v", name, err, test.stream)
			}
			u.close()
		})
	}
}

// What the next answer lets in counts for streams that the one before let in.
func TestRule5_AStreamIsHeldToTheRulesOfTheNextAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*jwtauth.VerifierConfig)
		want   authctx.Reason
	}{
		"tenants":    {func(c *jwtauth.VerifierConfig) { c.Tenants = jwtauth.OnlyTenants("b") }, authctx.WrongIssuer},
		"algorithms": {func(c *jwtauth.VerifierConfig) { c.Algorithms = []jwtauth.Algorithm{jwtauth.EdDSA} }, authctx.InvalidToken},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newSuccessors(t, nil)
			s, change := newSigner(t, "k1"), func(*jwtauth.VerifierConfig) {}
			u.resolve = func(string) (*jwtauth.Verifier, error) {
				return newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
					c.Issuer, c.Tenants = "https://login.example/{tenantid}", jwtauth.OnlyTenants("a", "b")
					change(c)
				}), nil
			}
			token := s.token(t, goodClaims(map[string]any{
				"iss": "https://login.example/a", "tid": "a", "exp": time.Now().Add(time.Hour).Unix(), "iat": nil,
			}))
			stream := must(u.r.VerifyToken(t.Context(), token))
			time.Sleep(11 * time.Minute)
			if err := stream.Recheck(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			change = test.change
			time.Sleep(11 * time.Minute)
			_, err := u.r.Verify(t.Context(), token)
			for what, err := range map[string]error{"the token": err, "the stream": stream.Recheck(t.Context())} {
				if authctx.ReasonOf(err) != test.want {
					t.Errorf("%s: %s: %v, want %v", name, what, err, test.want)
				}
			}
			u.close()
		})
	}
}

// A spelling that the issuer has no more is nobody's, and no token with it counts.
func TestRule5_AStreamEndsWhenItsSpellingOfTheIssuerIsWithdrawn(t *testing.T) {
	const name, alias, other = "https://a.example", "https://a.example/", "https://a.example:443"
	for change, test := range map[string]struct {
		issuer  string
		aliases []string
		want    map[string]error
	}{
		"none":                      {name, []string{alias, other}, map[string]error{name: nil, alias: nil}},
		"the alias is gone":         {name, []string{other}, map[string]error{name: nil, alias: authctx.WrongIssuer}},
		"there is no alias":         {name, nil, map[string]error{name: nil, alias: authctx.WrongIssuer}},
		"the name is gone":          {other, []string{alias}, map[string]error{name: authctx.WrongIssuer, alias: nil}},
		"the alias became the name": {alias, []string{name}, map[string]error{name: nil, alias: nil}},
		"it is another":             {"https://b.example", nil, map[string]error{name: authctx.WrongIssuer, alias: authctx.WrongIssuer}},
	} {
		for iss, want := range test.want {
			synctest.Test(t, func(t *testing.T) {
				u := newSuccessors(t, nil)
				s, issuer, aliases := newSigner(t, "k1"), name, []string{alias, other}
				u.resolve = func(string) (*jwtauth.Verifier, error) {
					return newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Issuer, c.IssuerAliases = issuer, aliases }), nil
				}
				token := s.token(t, goodClaims(map[string]any{"iss": iss, "exp": time.Now().Add(time.Hour).Unix(), "iat": nil}))
				stream := must(u.r.VerifyToken(t.Context(), token))
				issuer, aliases = test.issuer, test.aliases
				time.Sleep(11 * time.Minute)
				_, err := u.r.Verify(t.Context(), token)
				for what, err := range map[string]error{"the token": err, "the stream": stream.Recheck(t.Context())} {
					if !errors.Is(err, want) || want == nil && err != nil {
						t.Errorf("%s: %s of %s: %v, want %v", change, what, iss, err, want)
					}
				}
				u.close()
			})
		}
	}
}

// The same verifier is not waited for: nothing takes its place.
func TestTheVerifierOfLastTimeIsTakenOverWithoutItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, nil)
		same := newVerifier(t, u.s(testIssuer), func(c *jwtauth.VerifierConfig) { c.Keys = laterKeys{} })
		u.resolve = func(string) (*jwtauth.Verifier, error) { return same, nil }
		for range 22 {
			u.verify("its keys are not there", u.s(testIssuer), testIssuer, authctx.Unavailable)
			time.Sleep(30 * time.Second)
		}
		if n := u.asked.Load(); n != 2 {
			t.Errorf("asked %d times in 11 minutes", n)
		}
		u.close()
	})
}
