package jwtauth_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// A key serves one issuer, and to find that out reads no other issuer's.
func TestNoIssuerIsComparedWithAllOthers(t *testing.T) {
	const issuers = 300
	var reads atomic.Int64
	verifiers := map[string]*jwtauth.Verifier{}
	var all []*jwtauth.Verifier
	for i := range issuers {
		issuer, secret := fmt.Sprintf("https://%d.example", i), fmt.Sprintf("%032d", i)
		key := jwtauth.CountReads(must(jwtauth.NewHMACKey("k1", jwtauth.HS256, []byte(secret))), &reads)
		verifiers[issuer] = newVerifier(t, newSigner(t, "k1"), func(c *jwtauth.VerifierConfig) {
			c.Issuer, c.Algorithms, c.Keys = issuer, []jwtauth.Algorithm{jwtauth.HS256}, must(jwtauth.NewStaticKeys(key))
		})
		all = append(all, verifiers[issuer])
	}
	now := testNow
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve:    func(_ context.Context, issuer string) (*jwtauth.Verifier, error) { return verifiers[issuer], nil },
		Algorithms: []jwtauth.Algorithm{jwtauth.HS256}, Now: func() time.Time { return now },
	}))
	defer r.Close()
	resolve := func() {
		for issuer := range verifiers {
			token := b64(`{"alg":"HS256","typ":"at+jwt","kid":"k1"}`) + "." + b64(`{"iss":"`+issuer+`"}`) + "." + b64("forged")
			if _, err := r.Verify(t.Context(), token); authctx.ReasonOf(err) != authctx.BadSignature {
				t.Error(err)
			}
		}
	}
	for name, do := range map[string]func(){
		"several issuers":            func() { must(jwtauth.NewMultiVerifier(all[0], all[1:]...)) },
		"issuers that are looked up": resolve,
		"their renewal": func() {
			resolve()
			reads.Store(0)
			now = now.Add(time.Hour)
			resolve()
		},
	} {
		reads.Store(0)
		if do(); reads.Load() > 2*issuers {
			t.Errorf("%s: %d reads of %d secrets", name, reads.Load(), issuers)
		}
	}
}
