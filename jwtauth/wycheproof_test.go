package jwtauth_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/authctx/authctx/jwtauth"
)

// wycheproofGroup is a group of tests of any of the files that are read here.
type wycheproofGroup struct {
	Comment      string
	Public       json.RawMessage
	Private      json.RawMessage
	PublicKeyPEM string `json:"publicKeyPem"`
	TagSize      int
	Tests        []struct {
		TcID               int
		Comment, Result    string
		JWS, JWE           json.RawMessage // text, or an object in JSON serialization
		Msg, Sig, Key, Tag string
	}
}

// wycheproof reads one file of the vectors that AUTHCTX_VECTORS points to.
func wycheproof(t *testing.T, name string) []wycheproofGroup {
	t.Helper()
	dir := os.Getenv("AUTHCTX_VECTORS")
	if dir == "" {
		t.Skip("AUTHCTX_VECTORS is not set")
	}
	text, err := os.ReadFile(filepath.Join(dir, "wycheproof", "testvectors_v1", name))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ TestGroups []wycheproofGroup }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range file.TestGroups {
		n += len(g.Tests)
	}
	if n == 0 {
		t.Fatalf("%s holds no tests", name)
	}
	t.Logf("%s: %d tests", name, n)
	return file.TestGroups
}

// serialized returns a token as it would be presented.
func serialized(v json.RawMessage) string {
	var text string
	if json.Unmarshal(v, &text) == nil {
		return text
	}
	return string(v)
}

// disputed are tests whose expectation is not met, by number, and why.
var disputed = map[string]map[int]string{
	"json_web_signature_test.json": {
		346: "key bound to PS256, token by PS384 (RFC 8725 section 3.1)",
		350: "key bound to PS256, token by PS384 (RFC 8725 section 3.1)",
		347: "key of an algorithm that does not exist, ES521",
		351: "key of an algorithm that does not exist, ES521",
		367: "named as having padding, but the token has none and is valid",
		370: "named as having padding, but the token has none and is valid",
		372: "\"?\" in a segment (RFC 8725bis section 3.14)",
		373: "\"?\" in a segment (RFC 8725bis section 3.14)",
	},
}

// groupKey returns a source with the keys of a group; nil when one is not fit for
// verifying.
func groupKey(t *testing.T, g wycheproofGroup) jwtauth.KeySource {
	t.Helper()
	if g.Public != nil {
		key, err := jwtauth.ParseJWK(g.Public)
		if err != nil {
			t.Logf("group %q: %v", g.Comment, err)
			return nil
		}
		return must(jwtauth.NewStaticKeys(key))
	}
	type secret struct{ Kid, Alg, K string }
	var set struct{ Keys []secret }
	var one secret
	if err := errors.Join(json.Unmarshal(g.Private, &set), json.Unmarshal(g.Private, &one)); err != nil {
		t.Fatal(err)
	}
	if set.Keys == nil {
		set.Keys = []secret{one}
	}
	var keys []*jwtauth.Key
	for _, k := range set.Keys {
		key, err := jwtauth.NewHMACKey(k.Kid, jwtauth.Algorithm(k.Alg), must(base64.RawURLEncoding.DecodeString(k.K)))
		if err != nil {
			t.Logf("group %q: %v", g.Comment, err)
			return nil
		}
		keys = append(keys, key)
	}
	return must(jwtauth.NewStaticKeys(keys[0], keys[1:]...))
}

func TestWycheproofTokens(t *testing.T) {
	for _, name := range []string{"json_web_signature_test.json", "json_web_crypto_test.json"} {
		met := 0
		for _, g := range wycheproof(t, name) {
			keys := groupKey(t, g)
			for _, test := range g.Tests {
				token := serialized(test.JWS)
				if test.JWS == nil {
					token = serialized(test.JWE)
				}
				good := keys != nil && jwtauth.CheckSignature(token, keys, allAlgorithms) == nil
				want := test.Result == "valid" && test.JWS != nil
				if _, listed := disputed[name][test.TcID]; listed {
					if good == want {
						t.Errorf("%s %d (%s) is met and should not be listed", name, test.TcID, test.Comment)
					}
				} else if good != want {
					t.Errorf("%s %d (%s, %s): accepted %v, want %v", name, test.TcID, g.Comment, test.Comment, good, want)
				} else {
					met++
				}
			}
		}
		t.Logf("%s: %d met, %d disputed", name, met, len(disputed[name]))
	}
}

func TestWycheproofJWEsAreNoTokens(t *testing.T) {
	for _, g := range wycheproof(t, "json_web_encryption_test.json") {
		for _, test := range g.Tests {
			if jwtauth.CheckSignature(serialized(test.JWE), nil, allAlgorithms) == nil {
				t.Errorf("%d (%s) accepted", test.TcID, test.Comment)
			}
		}
	}
}

func TestWycheproofMACs(t *testing.T) {
	used := 0
	for _, g := range wycheproof(t, "hmac_sha256_test.json") {
		for _, test := range g.Tests {
			secret := must(hex.DecodeString(test.Key))
			key, err := jwtauth.NewHMACKey("", jwtauth.HS256, secret)
			if err != nil {
				if len(secret) >= 32 {
					t.Error(err)
				}
				continue // a secret shorter than the hash is no key
			}
			used++
			good := jwtauth.KeyVerifies(key, jwtauth.HS256, must(hex.DecodeString(test.Msg)), must(hex.DecodeString(test.Tag)))
			// A truncated tag is none in a JWS (RFC 7518 section 3.2).
			if want := test.Result == "valid" && g.TagSize == 256; good != want {
				t.Errorf("%d (%s): %v, want %v", test.TcID, test.Comment, good, want)
			}
		}
	}
	if used == 0 {
		t.Error("no key was long enough to be used")
	}
}

func TestRFC8037TheEd25519Example(t *testing.T) {
	key := must(jwtauth.ParseJWK([]byte(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`)))
	token := "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." +
		"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	if err := jwtauth.CheckSignature(token, must(jwtauth.NewStaticKeys(key)), []jwtauth.Algorithm{jwtauth.EdDSA}); err != nil {
		t.Error(err)
	}
}
