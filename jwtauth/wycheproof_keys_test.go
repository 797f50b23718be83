package jwtauth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// wantMet is how many tests json_web_key_test.json has. None is disputed.
const wantMet = 26

// policySources returns every way to load the set of a group: as it stands, from
// a text and over HTTP, and, if all its keys are secrets, which no key set may
// bring, one by one. A way that refuses the set is left out.
func policySources(t *testing.T, g wycheproofGroup) map[string]jwtauth.KeySource {
	t.Helper()
	set := g.Public
	if set == nil {
		set = g.Private
	}
	ways := map[string]jwtauth.KeySource{}
	if keys, skipped, err := jwtauth.ParseJWKSet(set); err == nil {
		t.Logf("%s: skipped %v", g.Comment, skipped)
		ways["a text"] = must(jwtauth.NewStaticKeys(keys[0], keys[1:]...))
	}
	remote := keysFrom(t, newKeyServer(string(set)))
	if remote.Ready(t.Context()) == nil {
		ways["HTTP"] = remote
	}
	if (ways["a text"] == nil) != (ways["HTTP"] == nil) {
		t.Errorf("%s: the same set is taken from a text or over HTTP, not both", g.Comment)
	}
	if source, err := secretsOf(t, g); err == nil {
		ways["secrets"] = source
	} else {
		t.Logf("%s: %v", g.Comment, err)
	}
	return ways
}

// secretsOf returns the keys of a group that has only secrets.
func secretsOf(t *testing.T, g wycheproofGroup) (jwtauth.KeySource, error) {
	t.Helper()
	var set struct {
		Keys []struct {
			Kty, Kid, Alg, K string
		}
	}
	if err := json.Unmarshal(g.Private, &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("%s: %v", g.Comment, err)
	}
	var keys []*jwtauth.Key
	for _, k := range set.Keys {
		if k.Kty != "oct" {
			return nil, errors.New("not only secrets")
		}
		key, err := jwtauth.NewHMACKey(k.Kid, jwtauth.Algorithm(k.Alg), must(base64.RawURLEncoding.DecodeString(k.K)))
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return jwtauth.NewStaticKeys(keys[0], keys[1:]...)
}

// TestWycheproofKeys asks a verifier about tokens whose payload is no claims,
// "foo" or nothing. Since signatures come before claims, a token whose signature
// counts is one that is refused for its claims.
func TestWycheproofKeys(t *testing.T) {
	met := 0
	for _, g := range wycheproof(t, "json_web_key_test.json") {
		ways := policySources(t, g)
		for _, test := range g.Tests {
			taken := 0
			for way, keys := range ways {
				algorithms := allAlgorithms
				if way == "HTTP" { // which is refused together with algorithms of secrets
					algorithms = slices.DeleteFunc(slices.Clone(algorithms), func(a jwtauth.Algorithm) bool {
						return strings.HasPrefix(string(a), "HS")
					})
				}
				v := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{
					Issuer: testIssuer, Audiences: []string{testAudience}, Algorithms: algorithms, Keys: keys,
				}))
				_, err := v.Verify(t.Context(), serialized(test.JWS))
				if !errors.Is(err, authctx.InvalidToken) {
					t.Errorf("%d by %s: %v", test.TcID, way, err)
				}
				if jwtauth.IsClaimsJSON(err) {
					taken++
				}
			}
			good := taken > 0 && taken == len(ways)
			if good == (test.Result == "valid") && (good || taken == 0) {
				met++
			} else {
				t.Errorf("%d (%s, %s): accepted in %d of %d ways, want %s",
					test.TcID, g.Comment, test.Comment, taken, len(ways), test.Result)
			}
		}
	}
	if met != wantMet {
		t.Errorf("%d tests met, want %d", met, wantMet)
	}
}
