package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// tenantKeys are issuers whose static keys are what each of them says.
type tenantKeys struct {
	t     *testing.T
	r     *jwtauth.ResolvingVerifier
	mu    sync.Mutex
	keys  map[string][]*jwtauth.Key
	names map[string][]string // what the verifier of an issuer is called, where that is not what was asked about
	asked map[string]int
	fail  map[string]func(context.Context) error
	late  time.Duration // that an answer takes
}

func newTenantKeys(t *testing.T, change func(*jwtauth.ResolvingVerifierConfig)) *tenantKeys {
	c := &tenantKeys{t: t, keys: map[string][]*jwtauth.Key{}, names: map[string][]string{}, asked: map[string]int{}, fail: map[string]func(context.Context) error{}}
	cfg := jwtauth.ResolvingVerifierConfig{Resolve: c.resolve, Algorithms: []jwtauth.Algorithm{jwtauth.ES256}}
	if change != nil {
		change(&cfg)
	}
	c.r = must(jwtauth.NewResolvingVerifier(cfg))
	return c
}

func (c *tenantKeys) resolve(ctx context.Context, issuer string) (*jwtauth.Verifier, error) {
	c.mu.Lock()
	keys, fail, names, late := c.keys[issuer], c.fail[issuer], c.names[issuer], c.late
	c.asked[issuer]++
	c.mu.Unlock()
	time.Sleep(late)
	if fail != nil {
		return nil, fail(ctx)
	}
	if keys == nil {
		return nil, authctx.WrongIssuer
	}
	if names == nil {
		names = []string{issuer}
	}
	return jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: names[0], IssuerAliases: names[1:], Audiences: []string{testAudience}, Algorithms: []jwtauth.Algorithm{jwtauth.ES256},
		Keys: must(jwtauth.NewStaticKeys(keys[0], keys[1:]...)),
	})
}

// register changes what an issuer says.
func (c *tenantKeys) register(issuer string, keys ...*jwtauth.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[issuer] = keys
}

// call changes what the verifier of an issuer is called, its aliases included.
func (c *tenantKeys) call(issuer string, names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names[issuer] = names
}

// calls returns of how many calls of Resolve nobody was told yet.
func (c *tenantKeys) calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.asked
	c.asked = map[string]int{}
	return asked
}

func (c *tenantKeys) tokenOf(issuer string, s testSigner) string {
	claims := goodClaims(map[string]any{"iss": issuer, "exp": time.Now().Add(1000 * time.Hour).Unix(), "iat": nil})
	return s.compact(c.t, `{"alg":"ES256","typ":"at+jwt","kid":"`+s.key.ID()+`"}`, asJSON(c.t, claims))
}

func (c *tenantKeys) try(when, token string, want error) {
	c.t.Helper()
	if _, err := c.r.Verify(c.t.Context(), token); !errors.Is(err, want) || want == nil && err != nil {
		c.t.Errorf("%s: %v, want %v", when, err, want)
	}
}

const victim, hostile = "https://victim.example", "https://hostile.example"

// Public keys are public: a customer can say that another's are its own, and anybody
// can name that customer in a token that is not even signed by it.
func TestRule4_WhoeverNamesTheKeysOfAProvenIssuerTakesNothingFromIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTenantKeys(t, nil)
		defer c.r.Close()
		v, h := newSigner(t, "v"), newSigner(t, "h")
		c.keys[victim], c.keys[hostile] = []*jwtauth.Key{v.key}, []*jwtauth.Key{h.key, v.key}
		good, bad, forged := c.tokenOf(victim, v), c.tokenOf(hostile, h), c.tokenOf(hostile, newSigner(t, "h"))
		found, err := c.r.VerifyToken(t.Context(), good)
		if err != nil {
			t.Fatal(err)
		}
		for range 6 {
			time.Sleep(10*time.Minute + time.Second) // the answer is over, and nobody has asked
			c.calls()
			for range 60 {
				c.try("another's token", bad, authctx.Unavailable)
				c.try("a forged token", forged, authctx.Unavailable)
				time.Sleep(time.Second)
			}
			if got := c.calls(); !maps.Equal(got, map[string]int{victim: 1, hostile: 6}) {
				t.Errorf("in a minute, Resolve is asked %v", got)
			}
			c.try("the proven issuer's", good, nil)
			if err := found.Recheck(t.Context()); err != nil {
				t.Errorf("its stream: %v", err)
			}
		}
	})
}

// Nor does a newcomer with everybody's keys have everybody asked about.
func TestRule4_ANewcomerCausesOneCallAboutThoseWhoseKeysItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTenantKeys(t, nil)
		defer c.r.Close()
		h := newSigner(t, "h")
		c.keys[hostile] = []*jwtauth.Key{h.key}
		for i := range 20 {
			s, issuer := newSigner(t, fmt.Sprint(i)), fmt.Sprintf("https://%d.example", i)
			c.keys[issuer] = []*jwtauth.Key{s.key}
			c.keys[hostile] = append(c.keys[hostile], s.key)
			c.try(issuer, c.tokenOf(issuer, s), nil)
		}
		time.Sleep(10 * time.Minute)
		c.calls()
		for range 2 {
			c.try("everybody's keys", c.tokenOf(hostile, h), authctx.Unavailable)
			if got := c.calls(); len(got) > 2 {
				t.Errorf("Resolve is asked %v", got)
			}
			time.Sleep(10 * time.Second)
		}
	})
}

// "Cannot tell" is not "renamed", however long that lasts.
func TestRule8_AProvenIssuerOfWhichNobodyCanTellKeepsItsKeys(t *testing.T) {
	for name, after := range map[string]time.Duration{"while it goes on": 10 * time.Minute, "after MaxStale": 2 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c := newTenantKeys(t, func(cfg *jwtauth.ResolvingVerifierConfig) { cfg.MaxStale = time.Hour })
			defer c.r.Close()
			v, h := newSigner(t, "v"), newSigner(t, "h")
			c.keys[victim], c.keys[hostile] = []*jwtauth.Key{v.key}, []*jwtauth.Key{h.key, v.key}
			good, bad := c.tokenOf(victim, v), c.tokenOf(hostile, h)
			c.try(name, good, nil)
			c.fail[victim] = func(context.Context) error { return errors.New("no database") }
			time.Sleep(after)
			c.calls()
			for range 60 {
				c.try(name, bad, authctx.Unavailable)
				time.Sleep(time.Second)
			}
			if got := c.calls(); got[victim] > 6 || got[hostile] > 6 {
				t.Errorf("%s: in a minute, Resolve is asked %v", name, got)
			}
			delete(c.fail, victim)
			time.Sleep(10 * time.Second)
			c.try(name+", told again", good, nil)
		})
	}
}

// A Resolve that hangs, or two issuers that each ask about the other.
func TestRule4_AskingWhoseKeysTheyAreTakesNoLongerThanTheTimeout(t *testing.T) {
	wait := func(t *testing.T, c *tenantKeys, name, token string, want error, most time.Duration) {
		t.Helper()
		began := time.Now()
		if c.try(name, token, want); time.Since(began) > most {
			t.Errorf("%s: waited %v", name, time.Since(began))
		}
	}
	synctest.Test(t, func(t *testing.T) {
		c := newTenantKeys(t, nil)
		defer c.r.Close()
		v, h := newSigner(t, "v"), newSigner(t, "h")
		c.keys[victim], c.keys[hostile] = []*jwtauth.Key{v.key}, []*jwtauth.Key{h.key, v.key}
		good, bad := c.tokenOf(victim, v), c.tokenOf(hostile, h)
		c.try("first", good, nil)
		time.Sleep(10 * time.Minute)
		c.fail[victim] = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		wait(t, c, "the newcomer", bad, authctx.Unavailable, 5*time.Second)
		time.Sleep(time.Minute)
		wait(t, c, "the proven issuer, going on", good, nil, 0)
		wait(t, c, "the newcomer again", bad, authctx.Unavailable, 5*time.Second)
	})
	synctest.Test(t, func(t *testing.T) {
		c := newTenantKeys(t, func(cfg *jwtauth.ResolvingVerifierConfig) { cfg.Cache.Disabled = true })
		defer c.r.Close()
		v, h := newSigner(t, "v"), newSigner(t, "h")
		c.keys[victim], c.keys[hostile] = []*jwtauth.Key{v.key}, []*jwtauth.Key{h.key}
		good, bad := c.tokenOf(victim, v), c.tokenOf(hostile, h)
		c.try("one", good, nil)
		c.try("the other", bad, nil)
		c.keys[victim], c.keys[hostile] = []*jwtauth.Key{v.key, h.key}, []*jwtauth.Key{h.key, v.key}
		time.Sleep(10 * time.Minute)
		var both sync.WaitGroup
		for _, token := range []string{good, bad} {
			both.Go(func() { wait(t, c, "each asks about the other", token, nil, 0) })
		}
		both.Wait()
		wait(t, c, "going on", good, nil, 0)
	})
}

// An operator changes which of two spellings is the name of an issuer. Both are in use,
// their answers have the same keys, and one may be believed when the other is renewed.
func TestRule4_AnIssuerWhoseNameBecomesItsAliasGoesOn(t *testing.T) {
	const a, b = "https://a.example", "https://a.example/"
	for _, apart := range []time.Duration{0, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			c, s := newTenantKeys(t, nil), newSigner(t, "k1")
			defer c.r.Close()
			for step, names := range [][]string{{a, b}, {b, a}, {b, a}, {a, b}} {
				for _, iss := range names {
					c.register(iss, s.key)
					c.call(iss, names...)
				}
				for _, iss := range []string{a, b} {
					began := time.Now()
					p, err := c.r.Verify(t.Context(), c.tokenOf(iss, s))
					if err != nil || p.Issuer() != names[0] || time.Since(began) > 0 {
						t.Errorf("step %d, a token of %q: issuer %q after %v, %v", step, iss, p.Issuer(), time.Since(began), err)
					}
					time.Sleep(apart)
				}
				time.Sleep(11*time.Minute - 2*apart)
			}
		})
	}
}

// A customer registers the public key of another again and again, each time with an
// address that has to be opened.
func TestRule2_AnIssuerThatIsRefusedLeavesNothingOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		released := map[*jwtauth.Verifier]int{}
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
			c.Release = func(v *jwtauth.Verifier) { mu.Lock(); defer mu.Unlock(); released[v]++ }
		})
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			keys := must(jwtauth.JoinKeys(laterKeys{}, must(jwtauth.NewStaticKeys(u.s(victim).key))))
			return newVerifier(t, u.s(issuer), func(c *jwtauth.VerifierConfig) { c.Issuer, c.Keys = issuer, keys }), nil
		}
		open := func() int {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for _, times := range released {
				if times != 1 {
					t.Errorf("one was released %d times", times)
				}
			}
			return int(u.asked.Load()) - len(released)
		}
		u.verify("at first", u.s(victim), victim, nil)
		for range 100 {
			u.r.Forget(hostile)
			u.verify("refused", u.s(hostile), hostile, authctx.Unavailable)
		}
		u.verify("in the end", u.s(victim), victim, nil)
		if n := open(); n != 1 || u.asked.Load() != 101 {
			t.Errorf("%d of %d are open", n, u.asked.Load())
		}
		u.close()
		if n := open(); n != 0 {
			t.Errorf("closed, and %d are open", n)
		}
	})
}
