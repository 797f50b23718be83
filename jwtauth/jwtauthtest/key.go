package jwtauthtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"

	"github.com/authctx/authctx/jwtauth"
)

// key is a private key in both forms: for the issuer, and for signing what no
// issuer would.
type key struct {
	id      string
	private crypto.Signer
	signing *jwtauth.SigningKey
}

func newKey(tb testing.TB, alg jwtauth.Algorithm) *key {
	tb.Helper()
	k := &key{}
	if known, err := jwtauth.ParseAlgorithm(string(alg)); err == nil {
		alg = known // by its usual name
	}
	var err error
	switch alg {
	case jwtauth.EdDSA:
		_, k.private, err = ed25519.GenerateKey(nil)
	case jwtauth.ES256:
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jwtauth.ES384:
		k.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jwtauth.ES512:
		k.private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jwtauth.RS256, jwtauth.RS384, jwtauth.RS512, jwtauth.PS256, jwtauth.PS384, jwtauth.PS512:
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("no key pair for algorithm %q", alg)
	}
	if err == nil {
		k.signing, err = jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: alg, Signer: k.private})
	}
	if err != nil {
		tb.Fatalf("jwtauthtest: %v", err)
	}
	k.id = k.signing.ID()
	return k
}
