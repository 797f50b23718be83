package jwtauthtest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"

	"github.com/authctx/authctx/jwtauth"
)

// DPoPKey is a key of a client, to which tokens can be bound (RFC 9449). It
// makes a new proof of possession for every request. It is safe for concurrent
// use.
type DPoPKey struct {
	issuer *Issuer
	alg    jwtauth.Algorithm
	key    *key
	jwk    map[string]any
}

// NewDPoPKey returns a new key of a client of this issuer; an empty algorithm
// means ES256.
func (i *Issuer) NewDPoPKey(alg jwtauth.Algorithm) *DPoPKey {
	i.tb.Helper()
	if alg == "" {
		alg = jwtauth.ES256
	}
	k := &DPoPKey{issuer: i, alg: alg, key: newKey(i.tb, alg)}
	switch pub := k.key.private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			i.tb.Fatalf("jwtauthtest: %v", err)
		}
		half := len(point) / 2
		k.jwk = map[string]any{"kty": "EC", "crv": pub.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		k.jwk = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(pub)}
	case *rsa.PublicKey:
		k.jwk = map[string]any{"kty": "RSA", "n": b64(pub.N.Bytes()), "e": b64(big.NewInt(int64(pub.E)).Bytes())}
	}
	return k
}

// Thumbprint returns what a token bound to the key holds in "jkt" (RFC 7638).
func (k *DPoPKey) Thumbprint() string {
	k.issuer.tb.Helper()
	text, err := json.Marshal(k.jwk) // its members in the order that RFC 7638 asks for
	if err != nil {
		k.issuer.tb.Fatalf("jwtauthtest: %v", err)
	}
	sum := sha256.Sum256(text)
	return b64(sum[:])
}

// Proof returns a good proof for one request that presents an access token.
// After [Token.Sign] it goes into the DPoP field.
func (k *DPoPKey) Proof(method, url, accessToken string) *Token {
	id := make([]byte, 16)
	rand.Read(id)
	hash := sha256.Sum256([]byte(accessToken))
	t := &Token{issuer: k.issuer, Header: map[string]any{"typ": "dpop+jwt", "jwk": maps.Clone(k.jwk)}, Claims: map[string]any{
		"jti": b64(id), "htm": method, "htu": url, "iat": k.issuer.opts.Now().Unix(), "ath": b64(hash[:]),
	}}
	return t.SignWith(string(k.alg), k.key.private)
}

// BoundTo binds the token to a client's key.
func (t *Token) BoundTo(k *DPoPKey) *Token {
	return t.Set("cnf", map[string]any{"jkt": k.Thumbprint()})
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
