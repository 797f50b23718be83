package jwtauth_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx/jwtauth"
)

// What a key keeps for its next MAC belongs to one check at a time, and the
// answers are those of golang-jwt.
func TestMACsOfOneKeyAreCheckedAtOnce(t *testing.T) {
	for algorithm, method := range map[jwtauth.Algorithm]jwt.SigningMethod{
		jwtauth.HS256: jwt.SigningMethodHS256, jwtauth.HS384: jwt.SigningMethodHS384, jwtauth.HS512: jwt.SigningMethodHS512,
	} {
		secret := bytes.Repeat([]byte("s3cret, "), 8)
		key := must(jwtauth.NewHMACKey("k1", algorithm, secret))
		v := newVerifier(t, testSigner{algorithm: algorithm, key: key}, func(c *jwtauth.Config) { c.Cache.Disabled = true })
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for n := range 200 {
					claims := goodClaims(map[string]any{"n": worker, "pad": strings.Repeat("x", n)})
					input := b64(`{"alg":"`+string(algorithm)+`","kid":"k1"}`) + "." + b64(asJSON(t, claims))
					mac := must(method.Sign(input, secret))
					if _, err := v.Verify(t.Context(), input+"."+b64(string(mac))); err != nil {
						t.Errorf("%s: %v", algorithm, err)
						return
					}
					mac[n%len(mac)] ^= 1
					for _, bad := range [][]byte{mac, mac[:len(mac)-1], append(mac, 0)} {
						if _, err := v.Verify(t.Context(), input+"."+b64(string(bad))); err == nil {
							t.Errorf("%s: a wrong MAC passed", algorithm)
							return
						}
					}
				}
			})
		}
		wg.Wait()
	}
}
