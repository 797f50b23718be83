package jwtauth_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/authctx/authctx/jwtauth"
)

// someKeys stands for a provider's keys.
func someKeys() jwtauth.KeySource {
	key, err := jwtauth.ParseJWK([]byte(`{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	if err != nil {
		panic(err)
	}
	keys, err := jwtauth.NewStaticKeys(key)
	if err != nil {
		panic(err)
	}
	return keys
}

func ExampleParseAlgorithm() {
	fmt.Println(jwtauth.ParseAlgorithm("ES256"))
	_, err := jwtauth.ParseAlgorithm("none")
	fmt.Println(err != nil)
	// Output:
	// ES256 <nil>
	// true
}

func ExampleNewHMACKey() {
	key, err := jwtauth.NewHMACKey("k1", jwtauth.HS256, []byte("an example's secret, known to all of its readers"))
	fmt.Println(key, err)
	_, err = jwtauth.NewHMACKey("k1", jwtauth.HS256, []byte("too short"))
	fmt.Println(err)
	// Output:
	// key "k1" (HS256) <nil>
	// jwtauth: key "k1": HS256 needs a secret of at least 32 bytes
}

func ExampleNewPublicKey() {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(jwtauth.NewPublicKey("k1", jwtauth.EdDSA, public))
	// Output: key "k1" (EdDSA) <nil>
}

func ExampleParseJWK() {
	key, err := jwtauth.ParseJWK([]byte(`{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	fmt.Println(key, err)
	// Output: key "k1" (EdDSA) <nil>
}

func ExampleParsePublicKeyPEM() {
	key, err := jwtauth.ParsePublicKeyPEM("k1", jwtauth.EdDSA, []byte(`
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
`))
	fmt.Println(key, err)
	// Output: key "k1" (EdDSA) <nil>
}

// A program that must not start without its keys.
func ExampleLoadRemoteKeys() {
	provider := httptest.NewServer(http.NotFoundHandler())
	defer provider.Close()
	_, err := jwtauth.LoadRemoteKeys(context.Background(), jwtauth.RemoteKeysConfig{JWKSURL: provider.URL})
	fmt.Println(err)
	// Output: jwtauth: loading remote keys: keys: the provider answered 404
}

func ExampleGenerateSigningKey() {
	key, err := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	fmt.Println(key.ID() != "", err)
	// Output: true <nil>
}

func ExampleOnlyTenants() {
	rule := jwtauth.OnlyTenants("acme", "globex")
	fmt.Println(rule("acme"), rule("somebody"))
	// Output: true false
}

func ExampleAnyTenant() {
	fmt.Println(jwtauth.AnyTenant()("whoever signs up"))
	// Output: true
}

func ExampleRFC9068Types() {
	fmt.Println(jwtauth.RFC9068Types())
	// Output: RFC 9068 access tokens
}

func ExampleNamedTypes() {
	fmt.Println(jwtauth.NamedTypes("acme-access+jwt"))
	// Output: acme-access+jwt
}

func ExampleIDTokenTypes() {
	fmt.Println(jwtauth.IDTokenTypes())
	// Output: ID tokens
}

func ExampleSPIFFETypes() {
	fmt.Println(jwtauth.SPIFFETypes())
	// Output: JWT-SVIDs
}
