package jwtauth_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

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

// A key source of your own withdraws a key that the issuer has removed.
func ExampleKey_Withdraw() {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := jwtauth.NewPublicKey("k1", jwtauth.EdDSA, public)
	if err != nil {
		fmt.Println(err)
		return
	}
	key.Withdraw()
	fmt.Println(key.Withdrawn())
	// Output: true
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
	fmt.Println(strings.ReplaceAll(err.Error(), provider.URL, "https://idp.example/keys"))
	// Output: jwtauth: loading the keys of "https://idp.example/keys": the provider answered 404
}

func ExampleGenerateSigningKey() {
	key, err := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	fmt.Println(key.ID() != "", err)
	// Output: true <nil>
}

func ExampleOnlyTenants() {
	tenants := jwtauth.OnlyTenants("acme", "globex")
	fmt.Println(tenants(context.Background(), "acme"))
	fmt.Println(tenants(context.Background(), "somebody"))
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleAnyTenant() {
	fmt.Println(jwtauth.AnyTenant()(context.Background(), "whoever signs up"))
	// Output: true <nil>
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

func ExampleParseJWKSet() {
	keys, skipped, err := jwtauth.ParseJWKSet([]byte(`{"keys":[
		{"kty":"OKP","crv":"Ed25519","kid":"2026-11","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
		{"kty":"oct","kid":"oops","k":"c2VjcmV0"}
	]}`))
	fmt.Println(keys, skipped, err)
	source, err := jwtauth.NewStaticKeys(keys[0], keys[1:]...)
	fmt.Println(source != nil, err)
	// Output:
	// [key "2026-11" (EdDSA)] [key 1, "oops": it is a symmetric key] <nil>
	// true <nil>
}

func ExampleNewStaticKeys() {
	key, err := jwtauth.ParsePublicKeyPEM("", jwtauth.EdDSA, []byte(`
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := jwtauth.NewStaticKeys(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := source.Key(context.Background(), "", jwtauth.EdDSA)
	fmt.Println(found, err)
	// Output: key "" (EdDSA) <nil>
}

func ExampleNewRemoteKeys() {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"2026-11","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
	}))
	defer provider.Close()

	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: provider.URL + "/jwks"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()

	key, err := keys.Key(context.Background(), "2026-11", jwtauth.EdDSA)
	fmt.Println(key, err)
	_, err = keys.Key(context.Background(), "2026-12", jwtauth.EdDSA)
	fmt.Println(err)
	// Output:
	// key "2026-11" (EdDSA) <nil>
	// authctx: unknown signing key: jwtauth: the issuer has no usable key of that ID
}

// Whether a program can serve yet, for whoever sends it traffic: it starts while
// its provider is down, and is ready once that has answered.
func ExampleRemoteKeys_Ready() {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"2026-11","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
	}))
	defer provider.Close()

	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: provider.URL + "/jwks"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()

	ready := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second) // a probe is not patient
		defer cancel()
		if keys.Ready(ctx) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	answer := httptest.NewRecorder()
	ready.ServeHTTP(answer, httptest.NewRequest("GET", "/readyz", nil))
	fmt.Println(answer.Code)
	// Output: 200
}

func ExampleRemoteKeys_Keyfunc() {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, jwks(jwk("2026-11", keysEd25519().Public())))
	}))
	defer provider.Close()

	keys, err := jwtauth.LoadRemoteKeys(context.Background(), jwtauth.RemoteKeysConfig{JWKSURL: provider.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()

	token := signed(jwt.SigningMethodEdDSA, keysEd25519(), "2026-11")
	parsed, err := jwt.Parse(token, keys.Keyfunc().Keyfunc, jwt.WithValidMethods([]string{"EdDSA"}))
	fmt.Println(parsed.Claims.(jwt.MapClaims)["sub"], err)
	// Output: alice <nil>
}

func ExampleKeysFromKeyfunc() {
	kf, err := keyfunc.NewJWKSetJSON(json.RawMessage(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"2026-11","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := jwtauth.KeysFromKeyfunc(kf)
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := source.Key(context.Background(), "2026-11", jwtauth.EdDSA)
	fmt.Println(key, err)
	// Output: key "2026-11" (EdDSA) <nil>
}
