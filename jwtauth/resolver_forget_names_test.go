package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// Whichever spelling the program knows, and whichever the tokens have.
func TestForgetKnowsAnIssuerByAllItsSpellings(t *testing.T) {
	const name, alias, third, other = "https://a.example", "https://a.example/", "https://a.example:443", "https://other.example"
	for what, test := range map[string]struct {
		forget string
		known  []string
		want   map[string]int
	}{
		"its name":                         {name, []string{name, alias, other}, map[string]int{name: 1, alias: 1}},
		"an alias":                         {alias, []string{name, alias, other}, map[string]int{name: 1, alias: 1}},
		"its name, which no token has":     {name, []string{alias, third, other}, map[string]int{alias: 1, third: 1}},
		"an alias, which no token has":     {third, []string{name, alias, other}, map[string]int{name: 1, alias: 1}},
		"another issuer":                   {other, []string{name, alias, other}, map[string]int{other: 1}},
		"what is not a spelling of any":    {"https://a.example//", []string{name, other}, map[string]int{}},
		"no name at all, as no issuer has": {"", []string{name, other}, map[string]int{}},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newTenantKeys(t, nil)
			defer c.r.Close()
			s, signers := newSigner(t, "k1"), map[string]testSigner{other: newSigner(t, "k1")}
			c.register(other, signers[other].key)
			for _, iss := range []string{name, alias, third} {
				signers[iss] = s
				c.register(iss, s.key)
				c.call(iss, name, alias, third)
			}
			tokens := map[string]string{}
			for _, iss := range test.known {
				tokens[iss] = c.tokenOf(iss, signers[iss])
				c.try(iss, tokens[iss], nil)
			}
			c.calls()
			c.r.Forget(test.forget)
			for iss, token := range tokens {
				c.try(iss, token, nil)
			}
			if got := c.calls(); !maps.Equal(got, test.want) {
				t.Errorf("%s: Resolve is asked %v", what, got)
			}
		})
	}
}

// A customer may say that another's name is an alias of its own. Then it changes something,
// and the program calls Forget.
func TestRule4_ForgetLeavesAnIssuerAloneWhoseNameAnotherCallsItsAlias(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTenantKeys(t, nil)
		defer c.r.Close()
		v, h := newSigner(t, "k1"), newSigner(t, "k1")
		c.register(victim, v.key)
		c.register(hostile, h.key)
		c.call(hostile, hostile, victim)
		good, bad := c.tokenOf(victim, v), c.tokenOf(hostile, h)
		c.try("at first", good, nil)
		c.try("at first, the other", bad, nil)
		c.fail[victim] = func(context.Context) error { return context.DeadlineExceeded }
		time.Sleep(11 * time.Minute)
		c.try("going on", good, nil)
		c.register(hostile, h.key, v.key) // with a key of the first
		c.r.Forget(hostile)
		c.try("afterwards, the other", bad, authctx.Unavailable)
		c.try("afterwards", good, nil)
		delete(c.fail, victim)
		time.Sleep(time.Hour)
		c.try("in the end, the other", bad, authctx.Unavailable)
		c.try("in the end", good, nil)
	})
}

// Tenants that came before their template was entered may be any, and are told so neither
// by what is remembered nor by a call that had begun.
func TestForgetKnowsTheTenantsOfATemplateThatWereRefused(t *testing.T) {
	const template, tenant = "https://login.example/{tenantid}", "https://login.example/a"
	for _, takes := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			u := newSuccessors(t, nil)
			verifier := newVerifier(t, u.s(template), func(c *jwtauth.VerifierConfig) { c.Issuer, c.Tenants = template, jwtauth.AnyTenant() })
			var entered atomic.Bool
			u.resolve = func(string) (*jwtauth.Verifier, error) {
				known := entered.Load()
				if time.Sleep(takes); !known {
					return nil, authctx.WrongIssuer
				}
				return verifier, nil
			}
			token := u.s(template).token(t, goodClaims(map[string]any{"iss": tenant, "tid": "a", "exp": time.Now().Add(time.Hour).Unix(), "iat": nil}))
			go func() { _, _ = u.r.Verify(context.Background(), token) }()
			synctest.Wait()
			entered.Store(true)
			u.r.Forget(template)
			if _, err := u.r.Verify(t.Context(), token); err != nil {
				t.Errorf("a call that takes %v: %v", takes, err)
			}
			u.close()
		})
	}
}

// An issuer of its own is no tenant, whatever its name is like and whether it is being
// renewed or not.
func TestForgetOfATemplateLeavesAnIssuerOfItsOwnAlone(t *testing.T) {
	const template, own = "https://login.example/{tenantid}", "https://login.example/partner"
	for _, renewing := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			u := newSuccessors(t, nil)
			u.verify("at first", u.s(own), own, nil)
			u.resolve = func(string) (*jwtauth.Verifier, error) {
				time.Sleep(time.Second)
				return noDatabase("")
			}
			if renewing {
				time.Sleep(11 * time.Minute)
				u.verify("while Resolve fails", u.s(own), own, nil)
				time.Sleep(11 * time.Second)
				u.verify("and is asked again", u.s(own), own, nil)
			}
			u.r.Forget(template)
			time.Sleep(2 * time.Second)
			u.verify("after Forget", u.s(own), own, nil)
			u.close()
		})
	}
}

// An answer may be from before its issuer had that alias, or was called so.
func TestForgetKnowsSpellingsThatOneOfTheAnswersHas(t *testing.T) {
	const a, b, other = "https://a.example", "https://a.example/", "https://a.example:443"
	for what, names := range map[string]map[string][]string{
		"the alias is new":          {a: {a}, b: {a, b}},
		"the alias is gone":         {a: {a, b}, b: {a}},
		"the alias became its name": {a: {a, b}, b: {b, a}},
		"each has one of its own":   {b: {a, b}, other: {a, other}},
	} {
		for forget := range names {
			synctest.Test(t, func(t *testing.T) {
				c, s := newTenantKeys(t, nil), newSigner(t, "k1")
				defer c.r.Close()
				for iss, called := range names {
					c.register(iss, s.key)
					c.call(iss, called...)
				}
				want := map[string]int{}
				for range 2 {
					for iss := range names {
						_, _ = c.r.Verify(t.Context(), c.tokenOf(iss, s))
						want[iss] = 1
					}
					if got := c.calls(); !maps.Equal(got, want) {
						t.Errorf("%s, %s: Resolve is asked %v", what, forget, got)
					}
					c.r.Forget(forget)
				}
			})
		}
	}
}

// The program entered an alias, of which a token had come too early.
func TestForgetEndsWhatWasSaidOfASpellingThatItsIssuerHasByNow(t *testing.T) {
	const name, alias = "https://a.example", "https://a.example/"
	synctest.Test(t, func(t *testing.T) {
		c, s := newTenantKeys(t, nil), newSigner(t, "k1")
		defer c.r.Close()
		c.try("too early", c.tokenOf(alias, s), authctx.WrongIssuer)
		for _, iss := range []string{name, alias} {
			c.register(iss, s.key)
			c.call(iss, name, alias)
		}
		c.try("the name", c.tokenOf(name, s), nil)
		c.r.Forget(name)
		c.try("the alias", c.tokenOf(alias, s), nil)
	})
}

// Nothing is known of that spelling yet, or of any, and Resolve has looked it up already.
func TestACallAboutAnotherSpellingIsNotBelievedEither(t *testing.T) {
	const name, alias, other = "https://a.example", "https://a.example/", "https://other.example"
	for _, test := range []struct {
		forget string
		known  bool
		calls  int
		want   error
	}{
		{name, false, 2, authctx.WrongIssuer}, {name, true, 2, authctx.WrongIssuer}, {alias, true, 2, authctx.WrongIssuer}, {other, true, 1, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, s := newTenantKeys(t, nil), newSigner(t, "k1")
			defer c.r.Close()
			for _, iss := range []string{name, alias} {
				c.register(iss, s.key)
				c.call(iss, name, alias)
			}
			if test.known {
				c.try("the name", c.tokenOf(name, s), nil)
			}
			c.late = time.Second
			var waiting sync.WaitGroup
			waiting.Go(func() { c.try("the alias", c.tokenOf(alias, s), test.want) })
			synctest.Wait()
			c.register(alias)
			c.r.Forget(test.forget)
			waiting.Wait()
			if got := c.calls()[alias]; got != test.calls {
				t.Errorf("%s was forgotten: Resolve is asked %d times", test.forget, got)
			}
		})
	}
}

// The tenants of a provider are customers, each of its own.
func TestForgetEndsOneTenantOrAllOfATemplate(t *testing.T) {
	const a, b, template = "https://login.example/a", "https://login.example/b", "https://login.example/{tenantid}"
	for forget, want := range map[string]int32{a: 1, template: 2} {
		synctest.Test(t, func(t *testing.T) {
			u, released := forgetting(t)
			shared := newVerifier(t, u.s(template), func(c *jwtauth.VerifierConfig) { c.Issuer, c.Tenants = template, jwtauth.AnyTenant() })
			u.resolve = func(string) (*jwtauth.Verifier, error) { return shared, nil }
			try := func() {
				for _, tenant := range []string{"a", "b"} {
					claims := goodClaims(map[string]any{"iss": "https://login.example/" + tenant, "tid": tenant, "exp": time.Now().Add(time.Hour).Unix(), "iat": nil})
					if _, err := u.r.Verify(t.Context(), u.s(template).token(t, claims)); err != nil {
						t.Error(err)
					}
				}
			}
			try()
			u.asked.Store(0)
			u.r.Forget(forget)
			synctest.Wait()
			if n := released.Load(); n != want-1 {
				t.Errorf("%s: released %d times", forget, n)
			}
			try()
			if n := u.asked.Load(); n != want {
				t.Errorf("%s: asked %d times", forget, n)
			}
			u.close()
		})
	}
}

// An issuer that was renamed need not wait until its former name is over.
func TestKeysOfAnIssuerThatIsForgottenAreFree(t *testing.T) {
	const before, after = "https://before.example", "https://after.example"
	synctest.Test(t, func(t *testing.T) {
		c, s := newTenantKeys(t, nil), newSigner(t, "k1")
		defer c.r.Close()
		c.register(before, s.key)
		c.register(after, s.key)
		c.try("before", c.tokenOf(before, s), nil)
		c.try("after, too early", c.tokenOf(after, s), authctx.Unavailable)
		c.register(before)
		c.r.Forget(before)
		c.r.Forget(after) // which failed
		c.try("after", c.tokenOf(after, s), nil)
		c.try("before, too late", c.tokenOf(before, s), authctx.WrongIssuer)
	})
}

// Whoever asks about the owner of keys learns what was said after it was forgotten.
func TestAnOwnerThatIsForgottenWhileItIsAskedAboutGivesItsKeysUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newTenantKeys(t, nil), newSigner(t, "k1")
		defer c.r.Close()
		c.register(victim, s.key)
		c.try("the owner", c.tokenOf(victim, s), nil)
		time.Sleep(11 * time.Minute)
		c.register(hostile, s.key) // the same customer by another name, for once
		c.late = time.Second
		var waiting sync.WaitGroup
		waiting.Go(func() { c.try("the next", c.tokenOf(hostile, s), nil) })
		time.Sleep(1500 * time.Millisecond)
		c.register(victim)
		c.r.Forget(victim)
		waiting.Wait()
		if got := c.calls(); !maps.Equal(got, map[string]int{victim: 3, hostile: 1}) {
			t.Errorf("Resolve is asked %v", got)
		}
	})
}

// Whatever requests do meanwhile: what the program changed before it calls Forget holds
// for every request that comes after that.
func TestRule5_NoTokenCountsOnceItsIssuerWasRemovedAndForgotten(t *testing.T) {
	var open sync.Map
	c := newTenantKeys(t, func(cfg *jwtauth.ResolvingVerifierConfig) {
		resolve := cfg.Resolve
		cfg.Resolve = func(ctx context.Context, issuer string) (*jwtauth.Verifier, error) {
			v, err := resolve(ctx, issuer)
			if err == nil {
				open.Store(v, true)
			}
			return v, err
		}
		cfg.Release = func(v *jwtauth.Verifier) {
			if _, once := open.LoadAndDelete(v); !once {
				t.Error("released twice")
			}
		}
	})
	var customers, requests sync.WaitGroup
	end := make(chan struct{})
	for i := range 3 {
		s, name := newSigner(t, "k1"), fmt.Sprintf("https://%d.example", i)
		spellings := []string{name, name + "/"}
		var tokens []string
		for _, iss := range spellings {
			c.call(iss, spellings...)
			tokens = append(tokens, c.tokenOf(iss, s))
		}
		for n := range 2 {
			requests.Go(func() {
				for {
					select {
					case <-end:
						return
					default:
						_, _ = c.r.Verify(t.Context(), tokens[n])
					}
				}
			})
		}
		customers.Go(func() {
			for round := range 40 {
				c.register(name, s.key)
				c.register(name+"/", s.key)
				for _, iss := range spellings { // nothing may be known of either but that there is none
					c.r.Forget(iss)
				}
				stream, err := c.r.VerifyToken(t.Context(), tokens[round%2])
				if err != nil {
					t.Errorf("entered: %v", err)
					return
				}
				c.register(name)
				c.register(name + "/")
				c.r.Forget(spellings[round/2%2])
				for _, token := range tokens {
					c.try("removed", token, authctx.WrongIssuer)
				}
				if err := stream.Recheck(t.Context()); !errors.Is(err, authctx.WrongIssuer) {
					t.Errorf("its stream: %v", err)
				}
			}
		})
	}
	customers.Wait()
	close(end)
	requests.Wait()
	if err := c.r.Close(); err != nil {
		t.Error(err)
	}
	open.Range(func(v, _ any) bool { t.Errorf("%s was not released", v.(*jwtauth.Verifier).Issuer()); return true })
}
