package jwtauth_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// nonceIn returns the nonce that an answer hands out, empty when there is none.
func nonceIn(res authctx.Result) string {
	for _, f := range res.Response {
		if f.Name == "dpop-nonce" {
			return f.Value
		}
	}
	return ""
}

func requireNonce(cfg *jwtauth.DPoPConfig) { cfg.RequireNonce = true }

func TestRFC9449_Section9_AProofNeedsTheNonceThatIsHandedOut(t *testing.T) {
	c := newDPoPCase(t, requireNonce)
	nonce := nonceIn(c.try(t, c.request(c.proof().Sign()), authctx.NonceRequired))
	if nonce == "" {
		t.Fatal("no nonce is handed out")
	}
	for _, wrong := range []any{"", "x", nonce + "A", nonce[1:], "eyJ7S_zG.eyJH0-Z.HX4w-7v"} {
		if again := nonceIn(c.try(t, c.request(c.proof().Set("nonce", wrong).Sign()), authctx.NonceRequired)); again != nonce {
			t.Errorf("%q: %q is handed out", wrong, again)
		}
	}
	c.try(t, c.request(c.proof().Set("nonce", []string{nonce}).Sign()), authctx.InvalidProof)
	for range 2 { // many requests with one nonce
		if res := c.try(t, c.request(c.proof().Set("nonce", nonce).Sign()), 0); res.Response != nil {
			t.Errorf("a good nonce is answered with %v", res.Response)
		}
	}
}

func TestOnlyTheHolderOfATokenIsChallengedForANonce(t *testing.T) {
	c := newDPoPCase(t, requireNonce)
	forged := dpopRequest(c.token[:len(c.token)-4]+"AAAA", c.proof().Sign())
	res, err := authctx.Authenticate(t.Context(), c.dpop, forged)
	if !authctx.ReasonOf(err).Is(authctx.InvalidToken) || nonceIn(res) != "" {
		t.Errorf("%v, %v", res.Response, err)
	}
}

func TestRFC9449_Section8_2_ANewNonceComesBeforeTheOldOneEnds(t *testing.T) {
	// A nonce is of the period of 2.5 minutes in which it was handed out.
	c := newDPoPCase(t, requireNonce)
	first := nonceIn(c.try(t, c.request(c.proof().Sign()), authctx.NonceRequired))
	c.now = c.now.Add(150 * time.Second)
	res := c.try(t, c.request(c.proof().Set("nonce", first).Sign()), 0)
	second := nonceIn(res)
	if second == "" || second == first || !slices.Contains(res.Response, authctx.Field{Name: "cache-control", Value: "no-store"}) {
		t.Fatalf("the answer says %v", res.Response)
	}
	c.try(t, c.request(c.proof().Set("nonce", second).Sign()), 0)
	c.now = c.now.Add(150 * time.Second)
	c.try(t, c.request(c.proof().Set("nonce", first).Sign()), authctx.NonceRequired)
	c.try(t, c.request(c.proof().Set("nonce", second).Sign()), 0)
}

func TestReplicasTakeOneAnothersNonces(t *testing.T) {
	shared := func(cfg *jwtauth.DPoPConfig) { cfg.RequireNonce, cfg.NonceSecret = true, testSecret }
	c := newDPoPCase(t, shared)
	one := c.dpop
	ahead := newDPoP(t, newVerifier(t, c.signer, nil), func(cfg *jwtauth.DPoPConfig) {
		shared(cfg)
		cfg.Now = func() time.Time { return c.now.Add(150 * time.Second) }
		cfg.Leeway = 5 * time.Minute
	})
	stranger := newDPoP(t, newVerifier(t, c.signer, nil), func(cfg *jwtauth.DPoPConfig) {
		cfg.Now, cfg.RequireNonce = func() time.Time { return c.now }, true
	})
	challenge := func() string { return nonceIn(c.try(t, c.request(c.proof().Sign()), authctx.NonceRequired)) }
	nonce := challenge()
	c.dpop = ahead
	c.try(t, c.request(c.proof().Set("nonce", nonce).Sign()), 0)
	nonce = challenge()
	c.dpop = one
	c.try(t, c.request(c.proof().Set("nonce", nonce).Sign()), 0)
	c.dpop = stranger
	c.try(t, c.request(c.proof().Set("nonce", nonce).Sign()), authctx.NonceRequired)
}

func TestRule12_TheNonceSecretIsCopied(t *testing.T) {
	secret := slices.Clone(testSecret)
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.RequireNonce, cfg.NonceSecret = true, secret })
	nonce := nonceIn(c.try(t, c.request(c.proof().Sign()), authctx.NonceRequired))
	clear(secret)
	c.try(t, c.request(c.proof().Set("nonce", nonce).Sign()), 0)
}

func TestRFC9449_Section11_3_ANonceIsNotOptionalOnceItIsAskedFor(t *testing.T) {
	c := newDPoPCase(t, requireNonce)
	nonce := nonceIn(c.try(t, c.request(c.proof().Sign()), authctx.NonceRequired))
	c.try(t, c.request(c.proof().Set("nonce", nonce).Sign()), 0)
	c.try(t, c.request(c.proof().Sign()), authctx.NonceRequired)
}

func TestRule11_TheNonceSecretIsNotPrinted(t *testing.T) {
	var config jwtauth.DPoPConfig
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) {
		cfg.RequireNonce, cfg.NonceSecret = true, testSecret
		config = *cfg
	})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		printed := fmt.Sprintf(verb, c.dpop) + fmt.Sprintf(verb, config) + fmt.Sprintf(verb, &config)
		for _, secret := range []string{string(testSecret), fmt.Sprint(testSecret[:8]), fmt.Sprintf("%x", testSecret[:8]), fmt.Sprintf("%#v", testSecret[:2])[8:14]} {
			if strings.Contains(printed, strings.Trim(secret, "[]")) {
				t.Errorf("%s prints the secret", verb)
			}
		}
	}
}
