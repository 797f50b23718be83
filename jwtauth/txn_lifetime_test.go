package jwtauth_test

import (
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// A token has whole seconds only, and callers come at any time within one.
func TestATokenIsGoodForAllOfItsLifetime(t *testing.T) {
	alice := jwtauthtest.User(t)
	for _, life := range []time.Duration{time.Second, 1500 * time.Millisecond, 2 * time.Second, time.Minute} {
		w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, s *jwtauth.TxnAuthenticatorConfig) {
			e.Lifetime, s.MaxLifetime, s.Leeway = life, life, jwtauth.NoLeeway
		})
		d := newDeferredWorld(t, func(c *jwtauth.DeferredAuthenticatorConfig) { c.MaxLifetime, c.Now = life, w.Now })
		publish := must(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
			TrustDomain: testDomain, Topic: "orders", Workload: "shop", Keys: d.keys, Lifetime: life, Now: w.Now,
		}))
		for range 10 {
			token, message := must(inject(t.Context(), w.edge, alice)), d.message(t, publish, alice)
			issued := w.Now()
			for _, wait := range []time.Duration{0, life - 1} {
				w.Advance(wait)
				if _, err := w.authenticate(token); err != nil {
					t.Errorf("%v after %v.%03d, of %v: %v", wait, issued.Unix(), issued.Nanosecond()/1e6, life, err)
				}
				if _, err := d.consume("orders", message); err != nil {
					t.Errorf("a message %v after %v.%03d, of %v: %v", wait, issued.Unix(), issued.Nanosecond()/1e6, life, err)
				}
			}
			w.Advance(time.Second)
			if _, err := w.authenticate(token); err == nil {
				t.Errorf("a token of %v was taken a second after that", life)
			}
			w.Advance(1 + 107*time.Millisecond)
		}
	}
}

// Verifiers of other makers count from "iat", which is rounded down.
func TestATokenIsNeverMintedForLongerThanItsKindMay(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Lifetime = jwtauth.MaxTxnLifetime
	})
	d := newDeferredWorld(t)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA), Retain: jwtauth.MaxDeferredLifetime}))
	publish := must(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
		TrustDomain: testDomain, Topic: "orders", Workload: "shop", Keys: keys, Lifetime: jwtauth.MaxDeferredLifetime, Now: w.Now,
	}))
	w.Advance(300 * time.Millisecond)
	alice := jwtauthtest.User(t)
	for token, most := range map[string]time.Duration{
		must(inject(t.Context(), w.edge, alice)):            jwtauth.MaxTxnLifetime,
		d.message(t, publish, alice)[jwtauth.DeferredField]: jwtauth.MaxDeferredLifetime,
	} {
		c := tokenClaims(t, token)
		if life := c["exp"].(float64) - c["iat"].(float64); life != most.Seconds() {
			t.Errorf("a token of %v is minted for %v s", most, life)
		}
	}
}

func TestATokenNeverOutlivesItsCallerByAFractionOfASecond(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	w.Advance(300 * time.Millisecond)
	for _, left := range []time.Duration{1900 * time.Millisecond, 2 * time.Second, 2500 * time.Millisecond, jwtauth.DefaultTxnLifetime, jwtauth.DefaultTxnLifetime + 100*time.Millisecond} {
		end := w.Now().Add(left)
		p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Expires = end })
		if got := tokenClaims(t, must(inject(t.Context(), w.edge, p)))["exp"]; got != float64(end.Unix()) {
			t.Errorf("a token ends at %v, its caller at %v.%03d", got, end.Unix(), end.Nanosecond()/1e6)
		}
	}
}
