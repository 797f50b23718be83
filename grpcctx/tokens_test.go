package grpcctx_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// signingKeys returns a key set with one new key.
func signingKeys(t testing.TB, alg jwtauth.Algorithm) *jwtauth.SigningKeys {
	t.Helper()
	var private crypto.Signer
	var err error
	switch alg {
	case jwtauth.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jwtauth.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: alg, Signer: private})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

const (
	idp         = "https://idp.example"
	apiAudience = "https://api.example"
)

// accessTokenIssuer returns an issuer of access tokens for the API.
func accessTokenIssuer(t testing.TB, keys *jwtauth.SigningKeys) *jwtauth.Issuer {
	t.Helper()
	iss, err := jwtauth.NewIssuer(jwtauth.IssuerConfig{Issuer: idp, Audiences: []string{apiAudience}, Keys: keys, Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return iss
}

// accessTokens returns an issuer of ES256 access tokens and an authenticator
// that verifies each of them anew, and asks revocations if there are any.
func accessTokens(t testing.TB, revocations jwtauth.Revocations) (*jwtauth.Issuer, *jwtauth.Bearer) {
	t.Helper()
	keys := signingKeys(t, jwtauth.ES256)
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: idp, Audiences: []string{apiAudience}, Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Keys: keys,
		Cache: jwtauth.CacheConfig{Disabled: true}, Revocations: revocations,
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := jwtauth.NewBearer(verifier, nil)
	if err != nil {
		t.Fatal(err)
	}
	return accessTokenIssuer(t, keys), b
}

// accessToken returns a token for a caller like p.
func accessToken(t testing.TB, iss *jwtauth.Issuer, p authctx.Principal) string {
	t.Helper()
	attrs := p.Attributes()
	attrs.Issuer, attrs.ClientID = idp, "web"
	token, err := iss.Issue(t.Context(), attrs)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// txnTokens returns both ends of Transaction Tokens signed with Ed25519.
func txnTokens(t testing.TB, reuse time.Duration) (*jwtauth.TxnPropagator, *jwtauth.TxnAuthenticator) {
	t.Helper()
	keys := signingKeys(t, jwtauth.EdDSA)
	out, err := jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: "prod.example", Workload: "spiffe://prod.example/gateway", Keys: keys, Reuse: reuse,
	})
	if err != nil {
		t.Fatal(err)
	}
	in, err := jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "prod.example", Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return out, in
}
