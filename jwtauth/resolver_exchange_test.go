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

// keyRing is a number of proven issuers, each of which gets the key of the next one
// when they are turned.
type keyRing struct {
	*tenantKeys
	issuers []string
	signers []testSigner
	tokens  []string // of the keys before
	turned  []string // and after
}

func newKeyRing(t *testing.T, issuers int, change func(*jwtauth.ResolvingVerifierConfig)) *keyRing {
	c := &keyRing{tenantKeys: newTenantKeys(t, change)}
	for i := range issuers {
		c.issuers, c.signers = append(c.issuers, fmt.Sprintf("https://%d.example", i)), append(c.signers, newSigner(t, fmt.Sprint(i)))
	}
	for i, issuer := range c.issuers {
		next := c.signers[(i+1)%issuers]
		c.tokens, c.turned = append(c.tokens, c.tokenOf(issuer, c.signers[i])), append(c.turned, c.tokenOf(issuer, next))
		c.register(issuer, c.signers[i].key)
		c.try("at first", c.tokens[i], nil)
	}
	return c
}

func (c *keyRing) turn() {
	for i, issuer := range c.issuers {
		c.register(issuer, c.signers[(i+1)%len(c.issuers)].key)
	}
}

func (c *keyRing) tryTurned(when string) {
	c.t.Helper()
	for i, issuer := range c.issuers {
		c.try(when+": "+issuer, c.turned[i], nil)
		c.try(when+": "+issuer+", its key of before", c.tokens[i], authctx.UnknownKey)
	}
}

// An operator may register keys the wrong way round, and put that right.
func TestRule8_IssuersThatExchangeTheirKeysGoOn(t *testing.T) {
	for name, age := range map[string]time.Duration{"while they go on": 10 * time.Minute, "after MaxStale": time.Hour} {
		for _, issuers := range []int{2, 3, 5} {
			name := fmt.Sprintf("%d issuers, %s", issuers, name)
			synctest.Test(t, func(t *testing.T) {
				c := newKeyRing(t, issuers, func(cfg *jwtauth.ResolvingVerifierConfig) { cfg.MaxStale = time.Hour })
				defer c.r.Close()
				c.turn()
				time.Sleep(age)
				began := time.Now()
				c.tryTurned(name)
				if waited := time.Since(began); waited > 0 {
					t.Errorf("%s: waited %v", name, waited)
				}
				for range 12 {
					time.Sleep(11 * time.Minute)
					c.tryTurned(name + ", later")
				}
			})
			synctest.Test(t, func(t *testing.T) {
				c := newKeyRing(t, issuers, func(cfg *jwtauth.ResolvingVerifierConfig) { cfg.MaxStale = time.Hour })
				defer c.r.Close()
				c.turn()
				time.Sleep(age)
				var all sync.WaitGroup
				for _, token := range c.turned {
					all.Go(func() { c.try(name+", all at once", token, nil) })
				}
				all.Wait()
				c.tryTurned(name + ", after all at once")
			})
		}
	}
}

// Each of them is asked about while nobody can tell of the other.
func TestRule8_IssuersThatExchangeTheirKeysNeedNotBeAskedAboutTogether(t *testing.T) {
	for _, issuers := range []int{2, 3} {
		synctest.Test(t, func(t *testing.T) {
			c := newKeyRing(t, issuers, func(cfg *jwtauth.ResolvingVerifierConfig) { cfg.MaxStale = 10 * time.Minute })
			defer c.r.Close()
			c.turn()
			time.Sleep(10 * time.Minute)
			down := func(context.Context) error { return errors.New("no database") }
			for i := range issuers { // and the moments at which they are asked again stay apart
				for _, issuer := range c.issuers {
					c.fail[issuer] = down
				}
				delete(c.fail, c.issuers[i])
				c.try("one at a time", c.turned[i], map[bool]error{false: authctx.Unavailable}[i == issuers-1])
				time.Sleep(10 * time.Second)
			}
			clear(c.fail)
			c.tryTurned("all can be told of")
		})
	}
}

// Whoever waits for keys that stay with another has not lost those that it has to
// somebody of whom no token was verified.
func TestRule2_ANewcomerTakesNoKeyThatAProvenIssuerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTenantKeys(t, nil)
		defer c.r.Close()
		const third = "https://third.example"
		v, h, k := newSigner(t, "v"), newSigner(t, "h"), newSigner(t, "k")
		c.register(victim, v.key)
		c.register(third, k.key)
		good, bad := c.tokenOf(victim, v), c.tokenOf(hostile, h)
		c.try("at first", good, nil)
		c.try("at first", c.tokenOf(third, k), nil)
		c.register(victim, k.key)
		c.register(hostile, h.key, v.key)
		for range 10 {
			time.Sleep(10*time.Minute + time.Second)
			for range 6 {
				c.try("the proven issuer goes on", good, nil)
				c.try("the newcomer", bad, authctx.Unavailable)
				time.Sleep(10 * time.Second)
			}
		}
	})
}

// Nor to a proven one, unless both have their keys then.
func TestRule4_AnIssuerWhoseNextKeysStayWithAnotherGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newKeyRing(t, 3, nil)
		defer c.r.Close()
		c.register(c.issuers[0], c.signers[1].key, c.signers[2].key)
		c.register(c.issuers[1], c.signers[0].key)
		for range 10 {
			time.Sleep(10*time.Minute + time.Second)
			for i, issuer := range c.issuers {
				c.try(issuer+" goes on", c.tokens[i], nil)
			}
		}
		c.register(c.issuers[2], newSigner(t, "3").key)
		time.Sleep(10*time.Minute + time.Second)
		c.try("going on once more", c.tokens[0], nil)
		synctest.Wait()
		c.try("the third gave up its key", c.turned[0], nil)
		c.try("the third gave up its key", c.tokenOf(c.issuers[1], c.signers[0]), nil)
	})
}

// Those that exchange keys wait until both have them.
func TestRule4_AnExchangeTakesNoKeysAwayBeforeTheNextAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, nil)
		const a, b = "https://a.example", "https://b.example"
		signers := map[string]testSigner{a: u.s(a), b: u.s(b)}
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			return newVerifier(t, signers[issuer], func(c *jwtauth.VerifierConfig) {
				c.Issuer, c.Keys = issuer, must(jwtauth.NewStaticKeys(signers[issuer].key))
			}), nil
		}
		u.verify("at first", signers[a], a, nil)
		u.verify("at first", signers[b], b, nil)
		next, from := newSigner(t, "k1"), time.Now().Add(20*time.Minute)
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			return newVerifier(t, next, func(c *jwtauth.VerifierConfig) {
				c.Issuer, c.Keys = issuer, laterKeys{next.key, from}
				if issuer == a {
					c.Keys = must(jwtauth.NewStaticKeys(signers[b].key))
				}
			}), nil
		}
		for time.Sleep(10 * time.Minute); time.Until(from) > 10*time.Second; time.Sleep(11 * time.Second) {
			u.verify("b goes on", signers[b], b, nil)
			u.verify("and so does a", signers[a], a, nil)
		}
		time.Sleep(30 * time.Second)
		for range 3 {
			u.r.Verify(t.Context(), "x.y.z")
			for issuer, s := range map[string]testSigner{a: signers[a], b: signers[b]} {
				token := s.token(t, goodClaims(map[string]any{"iss": issuer, "exp": time.Now().Add(time.Hour).Unix(), "iat": nil}))
				u.r.Verify(t.Context(), token) // which begins the renewal
			}
			time.Sleep(11 * time.Second)
		}
		u.verify("b has other keys", next, b, nil)
		u.verify("and a has b's", signers[b], a, nil)
		u.close()
	})
}

// What exchanges keys is released as everything else is.
func TestAnExchangeReleasesEachVerifierOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		resolved, released := map[*jwtauth.Verifier]bool{}, map[*jwtauth.Verifier]int{}
		c := newKeyRing(t, 3, func(cfg *jwtauth.ResolvingVerifierConfig) {
			resolve := cfg.Resolve
			cfg.Resolve = func(ctx context.Context, issuer string) (*jwtauth.Verifier, error) {
				v, err := resolve(ctx, issuer)
				mu.Lock()
				defer mu.Unlock()
				resolved[v] = v != nil
				return v, err
			}
			cfg.Release = func(v *jwtauth.Verifier) {
				mu.Lock()
				defer mu.Unlock()
				released[v]++
			}
		})
		for range 5 {
			c.turn()
			time.Sleep(10 * time.Minute)
			c.tryTurned("turned")
			c.signers = append(c.signers[1:], c.signers[0])
			for i, issuer := range c.issuers {
				c.tokens[i], c.turned[i] = c.turned[i], c.tokenOf(issuer, c.signers[(i+1)%3])
			}
		}
		if err := c.r.Close(); err != nil {
			t.Error(err)
		}
		for v, n := range released {
			if n != 1 || !resolved[v] {
				t.Errorf("a verifier was released %d times", n)
			}
		}
		if len(released) < 3*6 {
			t.Errorf("%d were released", len(released))
		}
	})
}
