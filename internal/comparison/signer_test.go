package comparison

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx/jwtauth"
)

const (
	testIssuer   = "https://issuer.example"
	testAudience = "https://api.example"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// signer has one key, "k1", in the forms that the libraries want.
type signer struct {
	algorithm string
	private   any // []byte or crypto.Signer
	public    any // []byte or crypto.PublicKey
}

// newSigner makes the same key in every process: those of a fuzz target have to
// agree about the seeds.
func newSigner(algorithm string) *signer {
	var key crypto.Signer
	switch algorithm {
	case "HS256":
		secret := seed("secret")
		return &signer{algorithm, secret, secret}
	case "RS256":
		key = rsaKey()
	case "ES256":
		key = must(ecdsa.ParseRawPrivateKey(elliptic.P256(), seed("ES256")))
	case "EdDSA":
		key = ed25519.NewKeyFromSeed(seed("EdDSA"))
	}
	return &signer{algorithm, key, key.Public()}
}

func seed(of string) []byte {
	sum := sha256.Sum256([]byte(of))
	return sum[:]
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	p, q := primeAfter("p"), primeAfter("q")
	one, e := big.NewInt(1), big.NewInt(65537)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
		D:         new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q},
	}
	key.Precompute()
	return must(key, key.Validate())
})

// primeAfter finds a prime of 1024 bits whose highest two are set.
func primeAfter(label string) *big.Int {
	digits := []byte{0xc0}
	for i := 0; len(digits) < 128; i++ {
		digits = append(digits, seed(fmt.Sprint(label, i))...)
	}
	n := new(big.Int).SetBytes(digits[:128])
	for n.SetBit(n, 0, 1); !n.ProbablyPrime(20); n.Add(n, big.NewInt(2)) {
	}
	return n
}

// compact signs a header and claims of any text.
func (s *signer) compact(header, claims string) string {
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature := must(jwt.GetSigningMethod(s.algorithm).Sign(input, s.private))
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// token is a realistic access token: claims of RFC 9068, 6 scopes, 4 roles, 8
// permissions.
func (s *signer) token(tb testing.TB, id int) string {
	tb.Helper()
	now := time.Now().Unix()
	optional := `"sid":"08a5019c-17e1-4977-8f42-65a12843ea02","acr":"urn:example:loa:2","auth_time":1780314000,`
	if s.algorithm == "RS256" { // whose signatures are long
		optional = ""
	}
	token := s.compact(fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":"k1"}`, s.algorithm), fmt.Sprintf(
		`{"iss":%q,"sub":"5ba552d67","aud":%q,"exp":%d,"iat":%d,"jti":"dbe39bf3a3ba4238a5-%06d","client_id":"s6BhdRkqt3",%s`+
			`"scope":"openid profile email orders:read orders:write users:read","roles":["admin","editor","viewer","audit"],`+
			`"permissions":["a:read","a:write","b:read","b:write","c:read","c:write","d:read","d:write"]}`,
		testIssuer, testAudience, now+3600, now-5, id, optional))
	if len(token) < 700 || len(token) > 900 {
		tb.Fatalf("a token of %d bytes is not what this measures", len(token))
	}
	return token
}

// keySource is the key for a Verifier.
func (s *signer) keySource() jwtauth.KeySource {
	if secret, ok := s.public.([]byte); ok {
		return must(jwtauth.NewStaticKeys(must(jwtauth.NewHMACKey("k1", jwtauth.Algorithm(s.algorithm), secret))))
	}
	return must(jwtauth.NewStaticKeys(must(jwtauth.NewPublicKey("k1", jwtauth.Algorithm(s.algorithm), s.public))))
}

// verifierConfig is that of the one issuer of these tests.
func (s *signer) verifierConfig() jwtauth.VerifierConfig {
	return jwtauth.VerifierConfig{
		Issuer: testIssuer, Audiences: []string{testAudience},
		Algorithms: []jwtauth.Algorithm{jwtauth.Algorithm(s.algorithm)}, Keys: s.keySource(),
	}
}

// jwk is the key as go-jose writes it.
func (s *signer) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.public, KeyID: "k1", Algorithm: s.algorithm, Use: "sig"}
}

// jwks is a set of this one key.
func (s *signer) jwks() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.jwk()}}
}
