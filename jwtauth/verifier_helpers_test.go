package jwtauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx/jwtauth"
)

const (
	testIssuer   = "https://issuer.example"
	testAudience = "https://api.example"
)

// testNow is when all tests of verification take place.
var testNow = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// testSigner signs as an issuer would, and as an attacker would.
type testSigner struct {
	algorithm jwtauth.Algorithm
	private   any
	key       *jwtauth.Key
}

// testSecret is long enough for every HMAC algorithm.
var testSecret = []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

var testRSAKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

var testECKeys = sync.OnceValue(func() map[jwtauth.Algorithm]*ecdsa.PrivateKey {
	keys := map[jwtauth.Algorithm]*ecdsa.PrivateKey{}
	for a, c := range map[jwtauth.Algorithm]elliptic.Curve{
		jwtauth.ES256: elliptic.P256(), jwtauth.ES384: elliptic.P384(), jwtauth.ES512: elliptic.P521(),
	} {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			panic(err)
		}
		keys[a] = k
	}
	return keys
})

var testEdKey = sync.OnceValue(func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(testSecret[:32]) })

// signerFor returns a signer whose key has the ID "k1".
func signerFor(t testing.TB, a jwtauth.Algorithm) testSigner {
	t.Helper()
	var private any
	var public crypto.PublicKey
	switch a[:2] {
	case "HS":
		key, err := jwtauth.NewHMACKey("k1", a, testSecret)
		if err != nil {
			t.Fatal(err)
		}
		return testSigner{a, testSecret, key}
	case "RS", "PS":
		private, public = testRSAKey(), testRSAKey().Public()
	case "ES":
		private, public = testECKeys()[a], testECKeys()[a].Public()
	default:
		private, public = testEdKey(), testEdKey().Public()
	}
	key, err := jwtauth.NewPublicKey("k1", a, public)
	if err != nil {
		t.Fatal(err)
	}
	return testSigner{a, private, key}
}

// compact signs exactly this header and these claims, whatever they say.
func (s testSigner) compact(t testing.TB, header, claims string) string {
	t.Helper()
	input := b64(header) + "." + b64(claims)
	signature, err := jwt.GetSigningMethod(string(s.algorithm)).Sign(input, s.private)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// token signs the claims with an ordinary header.
func (s testSigner) token(t testing.TB, claims map[string]any) string {
	t.Helper()
	return s.compact(t, `{"alg":"`+string(s.algorithm)+`","typ":"at+jwt","kid":"k1"}`, asJSON(t, claims))
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func asJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goodClaims returns the claims of an acceptable access token, changed as given;
// a nil value takes a claim away.
func goodClaims(changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": testIssuer, "sub": "alice", "aud": testAudience, "client_id": "web", "jti": "t1",
		"iat": testNow.Unix() - 60, "exp": testNow.Unix() + 600, "scope": "read write",
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// configFor is a complete configuration for one signer.
func configFor(t testing.TB, s testSigner) jwtauth.VerifierConfig {
	t.Helper()
	keys, err := jwtauth.NewStaticKeys(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return jwtauth.VerifierConfig{
		Issuer: testIssuer, Audiences: []string{testAudience}, Algorithms: []jwtauth.Algorithm{s.algorithm},
		Keys: keys, Now: func() time.Time { return testNow },
	}
}

// newVerifier returns a verifier for one signer; change may be nil.
func newVerifier(t testing.TB, s testSigner, change func(*jwtauth.VerifierConfig)) *jwtauth.Verifier {
	t.Helper()
	cfg := configFor(t, s)
	if change != nil {
		change(&cfg)
	}
	v, err := jwtauth.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
