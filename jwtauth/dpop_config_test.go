package jwtauth_test

import (
	"context"
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
		"no URL":               {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "https://api.example/%zz" }, []string{"ExternalURL"}},
		"a query":              {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL += "?a" }, []string{"ExternalURL"}},
		"a user":               {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "https://a:b@api.example" }, []string{"ExternalURL"}},
		"a zone":               {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "https://[fe80::1%25eth0]" }, []string{"ExternalURL", "zone"}},
		"a host not in ASCII":  {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "https://bücher.example" }, []string{"ASCII"}},
		"a space at the end":   {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL += "/v1 " }, []string{"ExternalURL must be", "space"}},
		"no host":              {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL = "https://:443" }, []string{"ExternalURL", "host"}},
		"port 0":               {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL += ":0" }, []string{"ExternalURL", "port"}},
		"port 65536":           {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL += ":65536" }, []string{"ExternalURL", "port"}},
		"port 99999999":        {v, func(c *jwtauth.DPoPConfig) { c.ExternalURL += ":99999999/v1" }, []string{"ExternalURL", "port"}},
		"HMAC":                 {v, func(c *jwtauth.DPoPConfig) { c.Algorithms = []jwtauth.Algorithm{"HS256"} }, []string{"Algorithms"}},
		"none":                 {v, func(c *jwtauth.DPoPConfig) { c.Algorithms = []jwtauth.Algorithm{"none"} }, []string{"Algorithms"}},
		"an empty algorithm":   {v, func(c *jwtauth.DPoPConfig) { c.Algorithms = []jwtauth.Algorithm{""} }, []string{"Algorithms"}},
		"a long life":          {v, func(c *jwtauth.DPoPConfig) { c.MaxAge = time.Hour }, []string{"MaxAge"}},
		"a negative leeway":    {v, func(c *jwtauth.DPoPConfig) { c.Leeway = -2 }, []string{"Leeway"}},
		"half a second":        {v, func(c *jwtauth.DPoPConfig) { c.Leeway = time.Second / 2 }, []string{"Leeway"}},
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
	for _, url := range []string{"http://127.0.0.1:8080", "http://localhost/base/", "HTTPS://Api.Example:443/v1", "https://api.example:65535", "https://api.example:"} {
		if _, err := jwtauth.NewDPoP(v, jwtauth.DPoPConfig{ExternalURL: url}); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestRule1_TheBoundsOfDPoPAreExact(t *testing.T) {
	v := newVerifier(t, signerFor(t, jwtauth.EdDSA), nil)
	for _, c := range []struct {
		cfg  jwtauth.DPoPConfig
		good bool
	}{
		{jwtauth.DPoPConfig{MaxAge: jwtauth.MaxProofAge}, true}, {jwtauth.DPoPConfig{MaxAge: 10*time.Minute + 1}, false},
		{jwtauth.DPoPConfig{MaxAge: time.Second}, true}, {jwtauth.DPoPConfig{MaxAge: time.Second - 1}, false},
		{jwtauth.DPoPConfig{Leeway: jwtauth.MaxLeeway}, true}, {jwtauth.DPoPConfig{Leeway: 5*time.Minute + 1}, false},
		{jwtauth.DPoPConfig{RequireNonce: true, NonceLife: time.Hour}, true}, {jwtauth.DPoPConfig{RequireNonce: true, NonceLife: time.Hour + 1}, false},
		{jwtauth.DPoPConfig{RequireNonce: true, NonceLife: 2 * time.Second}, true}, {jwtauth.DPoPConfig{RequireNonce: true, NonceLife: 2*time.Second - 1}, false},
		{jwtauth.DPoPConfig{RequireNonce: true, NonceSecret: make([]byte, 32)}, true}, {jwtauth.DPoPConfig{RequireNonce: true, NonceSecret: make([]byte, 31)}, false},
		{jwtauth.DPoPConfig{NonceLife: time.Minute}, false}, {jwtauth.DPoPConfig{Shape: jwtauth.OpaqueShape}, true}, {jwtauth.DPoPConfig{Shape: jwtauth.OpaqueShape + 1}, false},
	} {
		c.cfg.ExternalURL = "https://api.example"
		if _, err := jwtauth.NewDPoP(v, c.cfg); c.good != (err == nil) {
			t.Errorf("%v, leeway %v, nonces %v for %v of %d bytes: %v", c.cfg.MaxAge, c.cfg.Leeway, c.cfg.RequireNonce, c.cfg.NonceLife, len(c.cfg.NonceSecret), err)
		}
	}
}

// untilStore remembers for how long proofs are to be remembered.
type untilStore struct{ until time.Time }

func (s *untilStore) Use(_ context.Context, _ [32]byte, until time.Time) (bool, error) {
	s.until = until
	return true, nil
}

// Replicas that share a store may not share a clock.
func TestRFC9449_Section11_1_AProofIsRememberedForLongerThanItIsGood(t *testing.T) {
	store := new(untilStore)
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) {
		cfg.Replays, cfg.MaxAge, cfg.Leeway = store, 2*time.Minute, 20*time.Second
	})
	made := c.now.Add(-time.Minute)
	c.try(t, c.request(c.proof().Set("iat", made.Unix()).Sign()), 0)
	if end := made.Add(2*time.Minute + 20*time.Second); store.until.Before(end.Add(10 * time.Second)) {
		t.Errorf("good until %v and remembered until %v", end, store.until)
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
