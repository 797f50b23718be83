package jwtauth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx/jwtauth"
)

func TestRule1_NewDPoPNamesEveryProblem(t *testing.T) {
	v := newVerifier(t, signerFor(t, jwtauth.EdDSA), nil)
	ok := jwtauth.DPoPConfig{ExternalURL: "https://api.example"}
	for name, test := range map[string]struct {
		verifier jwtauth.TokenVerifier
		change   func(*jwtauth.DPoPConfig)
		want     []string
	}{
		"everything":           {nil, func(c *jwtauth.DPoPConfig) { *c = jwtauth.DPoPConfig{MaxAge: -1, Leeway: time.Hour} }, []string{"TokenVerifier", "ExternalURL", "MaxAge", "Leeway"}},
		"http":                 {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "http://api.example" }, []string{"https"}},
		"no scheme":            {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "api.example" }, []string{"ExternalURL"}},
		"a query":              {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL += "?a" }, []string{"ExternalURL"}},
		"a user":               {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "https://a:b@api.example" }, []string{"ExternalURL"}},
		"a host not in ASCII":  {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "https://bücher.example" }, []string{"ASCII"}},
		"HMAC":                 {v, func(c *jwtauth.DPoPConfig) { c.Algorithms = []jwtauth.Algorithm{"HS256"} }, []string{"Algorithms"}},
		"none":                 {v, func(c *jwtauth.DPoPConfig) { c.Algorithms = []jwtauth.Algorithm{"none"} }, []string{"Algorithms"}},
		"an empty algorithm":   {v, func(c *jwtauth.DPoPConfig) { c.Algorithms = []jwtauth.Algorithm{""} }, []string{"Algorithms"}},
		"a long life":          {v, func(c *jwtauth.DPoPConfig) { c.MaxAge = time.Hour }, []string{"MaxAge"}},
		"a short secret":       {v, func(c *jwtauth.DPoPConfig) { c.RequireNonce, c.NonceSecret = true, []byte("short") }, []string{"NonceSecret"}},
		"a secret for nothing": {v, func(c *jwtauth.DPoPConfig) { c.NonceSecret = testSecret }, []string{"RequireNonce"}},
		"a long nonce":         {v, func(c *jwtauth.DPoPConfig) { c.RequireNonce, c.NonceLife = true, 2*time.Hour }, []string{"NonceLife"}},
		"a shape":              {v, func(c *jwtauth.DPoPConfig) { c.Shape = 9 }, []string{"Shape"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := ok
			test.change(&cfg)
			_, err := jwtauth.NewDPoP(test.verifier, cfg)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not name %s", err, want)
				}
			}
		})
	}
	for _, url := range []string{"http://127.0.0.1:8080", "http://localhost/base/", "HTTPS://Api.Example:443/v1"} {
		if _, err := jwtauth.NewDPoP(v, jwtauth.DPoPConfig{ExternalURL: url}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestRule12_TheListOfAlgorithmsIsCopied(t *testing.T) {
	algorithms := []jwtauth.Algorithm{"Ed25519", jwtauth.ES256}
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Algorithms = algorithms })
	if algorithms[0] != "Ed25519" {
		t.Errorf("the caller's list was changed to %v", algorithms)
	}
	algorithms[1] = jwtauth.RS256
	c.try(t, c.request(c.proof().Sign()), 0)
}
