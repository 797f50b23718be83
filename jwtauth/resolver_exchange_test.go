package jwtauth_test

import (
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
	tokens  []string // of the keys before
	turned  []string // and after
}

func newKeyRing(t *testing.T, issuers int) *keyRing {
	c := &keyRing{tenantKeys: newTenantKeys(t, func(cfg *jwtauth.ResolvingVerifierConfig) { cfg.MaxStale = time.Hour })}
	var signers []testSigner
	for i := range issuers {
		c.issuers, signers = append(c.issuers, fmt.Sprintf("https://%d.example", i)), append(signers, newSigner(t, fmt.Sprint(i)))
	}
	for i, issuer := range c.issuers {
		next := signers[(i+1)%issuers]
		c.tokens, c.turned = append(c.tokens, c.tokenOf(issuer, signers[i])), append(c.turned, c.tokenOf(issuer, next))
		c.register(issuer, signers[i].key)
		c.try("at first", c.tokens[i], nil)
		c.register(issuer, next.key)
	}
	return c
}

// An operator may register keys the wrong way round, and put that right.
func TestRule8_IssuersThatExchangeTheirKeysHaveThemAfterMaxStale(t *testing.T) {
	for _, issuers := range []int{2, 3, 5} {
		for name, ask := range map[string]func(*keyRing){
			"one after the other": func(c *keyRing) {
				for _, token := range c.turned {
					_, _ = c.r.Verify(c.t.Context(), token)
				}
			},
			"all at once": func(c *keyRing) {
				var all sync.WaitGroup
				for _, token := range c.turned {
					all.Go(func() { _, _ = c.r.Verify(c.t.Context(), token) })
				}
				all.Wait()
			},
		} {
			synctest.Test(t, func(t *testing.T) {
				name, c := fmt.Sprintf("%d issuers, %s", issuers, name), newKeyRing(t, issuers)
				defer c.r.Close()
				began := time.Now()
				try := func(tokens []string, want error) {
					t.Helper()
					before := time.Now()
					ask(c)
					if waited := time.Since(before); waited > 0 {
						t.Errorf("%s: waited %v", name, waited)
					}
					for _, token := range tokens {
						c.try(name+" after "+time.Since(began).String(), token, want)
					}
				}
				for range 5 {
					time.Sleep(10 * time.Minute)
					try(c.tokens, nil)
					try(c.turned, authctx.UnknownKey)
				}
				time.Sleep(10 * time.Minute)
				ask(c)
				time.Sleep(10 * time.Second)
				for range 5 {
					try(c.turned, nil)
					try(c.tokens, authctx.UnknownKey)
					time.Sleep(11 * time.Minute)
				}
			})
		}
	}
}

// Nor does anybody get the key that it gives up meanwhile.
func TestRule4_AnIssuerWhoseNextKeysStayWithAnotherGoesOn(t *testing.T) {
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
		c.register(third, newSigner(t, "other").key)
		time.Sleep(10*time.Minute + time.Second)
		c.try("going on once more", good, nil)
		synctest.Wait()
		c.try("the third gave up its key", c.tokenOf(victim, k), nil)
	})
}
